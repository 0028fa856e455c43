/** Waits until a version is routed to workers that serve it. Used after a registration; reads the routing view only. */
import { TroupeError } from '@troupe/shared';
import type { RoutingView } from '@troupe/shared/nats';

/** A host that starts takes seconds to offer its slots; who has none after this long has none to offer. */
const unplacedPatienceMs = 10_000;

/** Where a version stands on its way to serve. */
type Standing =
  | 'ready'
  | 'waiting'
  | { readonly unplaced: string; readonly as: 'placement.no_slot' | 'placement.no_memory' }
  | { readonly failed: string };

/**
 * Resolves once the version is ready. Rejects with `model.load_failed` where it failed, `placement.no_slot` or
 * `placement.no_memory` where it has had no room for 10 s or at the deadline, `model.loading` where it was still loading
 * then. The version stays registered whatever comes of it.
 */
export function waitUntilServing(
  view: RoutingView,
  model: string,
  version: number,
  timeoutMs: number,
): { readonly done: Promise<void>; readonly stop: () => void } {
  let stop: () => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    const startedAt = performance.now();
    let unplacedTimer: NodeJS.Timeout | undefined;
    const deadline = setTimeout(
      () => end(lateError(model, version, standing(view, model, version), timeoutMs)),
      timeoutMs,
    );
    const unsubscribe = view.onChange((changed) => {
      if (changed === model) check();
    });
    const end = (error?: TroupeError) => {
      clearTimeout(deadline);
      clearTimeout(unplacedTimer);
      unsubscribe();
      if (error === undefined) resolve();
      else reject(error);
    };
    stop = () => end();
    const check = () => {
      const now = standing(view, model, version);
      if (now === 'ready') return end();
      if (typeof now === 'object' && 'failed' in now) {
        return end(
          new TroupeError(
            'model.load_failed',
            `version ${version} of model ${model} is registered, but cannot be served: ${now.failed}`,
          ),
        );
      }
      const unplaced = typeof now === 'object';
      if (!unplaced) {
        clearTimeout(unplacedTimer);
        unplacedTimer = undefined;
      } else {
        unplacedTimer ??= setTimeout(() => {
          end(lateError(model, version, standing(view, model, version), performance.now() - startedAt));
        }, unplacedPatienceMs);
      }
    };
    check();
  });
  return { done, stop: () => stop() };
}

function standing(view: RoutingView, model: string, version: number): Standing {
  const route = view.entry(model)?.versions[String(version)];
  if (route === undefined || route.state === 'loading') return 'waiting';
  // What is loaded on demand is ready for it.
  if (route.state === 'ready' || route.state === 'cold') return 'ready';
  if (route.state === 'failed') return { failed: route.reason ?? 'its load failed' };
  return {
    unplaced: route.reason ?? 'no slot is free',
    as: route.shortOf === 'memory' ? 'placement.no_memory' : 'placement.no_slot',
  };
}

function lateError(model: string, version: number, now: Standing, afterMs: number): TroupeError {
  const after = `after ${Math.round(afterMs / 1_000)} s`;
  if (typeof now === 'object' && 'unplaced' in now) {
    return new TroupeError(
      now.as,
      `version ${version} of model ${model} is registered, but ${after} no worker has it: ${now.unplaced}`,
    );
  }
  return new TroupeError(
    'model.loading',
    `version ${version} of model ${model} is registered, but ${after} it is not served yet`,
  );
}
