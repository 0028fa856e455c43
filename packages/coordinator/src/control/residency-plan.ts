/**
 * Who is in memory: the order in which versions get their first place. Pure; called by `placement-plan.ts`.
 *
 * - `firm`: pinned, or `always` in a cluster without memory budgets. Placed first, and never given up for others.
 * - `asked`: somebody waits for it, or a rollout brings it. In the order of asking; takes room from those below.
 * - `loaded`: it has workers. The most recently used stays first, so the least recently used gives way.
 * - `spare`: `always`, not loaded, not asked for: takes room that nobody else wants.
 * - `cold`: on demand, and nobody asks, or nobody has for its idle time: it goes to nothing.
 */
import { isActiveRollout, type ModelRecord, Residency, type RoutingEntry } from '@troupe/shared';
import { answers, isOf, type ObservedHost } from './observed-host.js';
import { type VersionRef, versionKey } from './worker-key.js';

/** What the leader knows of use and demand. */
export interface ResidencyView {
  readonly nowMs: number;
  /** Idle time of models that have none of their own. */
  readonly idleMs: number;
  /** When a loaded version was last seen at work, by version key. */
  readonly usedAtMs: ReadonlyMap<string, number>;
  /** Versions that somebody waits for, by version key: since when. */
  readonly askedAtMs: ReadonlyMap<string, number>;
}

export type Standing =
  | { readonly kind: 'firm' }
  | { readonly kind: 'asked' | 'loaded' | 'spare'; readonly order: number }
  | { readonly kind: 'cold'; readonly cause: string };

const kinds: readonly Standing['kind'][] = ['firm', 'asked', 'loaded', 'spare', 'cold'];

/** What decides the standing of a version beside its workers. */
export interface StandingFacts {
  readonly model: ModelRecord | undefined;
  /** Its part in a rollout, where one is under way. */
  readonly part: 'candidate' | 'baking' | 'standby' | undefined;
  readonly route: RoutingEntry | undefined;
  readonly view: ResidencyView | undefined;
  /** Whether some device of the cluster has a memory budget. */
  readonly budgeted: boolean;
}

export function standingOf(ref: VersionRef, hosts: readonly ObservedHost[], facts: StandingFacts): Standing {
  const { budgeted, model, part, view } = facts;
  const residency = model?.residency ?? Residency.Always;
  const onDemand = residency === Residency.OnDemand || residency === Residency.Prefetched;
  if (view === undefined || residency === Residency.Pinned) return { kind: 'firm' };
  if (!onDemand && !budgeted) return { kind: 'firm' };
  const key = versionKey(ref);
  if (part === 'standby') {
    // It goes first, unless requests wait for it: what fails on its successor is repeated on it.
    const sinceMs = view.askedAtMs.get(key);
    return sinceMs === undefined ? { kind: 'spare', order: 1 } : { kind: 'asked', order: sinceMs };
  }
  const isLoaded = hosts.some(({ workers }) =>
    workers.some((worker) => isOf(worker, ref) && worker.state !== 'draining'),
  );
  // It has the traffic until its rollout hands over: others give way before it does.
  if (isLoaded && isActiveRollout(model?.rollout) && model.rollout.from === ref.version) {
    return { kind: 'asked', order: Number.NEGATIVE_INFINITY };
  }
  // Nobody asks for a candidate by name, and the requests that it is to get must find it loaded.
  if (part !== undefined) return { kind: 'asked', order: -Number.MAX_VALUE };
  const askedAtMs = view.askedAtMs.get(key) ?? (succeeds(ref, hosts, facts) ? view.nowMs : undefined);
  if (askedAtMs !== undefined) return { kind: 'asked', order: askedAtMs };
  if (!isLoaded) {
    return onDemand ? { kind: 'cold', cause: 'nobody asks for it' } : { kind: 'spare', order: 0 };
  }
  const usedAtMs = view.usedAtMs.get(key) ?? view.nowMs;
  const idleMs = model?.idleMs ?? view.idleMs;
  if (onDemand && view.nowMs - usedAtMs > idleMs) {
    return { kind: 'cold', cause: `nobody has asked for it in ${describeMs(idleMs)}` };
  }
  return { kind: 'loaded', order: -usedAtMs };
}

/** Order in which versions are placed; 0 where the order of names decides. */
export function compareStandings(a: Standing, b: Standing): number {
  const byKind = kinds.indexOf(a.kind) - kinds.indexOf(b.kind);
  if (byKind !== 0) return byKind;
  return 'order' in a && 'order' in b && a.order !== b.order ? (a.order < b.order ? -1 : 1) : 0;
}

export function hasBudget(host: ObservedHost): boolean {
  return [...host.rooms.values()].some(({ budgetBytes }) => Number.isFinite(budgetBytes));
}

/** A label moved to it from a version that answers: who asked for that one waits for this one. */
function succeeds(ref: VersionRef, hosts: readonly ObservedHost[], { model, route }: StandingFacts): boolean {
  return Object.entries(model?.labels ?? {}).some(([label, version]) => {
    const before = route?.labels[label];
    if (version !== ref.version || before === undefined || before === version) return false;
    const old = { model: ref.model, version: before };
    return hosts.some(({ workers }) => workers.some((worker) => isOf(worker, old) && answers(worker)));
  });
}

function describeMs(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1_000} s`;
}
