/**
 * What is left in the queue of a version that nobody serves any more. Its requests were accepted: where another version of
 * the model takes them they are handed over to it, which answers marked degraded; else they are answered
 * `model.version_retired`. Acts as the version's last runner. Used by `retirement.ts`.
 */
import { type Log, TroupeError } from '@troupe/shared';
import {
  createWorkPuller,
  type LaneLimits,
  type NatsLink,
  publishRepeat,
  queuedByVersion,
  type WorkMessage,
} from '@troupe/shared/nats';
import type { VersionRef } from './worker-key.js';

export interface LeftoversOptions {
  readonly link: NatsLink;
  readonly limits: LaneLimits;
  /** False once its version has come back, or we lead no more: what is left then stays. */
  readonly goesOn: () => boolean;
  readonly log: Log;
}

/** Bound of clearing one queue; what is left then is taken up again by a later turn. */
const clearBoundMs = 10_000;
const clearAtOnce = 256;
const lookEveryMs = 50;
/** Before a request that could not be handed over is tried again. */
const againAfterMs = 250;

/** Clears the queue as far as it comes. `successor`: the version that takes its requests. */
export async function clearLeftovers(
  { link, limits, goesOn, log }: LeftoversOptions,
  ref: VersionRef,
  successor: number | undefined,
  refusal: TroupeError,
): Promise<{ readonly isEmpty: boolean; readonly handedOver: number }> {
  const queued = async () => (await queuedByVersion(link, ref.model)).get(ref.version) ?? 0;
  if ((await queued()) === 0) return { isEmpty: true, handedOver: 0 };
  const handing = new Set<Promise<void>>();
  const tally = { answered: 0, handedOver: 0 };

  async function handOver(message: WorkMessage, byVersion: number): Promise<void> {
    const budgetMs = message.budgetMs - (performance.now() - message.arrivedAtMs);
    try {
      const repeat = { model: ref.model, askedVersion: ref.version, byVersion, suspect: false, budgetMs };
      await publishRepeat(link, repeat, message);
      tally.handedOver += 1;
      puller.ack(message);
    } catch (error) {
      log.debug({ err: error, ...ref }, 'a request could not be handed over yet');
      await new Promise((resolve) => setTimeout(resolve, againAfterMs));
      puller.giveBack(message);
    }
  }

  const puller = createWorkPuller(link, {
    ...ref,
    limits,
    freeSlots: () => clearAtOnce - handing.size,
    onMessage: (message) => {
      if (!goesOn()) return puller.giveBack(message);
      const isLate = message.budgetMs < 1;
      // No other version may answer who named this one; and what was handed over once is not handed on.
      const isBound = message.pinned || message.askedVersion !== undefined;
      if (successor === undefined || isBound || isLate) {
        tally.answered += 1;
        puller.answer(message, isLate ? tooLate(ref) : refusal);
        return;
      }
      const task = handOver(message, successor).finally(() => {
        handing.delete(task);
        puller.pullMore();
      });
      handing.add(task);
    },
    onError: (failure) => log.debug({ err: failure, ...ref }, 'a retired queue could not be pulled yet'),
  });
  const untilMs = performance.now() + clearBoundMs;
  puller.start();
  try {
    while (goesOn() && performance.now() < untilMs && (await queued()) > 0) {
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  } finally {
    await puller.stop();
    await Promise.all(handing);
  }
  if (tally.answered + tally.handedOver > 0) log.info({ ...ref, ...tally }, 'cleared a retired queue');
  return { isEmpty: (await queued()) === 0, handedOver: tally.handedOver };
}

function tooLate({ model, version }: VersionRef): TroupeError {
  return new TroupeError(
    'request.deadline',
    `the deadline passed while the request waited for version ${version} of model ${model}`,
  );
}
