/**
 * Which version answers a request: the routing view, read again once before anything is called unknown, since a model
 * may be registered a moment before its entry arrives here. Used by `infer-request.ts`.
 */
import {
  nearestName,
  type PickedVersion,
  parseModelName,
  pickVersion,
  quoteName,
  TroupeError,
} from '@troupe/shared';
import type { RoutingView } from '@troupe/shared/nats';

/** What a request asks for. */
export interface RouteSelector {
  readonly version?: number | undefined;
  readonly label?: string | undefined;
  readonly sticky?: string | undefined;
}

/** Picks routes from the view. */
export interface ModelRoutes {
  /** At once where the view knows, else after it was read again. Throws `model.unknown` and what `pickVersion` throws. */
  pick(model: string, selector: RouteSelector): PickedVersion | Promise<PickedVersion>;
}

/** `whileOpen` rejects what it is given once the client closes. */
export function createModelRoutes(
  view: RoutingView,
  whileOpen: <T>(work: Promise<T>) => Promise<T>,
): ModelRoutes {
  function pickNow(model: string, selector: RouteSelector): PickedVersion {
    const entry = view.entry(model);
    if (entry === undefined) throw unknownModel(model, view.models());
    return pickVersion(entry, selector);
  }

  return {
    pick(model, selector) {
      const name = parseModelName(model);
      try {
        return pickNow(name, selector);
      } catch (error) {
        if (!(error instanceof TroupeError) || error.class !== 'not_found') throw error;
      }
      return whileOpen(view.refresh().then(() => pickNow(name, selector)));
    },
  };
}

function unknownModel(model: string, known: readonly string[]): TroupeError {
  const nearest = nearestName(model, known);
  let hint = '';
  if (nearest !== undefined) hint = `: did you mean ${quoteName(nearest)}?`;
  else if (known.length === 0) hint = ': no model is registered';
  return new TroupeError('model.unknown', `no model is called ${quoteName(model)}${hint}`);
}
