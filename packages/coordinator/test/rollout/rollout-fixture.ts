/** Records of rollouts for tests of the deciders. */
import type { ModelRecord, RolloutRecord, RolloutSettings } from '@troupe/shared';
import type { RolloutView } from '../../src/rollout/rollout-step.js';
import { modelRecord } from '../simulated/registry-fixture.js';

export const at = '2026-11-21T06:00:00.000Z';
export const moment = { at, actor: 'admin' };

export const settings: RolloutSettings = {
  strategy: 'canary',
  steps: [
    { percent: 5, holdMs: 1_000 },
    { percent: 25, holdMs: 2_000 },
    { percent: 100, holdMs: 0 },
  ],
  bakeMs: 5_000,
  maxUnavailable: 0,
  maxCrashes: 3,
  allowGap: false,
  allowSignatureChange: false,
};

export function rolloutRecord(change: Partial<RolloutRecord> = {}): RolloutRecord {
  return {
    number: 1,
    from: 1,
    to: 2,
    settings,
    phase: 'staging',
    stepIndex: 0,
    paused: false,
    startedAt: at,
    phaseAt: at,
    actor: 'admin',
    story: [],
    ...change,
  };
}

/** Model `ash` with two versions and a rollout from the first to the second. */
export function inRollout(
  change: Partial<RolloutRecord> = {},
  stable = change.phase === 'baking' || change.phase === 'promoted' ? 2 : 1,
): ModelRecord {
  return {
    ...modelRecord('ash', { versions: [1, 2], labels: { stable } }),
    rollout: rolloutRecord(change),
  };
}

const figures = { requests: 0, errors: 0 };

export function view(change: Partial<RolloutView> = {}): RolloutView {
  return {
    needed: 2,
    ready: 2,
    verdicts: [],
    finding: undefined,
    evidence: { candidate: figures, stable: figures, crashes: 0 },
    heldMs: 0,
    ...change,
  };
}
