/** How a rollout goes about it, with defaults filled in. Called by the door that starts one. Pure. */
import {
  defaults,
  type RolloutSettings,
  type RolloutStep,
  RolloutStrategy,
  TroupeError,
} from '@troupe/shared';

/** As asked for: absent ones take the defaults. */
export type AskedSettings = { readonly [K in keyof RolloutSettings]?: RolloutSettings[K] | undefined };

/** Of a canary that names no steps of its own. */
const usualSteps: readonly RolloutStep[] = [
  { percent: 5, holdMs: 60_000 },
  { percent: 25, holdMs: 60_000 },
  { percent: 100, holdMs: 0 },
];

/**
 * Before all traffic goes over at once: a fresh process answers its first requests ten times slower than a settled one,
 * and at a busy model's full rate it would have a queue before its code is compiled. A tenth compiles too little of it in
 * the time: with `drill swap` it left twice the latency.
 */
const firstMoment: readonly RolloutStep[] = [{ percent: 25, holdMs: 500 }];

/** Fills in defaults. Throws `request.arguments` where steps go down, or are given where there are none. */
export function resolveRolloutSettings(asked: AskedSettings): RolloutSettings {
  const strategy =
    asked.strategy ?? (asked.steps === undefined ? RolloutStrategy.Immediate : RolloutStrategy.Canary);
  return {
    strategy,
    steps: resolveSteps(strategy, asked.steps),
    bakeMs: asked.bakeMs ?? defaults.bakeMs,
    maxUnavailable: asked.maxUnavailable ?? 0,
    maxCrashes: asked.maxCrashes ?? defaults.maxCrashes,
    allowGap: asked.allowGap ?? false,
    allowSignatureChange: asked.allowSignatureChange ?? false,
  };
}

function resolveSteps(
  strategy: RolloutStrategy,
  steps: readonly RolloutStep[] | undefined,
): readonly RolloutStep[] {
  if (strategy !== RolloutStrategy.Canary) {
    if (steps === undefined || steps.length === 0)
      return strategy === RolloutStrategy.Immediate ? firstMoment : [];
    throw refuse(`steps belong to the strategy canary, not to ${strategy}`);
  }
  const asked = steps ?? usualSteps;
  asked.forEach(({ percent }, index) => {
    const before = asked[index - 1]?.percent ?? 0;
    if (percent <= before) throw refuse(`steps go up: ${percent} % comes after ${before} %`);
  });
  const last = asked.at(-1);
  if (last === undefined) throw refuse('a canary has one step at least, for example 5@60s');
  // Behind the last step all traffic goes over, whether it says so or not.
  return last.percent === 100 ? asked : [...asked, { percent: 100, holdMs: 0 }];
}

function refuse(message: string): TroupeError {
  return new TroupeError('request.arguments', message);
}
