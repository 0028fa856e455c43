/** What retirement has to know of a turn of the control loop: who is routed, who has workers, who takes whose place. Pure. */
import type { HostLease, ModelRecord, RegistrySnapshot, RoutingEntry } from '@troupe/shared';
import { describeSignatureChange } from '../rollout/rollout-orders.js';
import { waitsForPlace } from '../rollout/rollout-roles.js';
import { answers, isOf } from './observed-host.js';
import type { RetirementView } from './retirement.js';
import { type VersionRef, versionKey } from './worker-key.js';

export function retirementView(
  snapshot: RegistrySnapshot,
  routes: ReadonlyMap<string, RoutingEntry>,
  hosts: readonly HostLease[],
): RetirementView {
  const models = Object.values(snapshot.models);
  const known = models.flatMap(({ name, versions }) =>
    Object.keys(versions).map((version) => versionKey({ model: name, version: Number(version) })),
  );
  return {
    routed: routedKeys(snapshot, routes.values()),
    withWorkers: new Set(hosts.flatMap(({ report }) => report.workers.map((worker) => versionKey(worker)))),
    known: new Set(known),
    models: new Set(Object.keys(snapshot.models)),
    ...hurriedKeys(models, hosts),
    successorOf: (ref) => successorOf(ref, snapshot, routes),
  };
}

/** Versions that some route leads to; that of a condemned version only says that it cannot be had. */
export function routedKeys(snapshot: RegistrySnapshot, routes: Iterable<RoutingEntry>): Set<string> {
  const routed = new Set<string>();
  for (const route of routes) {
    for (const [version, { state }] of Object.entries(route.versions)) {
      const condemned = snapshot.models[route.model]?.versions[version]?.condemned !== undefined;
      if (condemned && state === 'failed') continue;
      routed.add(versionKey({ model: route.model, version: Number(version) }));
    }
  }
  return routed;
}

/** Versions whose place the other one of their rollout waits for; of these, those that nobody answers for. */
function hurriedKeys(
  models: readonly ModelRecord[],
  hosts: readonly HostLease[],
): Pick<RetirementView, 'hurried' | 'deserted'> {
  const hurried = new Set<string>();
  const deserted = new Set<string>();
  const isAnswered = (ref: VersionRef) =>
    hosts.some(({ report }) => report.workers.some((worker) => isOf(worker, ref) && answers(worker)));
  for (const model of models) {
    const { from, to } = model.rollout ?? {};
    if (from === undefined || to === undefined) continue;
    for (const [version, other] of [
      [from, to],
      [to, from],
    ] as const) {
      const ref = { model: model.name, version };
      const isDeserted = !isAnswered(ref);
      const isHeld = isAnswered({ model: model.name, version: other });
      if (!waitsForPlace(model, other) || (isHeld && !(isDeserted && model.rollout?.gap === true))) continue;
      hurried.add(versionKey(ref));
      if (isDeserted) deserted.add(versionKey(ref));
    }
  }
  return { hurried, deserted };
}

/** Where requests without version go now, if that version takes and gives the same tensors. */
export function successorOf(
  { model, version }: VersionRef,
  snapshot: RegistrySnapshot,
  routes: ReadonlyMap<string, RoutingEntry>,
): number | undefined {
  const route = routes.get(model);
  const next = route?.labels.stable;
  const versions = snapshot.models[model]?.versions;
  const [old, content] = [versions?.[String(version)], versions?.[String(next)]];
  if (next === undefined || next === version || old === undefined || content === undefined) return undefined;
  const state = route?.versions[String(next)]?.state;
  if (state !== 'ready' && state !== 'loading' && state !== 'cold') return undefined;
  return describeSignatureChange(old.signature, content.signature) === undefined ? next : undefined;
}
