/** The admin verb that says when a model is in memory: `models.residency`. Part of the admin API; the leader acts on it. */
import { EventKind, type RegistryStore, Residency } from '@troupe/shared';
import { type AdminEndpoint, type NatsLink, publishEvent } from '@troupe/shared/nats';
import * as read from './admin-arguments.js';

export interface ResidencyEndpointOptions {
  readonly link: NatsLink;
  readonly registry: RegistryStore;
  readonly owner: string;
}

/** As stored; what people write instead of it. */
export const residency = read.oneOf(Object.values(Residency));
/** A model that is not used is given up no sooner than this, and no later than after a month. */
export const idleMs = read.integer(100, 30 * 24 * 3_600_000);

export function createResidencyEndpoint({ link, owner, registry }: ResidencyEndpointOptions): AdminEndpoint {
  const shape = { model: read.modelName, residency, idleMs: read.optional(idleMs) };
  return {
    noun: 'models',
    verb: 'residency',
    async handle(given) {
      const { model, residency: wanted, idleMs: idle } = read.readArguments(given, shape);
      const record = await registry.setResidency(model, wanted, idle, { actor: 'admin' });
      publishEvent(link, {
        kind: EventKind.RegistryChanged,
        source: `coordinator/${owner}`,
        text: `model ${model} is to be in memory: ${wanted.replace('_', ' ')}`,
        data: { model, residency: wanted, ...(idle === undefined ? {} : { idleMs: idle }) },
      });
      return {
        model,
        residency: wanted,
        ...(record.idleMs === undefined ? {} : { idleMs: record.idleMs }),
      };
    },
  };
}
