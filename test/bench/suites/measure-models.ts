/** Rounds over models with the contestants that each of them wants: what the suites of plain load have in common. */
import type { ModelSource } from '../bench-model.js';
import type { Contestant, RunningContestant } from '../contestants/contestant.js';
import type { Sample } from '../outcome.js';
import { runRounds, type Turn } from '../rounds.js';
import { type SuiteContext, withStage } from './suite.js';

export interface MeasurePlan {
  readonly models: readonly ModelSource[];
  readonly contestantsOf: (model: string) => readonly Contestant[];
  readonly inFlight: readonly number[];
  readonly rounds: number;
  readonly windowMs: number;
  readonly warmUpMs?: (model: string) => number;
}

/** The form for tests: one round that gives answers and no figures. */
const shortPlan = { rounds: 2, windowMs: 60 } as const;

export async function measureModels(context: SuiteContext, plan: MeasurePlan): Promise<Sample[]> {
  const chosen: readonly string[] | undefined = context.models;
  const sources = plan.models.filter(({ name }) => chosen?.includes(name) ?? true);
  const rounds = context.rounds ?? (context.short ? shortPlan.rounds : plan.rounds);
  const windowMs = context.windowMs ?? (context.short ? shortPlan.windowMs : plan.windowMs);
  return withStage(context, sources, async (stage) => {
    const running = new Map<string, RunningContestant>();
    const samples: Sample[] = [];
    for (const model of stage.models) {
      const warmUpMs = context.short ? 4 * shortPlan.windowMs : plan.warmUpMs?.(model.name);
      const turns: Turn[] = [];
      for (const contestant of plan.contestantsOf(model.name)) {
        const known = running.get(contestant.name) ?? (await stage.start(contestant));
        running.set(contestant.name, known);
        turns.push({ name: contestant.name, running: known });
      }
      for (const inFlight of plan.inFlight) {
        const more = await context.progress.step(`Measuring ${model.name}, ${inFlight} in flight`, (update) =>
          runRounds(model, turns, { rounds, windowMs, warmUpMs, inFlight }, update),
        );
        samples.push(...more);
        context.measured?.(more);
      }
    }
    return samples;
  });
}
