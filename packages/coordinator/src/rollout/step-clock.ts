/**
 * For how long each rollout has been in its present step, on the leader's monotonic clock, pauses left out. In memory: a
 * new leader counts the present step anew, so that a step is never held for less than was asked (R2).
 */
export interface StepClock {
  /** Adds the time since the last call for this model, unless it is paused or the step is another one; returns the sum. */
  heldMs(model: string, step: string, paused: boolean): number;
  /** Forgets all but these models. */
  keep(models: ReadonlySet<string>): void;
}

export function createStepClock(now: () => number): StepClock {
  const steps = new Map<string, { step: string; heldMs: number; seenAtMs: number; wasPaused: boolean }>();
  return {
    heldMs(model, step, paused) {
      const before = steps.get(model);
      const atMs = now();
      if (before?.step !== step) {
        steps.set(model, { step, heldMs: 0, seenAtMs: atMs, wasPaused: paused });
        return 0;
      }
      if (!paused && !before.wasPaused) before.heldMs += atMs - before.seenAtMs;
      before.seenAtMs = atMs;
      before.wasPaused = paused;
      return before.heldMs;
    },
    keep(models) {
      for (const model of steps.keys()) if (!models.has(model)) steps.delete(model);
    },
  };
}
