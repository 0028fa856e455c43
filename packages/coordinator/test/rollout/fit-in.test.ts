/** What a rollout that does not fit begins as: with a worker less, with a gap, or not at all, and what the refusal says. */
import {
  type HostLease,
  type ModelRecord,
  type RolloutRecord,
  type RolloutSettings,
  TroupeError,
} from '@troupe/shared';
import { expect } from 'chai';
import { fitIn } from '../../src/rollout/fit-in.js';
import type { RolloutDecision } from '../../src/rollout/rollout-decision.js';
import { abortRollout, startRollout } from '../../src/rollout/rollout-orders.js';
import { decideStep } from '../../src/rollout/rollout-step.js';
import { hostLease, registrySnapshot, workerReport } from '../simulated/registry-fixture.js';
import { at, inRollout, moment, settings, view } from './rollout-fixture.js';

const charged = { memoryChargedBytes: 100 * 1024 ** 2 };

/** One host whose slots are all taken by version 1 of `ash`. */
function full(workers: number): HostLease {
  const devices = Array.from({ length: workers }, (_, index) => `cpu:${index}`);
  const reports = devices.map((device) => workerReport('ash', 1, device, charged));
  return hostLease('h1', { devices, slots: workers, workers: reports });
}

function begin(
  workers: number,
  asked: Partial<RolloutSettings>,
  change: Partial<ModelRecord> = {},
  lease = full(workers),
): RolloutDecision {
  const { rollout: _, ...model } = { ...inRollout(), ...change };
  const immediate = { ...settings, strategy: 'immediate', steps: [], ...asked } as const;
  const decision = startRollout(model, 2, immediate, moment);
  if (decision === undefined) throw new Error('there is nothing to begin');
  return fitIn(model, decision, registrySnapshot([model]), [lease], moment);
}

function refusalOf(...asked: Parameters<typeof begin>): string {
  try {
    begin(...asked);
  } catch (error) {
    expect(error).to.be.instanceOf(TroupeError).with.property('reason', 'rollout.no_room');
    return (error as TroupeError).message;
  }
  throw new Error('nothing was refused');
}

describe('a rollout whose versions do not fit together', () => {
  it('is refused with what would help, unless it is allowed', () => {
    expect(refusalOf(2, {})).to.match(
      /2 slots are needed .*, 0 are free.*--max-unavailable 1 or --allow-gap/,
    );
    expect(refusalOf(1, {}, { replicas: 1 })).to.match(/has 1 worker, and nobody would serve.*--allow-gap/);
    expect(refusalOf(1, { maxUnavailable: 1 }, { replicas: 1 })).to.include('--allow-gap');
  });

  it('goes on with a worker less where another one serves meanwhile, and without a gap', () => {
    expect(begin(2, { maxUnavailable: 1, allowGap: true }).change.rollout.gap).to.equal(undefined);
  });

  it('goes on with a gap where that is allowed, and its story says why', () => {
    const { change } = begin(1, { maxUnavailable: 1, allowGap: true }, { replicas: 1 });
    expect(change.rollout).to.include({ gap: true, phase: 'staging' });
    expect(change.rollout.story.map(({ text }) => text)[1]).to.match(
      /^it does not fit beside version 1 \(1 slots are needed.*\): version 1 finishes what it holds and goes first/,
    );
  });

  it('tells of a gap in plain words, to either end', () => {
    const rolling = (change: Partial<RolloutRecord>): ModelRecord => {
      const { rollout } = begin(1, { allowGap: true }, { replicas: 1 }).change;
      return { ...inRollout({ ...rollout, ...change }), replicas: 1 };
    };
    const told = (decision: RolloutDecision | undefined) => decision?.change.rollout.story.at(-1)?.text;
    const fine = view({ needed: 1, ready: 1, heldMs: 5_000 });
    expect(told(decideStep(rolling({}), fine, at))).to.equal(
      '1 worker of version 2 loaded and passed the gate: all traffic goes to it; it is watched for 5 s; version 1 has gone, and nobody stands by',
    );
    expect(told(decideStep(rolling({ phase: 'baking' }), fine, at))).to.equal(
      'nothing was found against version 2 in 5 s: it is promoted',
    );
    const verdicts = [{ host: 'h1', device: 'cpu:0', kind: 'candidate', cause: 'it does not load' }] as const;
    expect(told(decideStep(rolling({}), { ...fine, verdicts }, at))).to.equal(
      'version 2 is taken back, version 1 is stable (it is loaded again, requests wait meanwhile): on h1 cpu:0: it does not load',
    );
    expect(told(abortRollout(rolling({}), moment))).to.equal(
      'aborted by admin: version 1 is stable (it is loaded again, requests wait meanwhile), version 2 may be rolled out again',
    );
  });

  it('has no gap where both fit', () => {
    const lease = { ...full(1), report: { ...full(1).report, slots: 2 } };
    expect(begin(1, { allowGap: true }, { replicas: 1 }, lease).change.rollout.gap).to.equal(undefined);
  });

  it('has no gap where traffic would have to be shared, nor where a label keeps the old version', () => {
    expect(refusalOf(1, { allowGap: true, strategy: 'canary', steps: settings.steps })).to.include(
      '--strategy immediate',
    );
    expect(refusalOf(1, { allowGap: true }, { labels: { stable: 1, audited: 1 } })).to.include(
      'the label audited keeps version 1',
    );
  });

  it('is refused where the new version would have no place even then', () => {
    const lease = full(1);
    const devices = lease.report.devices.map((device) => ({ ...device, memoryBudgetBytes: 1024 ** 2 }));
    const tight = { ...lease, report: { ...lease.report, devices } };
    expect(refusalOf(1, { allowGap: true }, { replicas: 1 }, tight)).to.match(
      /nor would it with version 1 gone: on h1 cpu:0 \d+ MiB are needed/,
    );
  });
});
