/**
 * The routing table as the ingress reads it: what the leader published, and nothing else of the control plane.
 * Choosing a version is here; sending is the ingress' own.
 */
import {
  nearestName,
  type PickedVersion,
  pickVersion,
  quoteName,
  type RoutingEntry,
  TroupeError,
  type VersionSelector,
} from '@troupe/shared';
import type { RoutingView } from '@troupe/shared/nats';

export interface RoutingTable {
  entry(model: string): RoutingEntry | undefined;
  /** Throws `model.unknown` (with the nearest known name), `model.version_unknown`, `model.label_unknown`, `placement.no_slot`, … */
  pick(model: string, selector: VersionSelector): PickedVersion;
  /** Resolves once a version is in the table: true; false where it is not within the time. */
  waitListed(model: string, version: number, timeoutMs: number): Promise<boolean>;
}

export function createRoutingTable(view: Pick<RoutingView, 'entry' | 'models' | 'onChange'>): RoutingTable {
  const isListed = (model: string, version: number) =>
    view.entry(model)?.versions[String(version)] !== undefined;
  return {
    waitListed(model, version, timeoutMs) {
      if (isListed(model, version)) return Promise.resolve(true);
      return new Promise((resolve) => {
        const end = (listed: boolean) => {
          clearTimeout(timer);
          unsubscribe();
          resolve(listed);
        };
        const timer = setTimeout(() => end(false), timeoutMs);
        const unsubscribe = view.onChange((changed) => {
          if (changed === model && isListed(model, version)) end(true);
        });
      });
    },
    entry: (model) => view.entry(model),
    pick(model, selector) {
      const entry = view.entry(model);
      if (entry === undefined) throw unknownModel(model, view.models());
      return pickVersion(entry, selector);
    },
  };
}

/** The error for a model that is not there, naming the one that was probably meant. */
export function unknownModel(model: string, known: Iterable<string>): TroupeError {
  const nearest = nearestName(model, known);
  return new TroupeError(
    'model.unknown',
    `model ${quoteName(model)} is not registered${nearest === undefined ? '' : `: did you mean ${nearest}?`}`,
  );
}
