/**
 * Registers a version: has a live host try the artifact in a throw-away process, then writes the registry. A refused
 * artifact leaves nothing behind. Called by the admin API; any coordinator does it, no leader is needed.
 */
import {
  type BatchSettings,
  decodeError,
  type GoldenCase,
  type HostLease,
  type LeaseStore,
  type Log,
  type ModelSettings,
  type RegisterOutcome,
  type RegistryStore,
  type TrialRequest,
  type TrialVerdict,
  TroupeError,
  type VersionLimits,
} from '@troupe/shared';
import { type ArtifactStore, type NatsLink, sendHostCommand } from '@troupe/shared/nats';
import { patiently } from './redis-patience.js';
import { createTrialVerdicts } from './trial-verdicts.js';

/** Trials that one coordinator waits for at once; more are refused with `queue.full`. */
const maxOpen = 64;
/** Hosts that are asked for one trial before giving up. */
const maxHosts = 3;
/** Fetching the artifact and answering, on top of the load limit. */
const trialMarginMs = 15_000;
/**
 * How long a silence of Redis is borne before the trial, and behind it. What has been uploaded and tried is not given up
 * for one; both together with the trial's margin stay below what clients wait on top of the load limit, 30 s.
 */
const redisPatienceMs = 6_000;

/** What is to be registered; the artifact is in the artifact store already. */
export interface Registration {
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly golden: readonly GoldenCase[];
  readonly batching: Partial<BatchSettings>;
  readonly limits: VersionLimits;
  readonly settings: ModelSettings;
}

export interface RegistrarOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly leases: LeaseStore;
  readonly artifacts: ArtifactStore;
  readonly loadLimitMs: number;
  readonly log: Log;
  /** Ends waiting: the coordinator stops. */
  readonly signal: AbortSignal;
}

export interface Registrar {
  /** Rejects with the trial's reason (`model.*`), `artifact.missing`, `placement.no_host`, `queue.full`, `redis.unreachable`. */
  register(registration: Registration, actor: string): Promise<RegisterOutcome>;
  /** Removes artifacts that no version refers to and no registration under way needs. Never rejects: what stays costs room only. */
  removeUnused(digests: Iterable<string>): Promise<void>;
}

export function createRegistrar(options: RegistrarOptions): Registrar {
  const { link, registry, leases, artifacts, log, signal } = options;
  const patience = { limitMs: redisPatienceMs, signal };
  /** Registrations under way by digest: what one of them refuses, another may just need. */
  const open = new Map<string, number>();
  let openCount = 0;
  const verdicts = createTrialVerdicts();

  async function register(registration: Registration, actor: string): Promise<RegisterOutcome> {
    const { name, digest, sizeBytes, golden, limits, settings } = registration;
    if (!(await artifacts.has(digest))) {
      throw new TroupeError(
        'artifact.missing',
        `artifact ${digest} is not in the artifact store: upload it first`,
      );
    }
    const verdict = await tryArtifact({ digest, sizeBytes, golden, batching: registration.batching, limits });
    const version = {
      digest,
      sizeBytes,
      signature: verdict.signature,
      batchable: verdict.batchable,
      ...(verdict.batchableReason === undefined ? {} : { batchableReason: verdict.batchableReason }),
      batching: verdict.batching,
      limits,
      golden,
      ...(verdict.memoryBytes === undefined ? {} : { memoryBytes: verdict.memoryBytes }),
      registeredAt: new Date().toISOString(),
    };
    return patiently(() => registry.registerVersion(name, version, settings, { actor }), patience);
  }

  async function tryArtifact(trial: TrialRequest): Promise<TrialVerdict> {
    const hosts = rankHosts(await patiently(() => leases.listHosts(), patience));
    const [first] = hosts;
    if (first === undefined) {
      throw new TroupeError('placement.no_host', 'no host is up to try the model: start one first');
    }
    const runtime = `${first.report.runtimeVersion} ${first.report.devices[0]?.kind ?? ''}`;
    return verdicts.find(trial, runtime, () => tryOnHosts(trial, hosts.slice(0, maxHosts)));
  }

  async function tryOnHosts(trial: TrialRequest, hosts: readonly HostLease[]): Promise<TrialVerdict> {
    let failure = new TroupeError('placement.no_host', 'no host could try the model');
    for (const { host } of hosts) {
      try {
        const timeoutMs = options.loadLimitMs + trialMarginMs;
        const reply = await sendHostCommand(link, host, { command: { kind: 'trial', trial } }, timeoutMs);
        if (reply.ok && reply.trial !== undefined) return reply.trial;
        if (!reply.ok) throw decodeError(reply.error);
        throw new TroupeError('answer.malformed', `host ${host} answered a trial without a verdict`);
      } catch (thrown) {
        if (!(thrown instanceof TroupeError) || !thrown.retryable) throw thrown;
        // The host's trouble, not the model's: another one may do better.
        log.warn({ host, err: thrown }, 'a trial did not come about');
        failure = thrown;
      }
    }
    throw failure;
  }

  async function removeUnused(digests: Iterable<string>): Promise<void> {
    try {
      await removeUnreferenced(digests);
    } catch (error) {
      log.warn({ err: error }, 'artifacts that nothing refers to stay behind');
    }
  }

  async function removeUnreferenced(digests: Iterable<string>): Promise<void> {
    const { models } = await registry.read();
    const used = new Set(
      Object.values(models).flatMap((model) => Object.values(model.versions).map(({ digest }) => digest)),
    );
    for (const digest of new Set(digests)) {
      if (used.has(digest) || open.has(digest)) continue;
      if (await artifacts.delete(digest)) log.info({ digest }, 'removed an artifact that nothing refers to');
    }
  }

  return {
    async register(registration, actor) {
      const { digest } = registration;
      if (openCount >= maxOpen) {
        throw new TroupeError('queue.full', `${maxOpen} registrations are under way already`, {
          retryAfterMs: 1_000,
        });
      }
      openCount += 1;
      open.set(digest, (open.get(digest) ?? 0) + 1);
      const leave = () => {
        openCount -= 1;
        const left = (open.get(digest) ?? 1) - 1;
        if (left === 0) open.delete(digest);
        else open.set(digest, left);
      };
      try {
        const outcome = await register(registration, actor);
        leave();
        return outcome;
      } catch (thrown) {
        leave();
        await removeUnused([digest]);
        throw thrown;
      }
    },
    removeUnused,
  };
}

/** Hosts that may try a model, the least loaded first. */
export function rankHosts(leases: readonly HostLease[]): HostLease[] {
  const load = ({ report }: HostLease) => (report.slots === 0 ? 1 : report.workers.length / report.slots);
  return leases
    .filter((lease) => lease.remainingMs > 0 && !lease.report.stopping)
    .sort((a, b) => load(a) - load(b) || (a.host < b.host ? -1 : 1));
}
