/** When the driver of rollouts wants its next turn. */
import { createLog, type RolloutRecord } from '@troupe/shared';
import { expect } from 'chai';
import { createRolloutDriver } from '../../src/rollout/rollout-driver.js';
import { inRollout } from './rollout-fixture.js';

describe('the driver of rollouts', () => {
  it('wants to look again when a step that only waits for its time is due, and often while a version on trial has traffic', async () => {
    let nowMs = 0;
    const driver = createRolloutDriver({
      registry: {} as never, // nothing is decided here
      actor: 'coordinator/test',
      now: () => nowMs,
      emit: () => undefined,
      log: createLog('test', 'silent'),
    });
    const dueAt = async (atMs: number, rollout: Partial<RolloutRecord>): Promise<number> => {
      nowMs = atMs;
      const models = { ash: inRollout(rollout) };
      const seen = { hosts: [], placements: new Map(), cutOff: new Set<string>(), epoch: 1 };
      await driver.turn({ ...seen, snapshot: { revision: 1, models, hostSettings: {} } });
      return driver.dueInMs;
    };
    const never = Number.POSITIVE_INFINITY;
    expect(await dueAt(0, { phase: 'staging' })).to.equal(never);
    expect(await dueAt(0, { phase: 'canary', stepIndex: 1 })).to.equal(100);
    expect(await dueAt(1_950, { phase: 'canary', stepIndex: 1 })).to.equal(50);
    expect(await dueAt(1_960, { phase: 'canary', stepIndex: 1, paused: true })).to.equal(100);
    expect(await dueAt(2_000, { phase: 'baking' })).to.equal(100);
    expect(await dueAt(6_990, { phase: 'baking' })).to.equal(10);
    expect(await dueAt(8_000, { phase: 'promoted' })).to.equal(never);
  });
});
