/** Commands of the leader to hosts: request/reply on `<ns>.ctl.<host>`. */
import type { HostCommandEnvelope, HostCommandReply } from '../control/host-command.js';
import { asTroupeError, encodeError, TroupeError } from '../errors/troupe-error.js';
import { isNoResponders } from './jetstream-error.js';
import type { NatsLink } from './nats-link.js';

const textEncoder = new TextEncoder();

/** Hears a host's commands. The returned function stops and waits for those under way. */
export function serveHostCommands(
  link: NatsLink,
  host: string,
  handle: (envelope: HostCommandEnvelope) => Promise<HostCommandReply>,
): () => Promise<void> {
  const open = new Set<Promise<void>>();
  const subscription = link.connection.subscribe(link.subjects.ctl(host), {
    callback: (error, msg) => {
      if (error !== null) return;
      const answer = async () => {
        let reply: HostCommandReply;
        try {
          reply = await handle(msg.json<HostCommandEnvelope>());
        } catch (thrown) {
          reply = { ok: false, error: encodeError(asTroupeError(thrown)) };
        }
        if (link.isConnected()) msg.respond(textEncoder.encode(JSON.stringify(reply)));
      };
      // A reply that cannot be sent is asked for again: commands are idempotent.
      const call = answer().catch(() => undefined);
      open.add(call);
      void call.finally(() => open.delete(call));
    },
  });
  return async () => {
    if (!link.connection.isClosed()) subscription.unsubscribe();
    await Promise.all(open);
  };
}

/** Sends a command. Rejects with `placement.host_unknown` where nobody listens, `nats.failed` where no answer came in time. */
export async function sendHostCommand(
  link: NatsLink,
  host: string,
  envelope: HostCommandEnvelope,
  timeoutMs: number,
): Promise<HostCommandReply> {
  try {
    const msg = await link.connection.request(
      link.subjects.ctl(host),
      textEncoder.encode(JSON.stringify(envelope)),
      {
        timeout: timeoutMs,
      },
    );
    return msg.json<HostCommandReply>();
  } catch (error) {
    if (isNoResponders(error)) {
      throw new TroupeError('placement.host_unknown', `host ${host} does not listen`, { cause: error });
    }
    const kind = envelope.command.kind;
    throw new TroupeError('nats.failed', `host ${host} did not answer '${kind}' within ${timeoutMs} ms`, {
      cause: error,
    });
  }
}
