/**
 * What the account of a process must be allowed on NATS, tried out: facts for the doctor. A server tells of what it
 * forbids only when it is done, so each permission is tried with something that has no effect: a short subscription,
 * or an empty message that no stream keeps and nobody takes for his own. Whether a fact is bad is not decided here.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { headers, type Status } from 'nats';
import type { Subjects } from '../names/subjects.js';
import type { NatsLink } from './nats-link.js';
import { natsRoundTripMs } from './server-facts.js';

/** Whose account: hosts are not here, as they answer no questions of a doctor. */
export type NatsRole = 'coordinator' | 'client';

type Operation = 'publish' | 'subscribe';

/** Something that a process must be allowed. */
export interface PermissionNeed {
  readonly operation: Operation;
  /** What to grant. */
  readonly grant: string;
  /** What was tried. */
  readonly trial: string;
  /** What fails without it. */
  readonly purpose: string;
  /** Without it not even a request is answered. */
  readonly vital: boolean;
}

/** A refusal that the server told of on its own, in the course of work. */
export interface PermissionRefusal {
  readonly operation: Operation;
  readonly subject: string;
}

/** Model, host or event that is none: one token of a subject. */
const nobody = 'permission-trial';

const vital = ['answers of every kind', 'requests', 'routes'];

function publish(grant: string, purpose: string, trial = grant.replace(/>$/, nobody)): PermissionNeed {
  return { operation: 'publish', grant, trial, purpose, vital: vital.includes(purpose) };
}

function subscribe(grant: string, purpose: string, trial = grant): PermissionNeed {
  return { operation: 'subscribe', grant, trial, purpose, vital: vital.includes(purpose) };
}

/** What a role needs, in the order in which it is shown. `docs/permissions.md` has the same for a reader. */
export function permissionNeeds(role: NatsRole, subjects: Subjects): readonly PermissionNeed[] {
  const { namespace, routesBucket, artifactsBucket } = subjects;
  const both = [
    subscribe('_INBOX.>', 'answers of every kind'),
    publish(`${namespace}.work.>`, 'requests', subjects.work(nobody, 1, 1)),
    publish(`${namespace}.cancel.>`, 'cancelling requests', subjects.cancel(nobody, 1)),
    publish(`${namespace}.demand.>`, 'models that are loaded on demand', subjects.demand(nobody, 1)),
    publish(`$O.${artifactsBucket}.>`, 'model files'),
    subscribe(`$KV.${routesBucket}.>`, 'routes'),
    subscribe(subjects.eventsAll, 'events'),
  ];
  if (role === 'client') return [...both, publish(`${subjects.adminPrefix}.>`, 'everything but requests')];
  return [
    ...both,
    publish('_INBOX.>', 'answers to callers'),
    publish('$JS.API.>', 'streams and consumers', `$JS.API.STREAM.CREATE.${nobody}`),
    publish('$JS.ACK.>', 'answers for hosts that died'),
    publish(`$KV.${routesBucket}.>`, 'routes'),
    publish(subjects.eventsAll, 'events'),
    publish(subjects.deadAll, 'dead letters', subjects.dead(nobody, 1)),
    publish(`${namespace}.ctl.>`, 'commands to hosts', subjects.ctl(nobody)),
    subscribe(subjects.inferAll, 'requests of plain NATS clients'),
    subscribe(subjects.cancelAll, 'cancelled requests'),
    subscribe(subjects.demandAll, 'models that are loaded on demand'),
    subscribe(`${subjects.adminPrefix}.>`, 'administration'),
    subscribe('$JS.EVENT.ADVISORY.>', 'new leaders of streams', '$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*'),
    subscribe('$SRV.>', 'the listing of services (nats micro)'),
  ];
}

function refusalOf(status: Status): PermissionRefusal | undefined {
  const { permissionContext: context } = status;
  if (status.type !== 'error' || context === undefined) return undefined;
  return { operation: context.operation === 'publish' ? 'publish' : 'subscribe', subject: context.subject };
}

/** What is said on a connection until `stop()`; the library's type leaves that out. */
type Statuses = AsyncIterable<Status> & { stop(): void };

/** Needs of the role that the server refuses. Rejects with `nats.failed` where it does not answer within 5 s. */
export async function tryPermissions(link: NatsLink, role: NatsRole): Promise<PermissionNeed[]> {
  const { connection } = link;
  const refused = new Set<string>();
  const key = (operation: Operation, subject: string) => `${operation} ${subject}`;
  const statuses = connection.status() as Statuses;
  const listening = (async () => {
    for await (const status of statuses) {
      const refusal = refusalOf(status);
      if (refusal !== undefined) refused.add(key(refusal.operation, refusal.subject));
    }
  })();
  // Wire format of JetStream: a stream of another name refuses to keep it.
  const unkept = headers();
  unkept.set('Nats-Expected-Stream', nobody);
  const needs = permissionNeeds(role, link.subjects);
  const subscriptions = needs
    .filter(({ operation }) => operation === 'subscribe')
    .map(({ trial }) => connection.subscribe(trial, { callback: () => {} }));
  try {
    for (const { operation, trial } of needs) {
      if (operation === 'publish') connection.publish(trial, new Uint8Array(), { headers: unkept });
    }
    // The server answers in order: what it has not refused by now it has taken.
    await natsRoundTripMs(link);
    await turn(); // the refusals have come, and wait to be read
  } finally {
    for (const subscription of subscriptions) subscription.unsubscribe();
    statuses.stop();
    await listening;
  }
  return needs.filter(({ operation, trial }) => refused.has(key(operation, trial)));
}

/** Kept at most, each once: a process may be refused the same thing a thousand times a second. */
const refusalsKept = 50;

/** Notes what the server refuses from now on, for as long as the connection lives. Returns what was noted so far. */
export function noteRefusals(link: NatsLink): () => readonly PermissionRefusal[] {
  const noted = new Map<string, PermissionRefusal>();
  const listen = async () => {
    for await (const status of link.connection.status()) {
      const refusal = refusalOf(status);
      if (refusal === undefined || noted.size >= refusalsKept || refusal.subject.includes(nobody)) continue;
      noted.set(`${refusal.operation} ${refusal.subject}`, refusal);
    }
  };
  listen().catch(() => {}); // the connection was closed with an error, which its owner hears
  return () => [...noted.values()];
}
