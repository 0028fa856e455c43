/** What an admin's order does to a record, and what is refused. */
import { type ErrorReason, type ModelRecord, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import {
  abortRollout,
  describeSignatureChange,
  pauseRollout,
  resumeRollout,
  rollBack,
  startRollout,
} from '../../src/rollout/rollout-orders.js';
import { resolveRolloutSettings } from '../../src/rollout/rollout-settings.js';
import { modelRecord, modelVersion } from '../simulated/registry-fixture.js';
import { at, inRollout, moment, settings } from './rollout-fixture.js';

function refused(reason: ErrorReason, work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).to.be.instanceOf(TroupeError);
    expect((error as TroupeError).reason).to.equal(reason);
    return (error as Error).message;
  }
  throw new Error(`nothing was thrown, ${reason} was expected`);
}

const ash = (change: Partial<ModelRecord> = {}): ModelRecord => ({
  ...modelRecord('ash', { versions: [1, 2, 3], labels: { stable: 1 } }),
  ...change,
});
const condemned = { cause: 'it answers wrongly', at };
const withCondemned = (version: number): ModelRecord => {
  const model = ash();
  return { ...model, versions: { ...model.versions, [version]: modelVersion(version, { condemned }) } };
};

describe('starting a rollout', () => {
  it('begins in staging, with the version before and a number of its own', () => {
    const { change, event } = startRollout(ash(), 2, settings, moment) ?? {};
    expect(change).to.have.all.keys('rollout');
    expect(change?.rollout).to.deep.include({ number: 1, from: 1, to: 2, phase: 'staging', paused: false });
    expect(change?.rollout.story[0]?.text).to.equal(
      'version 2 is to take over from version 1 (canary: 5 % for 1 s, 25 % for 2 s, 100 %; bake time 5 s), asked for by admin',
    );
    expect(event).to.deep.include({ kind: 'rollout.started' });
    const last = inRollout({ number: 4, phase: 'aborted' }).rollout;
    expect(
      startRollout(ash(last === undefined ? {} : { rollout: last }), 2, settings, moment)?.change.rollout
        .number,
    ).to.equal(5);
  });

  it('has nothing to do where the version is stable already', () => {
    expect(startRollout(ash(), 1, settings, moment)).to.equal(undefined);
  });

  it('is refused beside another one, for a condemned or unknown version, and without a stable one', () => {
    for (const phase of ['staging', 'canary', 'baking'] as const) {
      refused('rollout.active', () => startRollout(inRollout({ phase }), 2, settings, moment));
    }
    expect(
      refused('rollout.condemned', () => startRollout(withCondemned(2), 2, settings, moment)),
    ).to.include('troupe models retry ash 2');
    refused('model.version_unknown', () => startRollout(ash(), 9, settings, moment));
    refused('rollout.no_stable', () => startRollout(ash({ labels: {} }), 2, settings, moment));
  });

  it('is refused where the signature changes, unless that is allowed', () => {
    const model = ash();
    const signature = { ...modelVersion(2).signature, outputs: [] };
    const changed = { ...model, versions: { ...model.versions, '2': modelVersion(2, { signature }) } };
    expect(refused('rollout.signature', () => startRollout(changed, 2, settings, moment))).to.include(
      'output y is gone',
    );
    const allowed = { ...settings, allowSignatureChange: true };
    expect(startRollout(changed, 2, allowed, moment)?.change.rollout.phase).to.equal('staging');
  });
});

describe('comparing signatures', () => {
  const x = { name: 'x', datatype: 'FP32', shape: [-1, 4] } as const;
  const y = { name: 'y', datatype: 'INT64', shape: undefined } as const;
  const is = (inputs: readonly object[]) =>
    describeSignatureChange({ inputs: [x, y], outputs: [] }, { inputs, outputs: [] } as never);

  it('finds them equal in whatever order', () => {
    expect(is([y, x])).to.equal(undefined);
  });

  it('names the first difference', () => {
    expect(is([x])).to.equal('input y is gone');
    expect(is([x, y, { ...x, name: 'z' }])).to.equal('input z is new');
    expect(is([{ ...x, datatype: 'FP64' }, y])).to.equal('input x is FP64 instead of FP32');
    expect(is([{ ...x, shape: [-1, 5] }, y])).to.equal('input x has shape [-1,5] instead of [-1,4]');
    expect(is([x, { ...y, shape: [1] }])).to.equal('input y has shape [1] instead of unknown');
  });
});

describe('orders to a rollout that is under way', () => {
  it('pause and resume change that alone, and once', () => {
    const paused = pauseRollout(inRollout({ phase: 'canary', stepIndex: 1 }), moment);
    expect(paused?.change.rollout).to.deep.include({ phase: 'canary', stepIndex: 1, paused: true });
    expect(pauseRollout(inRollout({ paused: true }), moment)).to.equal(undefined);
    expect(resumeRollout(inRollout({ paused: true }), moment)?.change.rollout.paused).to.equal(false);
    expect(resumeRollout(inRollout(), moment)).to.equal(undefined);
  });

  it('abort takes stable back where it has moved, and condemns nobody', () => {
    const early = abortRollout(inRollout({ phase: 'canary', paused: true }), moment).change;
    expect(early.rollout).to.include({ phase: 'aborted', paused: false });
    expect([early.stable, early.condemn]).to.deep.equal([undefined, undefined]);
    const late = abortRollout(inRollout({ phase: 'baking' }), moment).change;
    expect([late.stable, late.condemn]).to.deep.equal([1, undefined]);
  });

  it('none of them finds one that has ended', () => {
    for (const phase of ['promoted', 'rolled_back', 'aborted'] as const) {
      for (const order of [pauseRollout, resumeRollout, abortRollout]) {
        refused('rollout.none', () => order(inRollout({ phase }), moment));
      }
    }
    refused('rollout.none', () => pauseRollout(ash(), moment));
  });
});

describe('rolling back', () => {
  it('takes back what is under way, in every phase', () => {
    for (const phase of ['staging', 'canary', 'baking'] as const) {
      const { change } = rollBack(inRollout({ phase }), undefined, moment);
      expect(change.rollout).to.include({ phase: 'rolled_back', from: 1, to: 2 });
      expect(change.rollout.cause).to.deep.equal({ kind: 'admin', text: 'ordered by admin' });
      expect(change.stable).to.equal(1);
      expect(change.condemn).to.deep.include({ version: 2 });
    }
  });

  it('takes back what was promoted, to where it came from', () => {
    const { change } = rollBack(inRollout({ phase: 'promoted' }), undefined, moment);
    expect([change.stable, change.condemn?.version, change.rollout.number]).to.deep.equal([1, 2, 1]);
  });

  it('takes back what came live without a rollout, to the newest good version below, or to the one that is named', () => {
    const third = ash({ labels: { stable: 3 } });
    expect(rollBack(third, undefined, moment).change.stable).to.equal(2);
    expect(rollBack(third, 1, moment).change).to.deep.include({ stable: 1 });
    const worse = { ...withCondemned(2), labels: { stable: 3 } };
    expect(rollBack(worse, undefined, moment).change.stable).to.equal(1);
  });

  it('is refused where there is nothing to go back to, or only what was condemned', () => {
    refused('rollout.no_stable', () => rollBack(ash(), undefined, moment));
    refused('rollout.no_stable', () => rollBack(ash(), 1, moment));
    refused('rollout.no_stable', () => rollBack(ash({ labels: {} }), undefined, moment));
    refused('model.version_unknown', () => rollBack(ash(), 9, moment));
    refused('rollout.condemned', () => rollBack({ ...withCondemned(2), labels: { stable: 3 } }, 2, moment));
  });
});

describe('the settings of a rollout', () => {
  it('have defaults', () => {
    expect(resolveRolloutSettings({})).to.deep.equal({
      strategy: 'immediate',
      steps: [{ percent: 25, holdMs: 500 }],
      bakeMs: 300_000,
      maxUnavailable: 0,
      maxCrashes: 3,
      allowGap: false,
      allowSignatureChange: false,
    });
    expect(resolveRolloutSettings({ strategy: 'canary' }).steps.map(({ percent }) => percent)).to.deep.equal([
      5, 25, 100,
    ]);
  });

  it('take steps for a canary, and end them with all', () => {
    const asked = resolveRolloutSettings({ steps: [{ percent: 10, holdMs: 5 }] });
    expect(asked.strategy).to.equal('canary');
    expect(asked.steps).to.deep.equal([
      { percent: 10, holdMs: 5 },
      { percent: 100, holdMs: 0 },
    ]);
  });

  it('refuse steps that go down or belong to no canary', () => {
    const step = (percent: number) => ({ percent, holdMs: 1 });
    refused('request.arguments', () => resolveRolloutSettings({ steps: [step(25), step(25)] }));
    refused('request.arguments', () => resolveRolloutSettings({ steps: [step(100), step(50)] }));
    refused('request.arguments', () => resolveRolloutSettings({ steps: [] }));
    refused('request.arguments', () => resolveRolloutSettings({ strategy: 'shadow', steps: [step(5)] }));
  });
});
