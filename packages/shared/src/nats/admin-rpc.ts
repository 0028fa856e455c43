/** The admin API over NATS: a micro service (ADR-32), so that `nats micro ls|info|stats` sees it. */
import { type Service, ServiceError } from 'nats';
import { asTroupeError, decodeError, encodeError, TroupeError } from '../errors/troupe-error.js';
import { Header } from '../names/headers.js';
import { isNoResponders } from './jetstream-error.js';
import type { NatsLink } from './nats-link.js';
import { readHeader } from './wire-headers.js';

/** Arguments of a call: a JSON object; an empty payload means none. */
export type AdminArguments = Readonly<Record<string, unknown>>;

/** One verb of the admin API: subject `<ns>.admin.<noun>.<verb>`. */
export interface AdminEndpoint {
  readonly noun: string;
  readonly verb: string;
  /** Returns the JSON answer; throws TroupeErrors. */
  handle(args: AdminArguments): Promise<unknown>;
}

const textEncoder = new TextEncoder();

function parseArguments(text: string): AdminArguments {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TroupeError('request.json_syntax', `the arguments are not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TroupeError('request.arguments', 'the arguments are one JSON object, or nothing');
  }
  return value as AdminArguments;
}

/** Serves the admin API; stop() lets calls that run finish. */
export async function serveAdmin(
  link: NatsLink,
  service: {
    readonly version: string;
    readonly description: string;
    readonly endpoints: readonly AdminEndpoint[];
  },
  onError: (error: TroupeError, subject: string) => void,
): Promise<{ stop(): Promise<void> }> {
  const micro: Service = await link.connection.services.add({
    name: link.subjects.adminServiceName,
    version: service.version,
    description: service.description,
  });
  const open = new Set<Promise<void>>();
  for (const endpoint of service.endpoints) {
    const subject = link.subjects.admin(endpoint.noun, endpoint.verb);
    const answer = async (
      text: string,
      respond: (payload: Uint8Array) => boolean,
      fail: (error: TroupeError) => void,
    ) => {
      try {
        const result = await endpoint.handle(parseArguments(text));
        respond(textEncoder.encode(JSON.stringify(result)));
      } catch (thrown) {
        const error = asTroupeError(thrown);
        onError(error, subject);
        fail(error);
      }
    };
    micro.addEndpoint(`${endpoint.noun}-${endpoint.verb}`, {
      subject,
      handler: (error, msg) => {
        if (error !== null) return;
        const call = answer(
          msg.string(),
          (payload) => msg.respond(payload),
          (failure) =>
            msg.respondError(
              failure.status,
              failure.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 512),
              textEncoder.encode(JSON.stringify(encodeError(failure))),
            ),
        ).catch((failure: unknown) => onError(asTroupeError(failure, 'nats.failed'), subject));
        open.add(call);
        void call.finally(() => open.delete(call));
      },
    });
  }
  return {
    async stop() {
      await micro.stop();
      await Promise.all(open);
    },
  };
}

/**
 * Calls the admin API. Rejects with what the answer carries, `cluster.absent` where no coordinator listens, or
 * `request.deadline`.
 */
export async function callAdmin(
  link: NatsLink,
  noun: string,
  verb: string,
  args: AdminArguments = {},
  options: { readonly timeoutMs?: number } = {},
): Promise<unknown> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const subject = link.subjects.admin(noun, verb);
  try {
    const msg = await link.connection.request(subject, textEncoder.encode(JSON.stringify(args)), {
      timeout: timeoutMs,
    });
    if (readHeader(msg.headers, Header.ServiceErrorCode) !== undefined || ServiceError.isServiceError(msg)) {
      throw decodeAdminError(msg.string(), readHeader(msg.headers, Header.ServiceError));
    }
    return msg.json();
  } catch (error) {
    if (error instanceof TroupeError) throw error;
    if (isNoResponders(error)) {
      throw new TroupeError(
        'cluster.absent',
        `NATS answers at ${link.servers}, but no Troupe coordinator listens in namespace "${link.subjects.namespace}": start one with npm start or troupe-coordinator, or set TROUPE_NAMESPACE`,
      );
    }
    const text = error instanceof Error ? error.message : String(error);
    if (text === 'TIMEOUT') {
      throw new TroupeError('request.deadline', `no answer to ${noun}.${verb} within ${timeoutMs} ms`, {
        cause: error,
      });
    }
    throw new TroupeError('nats.failed', `${noun}.${verb} could not be asked: ${text}`, { cause: error });
  }
}

function decodeAdminError(body: string, header: string | undefined): TroupeError {
  try {
    return decodeError(JSON.parse(body));
  } catch {
    // An older or foreign service without our body: the header has the text.
    return decodeError({ error: header });
  }
}
