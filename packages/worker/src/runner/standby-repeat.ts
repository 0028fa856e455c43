/**
 * Repeats between two versions of a model while one is on probation. On its runner: what its version could not answer
 * is published to the version that stands by, which answers the caller. On the standby's runner: what became of such
 * requests is counted, as evidence. Used by the request flow; runs and answers nothing itself.
 *
 * 1. A pinned request is never repeated: no other version may answer it.
 * 2. A repeat is never repeated again.
 * 3. A request is let go only when the stream has taken its repeat; else it is as if there were no standby.
 */
import type { Log, ModelVersion, Tensor } from '@troupe/shared';
import { type NatsLink, publishRepeat, type WorkMessage } from '@troupe/shared/nats';
import type { RepeatCounts } from '../ipc/runner-messages.js';
import { hasOnlyFinite } from './finite-outputs.js';
import type { Lane } from './lane.js';

export interface StandbyRepeatOptions {
  readonly link: NatsLink;
  readonly model: string;
  /** The version that is loaded. */
  readonly version: number;
  readonly log: Log;
}

/** See the file's head. */
export class StandbyRepeat {
  /** The version that stands by; `undefined` where the loaded one is not on probation. */
  standby: ModelVersion | undefined;
  readonly #options: StandbyRepeatOptions;
  readonly #counts = new Map<number, RepeatCounts>();

  constructor(options: StandbyRepeatOptions) {
    this.#options = options;
  }

  /** By the version that was asked for; `undefined` where nothing was repeated here. */
  counts(): Readonly<Record<string, RepeatCounts>> | undefined {
    return this.#counts.size === 0 ? undefined : Object.fromEntries(this.#counts);
  }

  mayRepeat(lane: Lane, message: WorkMessage): boolean {
    return (
      this.standby !== undefined && !lane.covering && !message.pinned && message.askedVersion === undefined
    );
  }

  /** Whether outputs that came out are none that a version on probation may answer with. */
  isUnfit(lane: Lane, message: WorkMessage, outputs: readonly Tensor[]): boolean {
    return this.mayRepeat(lane, message) && !hasOnlyFinite(outputs);
  }

  /** Resolves with whether the standby has the request now. Never rejects. */
  async repeat(message: WorkMessage, suspect: boolean): Promise<boolean> {
    const { link, log, model, version } = this.#options;
    const { standby } = this;
    const budgetMs = message.budgetMs - (performance.now() - message.arrivedAtMs);
    if (standby === undefined || budgetMs < 1) return false;
    try {
      await publishRepeat(
        link,
        { model, askedVersion: version, byVersion: standby.version, suspect, budgetMs },
        message,
      );
      return true;
    } catch (error) {
      log.warn({ err: error, ref: message.ref }, 'a request could not be repeated on the standby');
      return false;
    }
  }

  /** Counts what became of a repeat here; what is none is not counted. */
  note(message: WorkMessage, outputs: readonly Tensor[] | undefined): void {
    const { askedVersion, suspect } = message;
    // A suspect says nothing of the version that was asked: it is only one of those that its runner held.
    if (askedVersion === undefined || suspect === true) return;
    const { answered, failed } = this.#counts.get(askedVersion) ?? { answered: 0, failed: 0 };
    const good = outputs !== undefined && hasOnlyFinite(outputs);
    this.#counts.set(askedVersion, {
      answered: answered + (good ? 1 : 0),
      failed: failed + (good ? 0 : 1),
    });
  }
}
