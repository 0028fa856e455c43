/**
 * The examination of a cluster as a client makes it: first what it sees itself on its way to NATS, then what a
 * coordinator answers to `cluster.doctor`. Used by `client.doctor()` and `examine-cluster.ts`; reads, changes nothing.
 */
import { asTroupeError, type Finding, TroupeError } from '@troupe/shared';
import {
  callAdmin,
  type NatsLink,
  natsRoundTripMs,
  readJetStream,
  readNatsServer,
  tryPermissions,
} from '@troupe/shared/nats';

/** What was found. */
export interface DoctorReport {
  /** Whether a coordinator answered; without one there are only the findings of this client. */
  readonly reached: boolean;
  readonly findings: readonly Finding[];
}

/** A coordinator bounds each of its checks by 5 s and makes them side by side. */
const answerLimitMs = 10_000;
/** From here on the way itself is most of what a request to a small model takes. */
const slowRoundTripMs = 50;

/** Examines over an open link. `address` is how the findings name it. */
export async function examineLink(link: NatsLink, address: string): Promise<DoctorReport> {
  const namespace = `namespace ${link.subjects.namespace}`;
  const roundTrip = await checkRoundTrip(link);
  const findings: Finding[] = [
    { check: 'client.address', state: 'ok', found: `${address}, ${namespace}` },
    roundTrip,
  ];
  // Where the server says nothing, everything else would only run into its deadline.
  if (roundTrip.state === 'fault') return { reached: false, findings };
  findings.push(await checkJetStream(link), ...(await checkPermissions(link)));
  try {
    const answer = await callAdmin(link, 'cluster', 'doctor', {}, { timeoutMs: answerLimitMs });
    return { reached: true, findings: [...findings, ...parseFindings(answer)] };
  } catch (thrown) {
    const error = asTroupeError(thrown, 'nats.failed');
    const absent = error.reason === 'cluster.absent';
    const finding: Finding = {
      check: 'client.coordinator',
      state: 'fault',
      found: error.message,
      advice: absent
        ? "see 'troupe doctor --namespace <name>' where the cluster has another namespace"
        : "look at the coordinators' logs; an older coordinator does not know this call",
    };
    return { reached: !absent, findings: [...findings, finding] };
  }
}

async function checkRoundTrip(link: NatsLink): Promise<Finding> {
  const check = 'client.round_trip';
  try {
    // The first one may find the connection's buffers cold; the better of the two is the way itself.
    const ms = Math.min(await natsRoundTripMs(link), await natsRoundTripMs(link));
    const found = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms to NATS and back`;
    return ms < slowRoundTripMs
      ? { check, state: 'ok', found }
      : {
          check,
          state: 'warning',
          found,
          advice: 'every request takes at least that: run clients nearer to NATS',
        };
  } catch (thrown) {
    return failed(
      check,
      thrown,
      'see whether the server is overloaded or frozen, and what stands between, then ask again',
    );
  }
}

async function checkJetStream(link: NatsLink): Promise<Finding> {
  const check = 'client.jetstream';
  try {
    const { streamCount } = await readJetStream(link);
    const { version } = readNatsServer(link);
    const found = `nats-server ${version}, JetStream answers (streams: ${streamCount})`;
    return { check, state: 'ok', found };
  } catch (thrown) {
    return failed(check, thrown, 'let the account use JetStream ($JS.API.>)');
  }
}

async function checkPermissions(link: NatsLink): Promise<Finding[]> {
  const check = 'client.permissions';
  try {
    const denied = await tryPermissions(link, 'client');
    if (denied.length === 0) return [{ check, state: 'ok', found: 'this user may do what a client does' }];
    return denied.map(({ operation, grant, purpose, vital }) => ({
      check,
      state: vital ? 'fault' : 'warning',
      found: `this user may not ${operation} ${operation === 'publish' ? 'to ' : ''}${grant}: ${purpose}`,
      advice: `let it ${operation} ${grant} in the server's permissions${vital ? '' : ', where it is to do that'}`,
    }));
  } catch (thrown) {
    return [failed(check, thrown, "see the server's log, then ask again")];
  }
}

function failed(check: string, thrown: unknown, advice: string): Finding {
  return {
    check,
    state: 'fault',
    found: `no answer: ${asTroupeError(thrown, 'nats.failed').message}`,
    advice,
  };
}

function parseFindings(answer: unknown): Finding[] {
  const { findings } = (answer ?? {}) as { findings?: unknown };
  const well =
    Array.isArray(findings) &&
    findings.every(
      (one: Partial<Finding> | null) =>
        typeof one?.check === 'string' && typeof one.state === 'string' && typeof one.found === 'string',
    );
  if (well) return findings as Finding[];
  throw new TroupeError(
    'answer.malformed',
    "the cluster's answer to cluster.doctor is not what this client knows: are both of one version?",
  );
}
