/** Measures contestants in turn: A B C, A B C, …, so that what the machine does meanwhile falls on all of them. */
import type { BenchModel } from './bench-model.js';
import type { LoadResult } from './closed-loop.js';
import type { RunningContestant } from './contestants/contestant.js';
import { isDisturbed, type Sample } from './outcome.js';
import { type ProcessorTime, readProcessorTime, stolenShare } from './stolen-time.js';

export interface Turn {
  readonly name: string;
  readonly running: Pick<RunningContestant, 'measure'>;
}

export interface RoundPlan {
  readonly rounds: number;
  readonly windowMs: number;
  /**
   * Load before the first round, for each contestant: compiled code, touched memory. With half a second the first two rounds
   * were 15 to 25 % below the rest, where a request passes through several processes.
   */
  readonly warmUpMs?: number | undefined;
  readonly inFlight: number;
  /** Rounds, of all, that are taken again because the machine's neighbours had it meanwhile; default 0. */
  readonly retakes?: number | undefined;
}

/** Load before each window: connections are open and queues full when it begins. */
const rampMs = 200;

/** The samples of all takes of all rounds; `lastTakes` has those that count. */
export async function runRounds(
  model: BenchModel,
  turns: readonly Turn[],
  { rounds, windowMs, inFlight, warmUpMs = 2_000, retakes = 0 }: RoundPlan,
  tell: (text: string) => void = () => undefined,
  readTime: () => ProcessorTime = readProcessorTime,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const measure = (turn: Turn, windowMillis: number): Promise<LoadResult> =>
    turn.running.measure(model, { inFlight, rampMs: Math.min(rampMs, windowMillis), windowMs: windowMillis });
  for (const turn of turns) {
    tell(`${model.name}, ${inFlight} in flight: ${turn.name} warms up`);
    await measure(turn, warmUpMs);
  }
  let left = retakes;
  for (let round = 1; round <= rounds; round += 1) {
    for (let take = 1; ; take += 1) {
      const taken: Sample[] = [];
      for (const turn of turns) {
        tell(`${model.name}, ${inFlight} in flight, round ${round} of ${rounds}: ${turn.name}`);
        const before = readTime();
        const result = await measure(turn, windowMs);
        const stolen = stolenShare(before, readTime());
        taken.push({ model: model.name, contestant: turn.name, inFlight, round, take, stolen, ...result });
      }
      const takenAgain = left > 0 && taken.some(isDisturbed);
      samples.push(...(takenAgain ? taken.map((sample) => ({ ...sample, takenAgain })) : taken));
      if (!takenAgain) break;
      left -= 1;
    }
  }
  return samples;
}
