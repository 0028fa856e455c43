/** Who covers for a worker, and what its runners give away: the deciders behind probation, without processes. */
import { getPriority } from 'node:os';
import type { ModelVersion, TensorSpec, WorkerState } from '@troupe/shared';
import { expect } from 'chai';
import { parseHostCommand } from '../../src/host/parse-command.js';
import { planGentleLoad } from '../../src/host/priority-trial.js';
import { repeatsOn } from '../../src/host/probation.js';
import { SiblingCover } from '../../src/host/sibling-cover.js';
import { type Covered, type CoveringWorker, Siblings } from '../../src/host/siblings.js';
import { findStandby } from '../../src/host/standby-choice.js';
import { hasOnlyFinite, hasSomeFinite } from '../../src/runner/finite-outputs.js';
import { version as plain } from '../machine/timed-worker.js';

const spec = (name: string): TensorSpec => ({ name, datatype: 'FP32', shape: [-1, 4] });
const version = (number: number, input = 'x'): ModelVersion => ({
  ...plain(number),
  signature: { inputs: [spec(input)], outputs: [spec('y')] },
});

/** A worker that writes down what it is asked. */
class Noted implements CoveringWorker {
  readonly model = 'iris';
  readonly asked: string[] = [];
  state: WorkerState | undefined = 'serving';
  readonly assigned: ModelVersion;
  readonly device: string;

  constructor(assigned: ModelVersion, device = 'cpu:0') {
    this.assigned = assigned;
    this.device = device;
  }

  reach() {
    return { natsConnected: true };
  }

  cover(_who: Covered, covered: ModelVersion, mode: string): void {
    this.asked.push(`${mode} ${covered.version}`);
  }

  uncover(_who: Covered, covered: ModelVersion): void {
    this.asked.push(`not ${covered.version}`);
  }
}

function setUp(onProbation = true) {
  const siblings = new Siblings();
  const told: string[] = [];
  const start = () =>
    new SiblingCover({
      assignment: {
        model: 'iris',
        version: version(2),
        device: 'cpu:0',
        credits: 8,
        ...(onProbation ? { probation: { standby: version(1), maxCrashes: 3 } } : {}),
      },
      siblings,
      stable: () => version(1),
      tell: (event) =>
        told.push(event.type === 'sibling.covers' ? `covers ${event.version.version}` : 'lost'),
      answered: () => undefined,
    });
  return { siblings, start, told };
}

describe('a sibling that covers', () => {
  it('is ready from the beginning of a probation, and covers at the order, without a word more', () => {
    const { siblings, start, told } = setUp();
    const one = new Noted(version(1));
    siblings.add(one);
    const cover = start();
    expect(one.asked).to.deep.equal(['ready 2']);
    expect(told).to.deep.equal([]);
    cover.order({ type: 'order.cover', mode: 'active' });
    expect(one.asked.at(-1)).to.equal('active 2');
    expect(told).to.deep.equal(['covers 1']);
    cover.order({ type: 'order.uncover' });
    expect(one.asked.at(-1)).to.equal('ready 2');
    cover.stop();
    expect(one.asked.at(-1)).to.equal('not 2');
  });

  it('that serves no longer is told as lost, and whoever serves next covers in its place', () => {
    const { siblings, start, told } = setUp();
    const [one, other] = [new Noted(version(1)), new Noted(version(1), 'cpu:1')];
    siblings.add(one);
    const cover = start();
    cover.order({ type: 'order.cover', mode: 'active' });
    one.state = 'loading';
    siblings.changed();
    siblings.changed();
    expect(told).to.deep.equal(['covers 1', 'lost']);
    siblings.add(other);
    siblings.changed();
    expect(told).to.deep.equal(['covers 1', 'lost', 'covers 1']);
    expect(other.asked).to.deep.equal(['active 2']);
    siblings.remove(other);
    cover.stop();
  });

  it('every order to cover is answered, also where nobody is there', () => {
    const { start, told } = setUp();
    const cover = start();
    for (let repeat = 0; repeat < 2; repeat += 1) cover.order({ type: 'order.cover', mode: 'active' });
    expect(told).to.deep.equal(['lost', 'lost']);
    cover.stop();
  });

  it('is one of the version that stands by, on the same device first, whose signature accepts the requests', () => {
    const { siblings } = setUp();
    const fit = new Noted(version(1), 'cpu:1');
    const other = new Noted(version(3));
    siblings.add(other);
    siblings.add(new Noted(version(1, 'z')));
    siblings.add(fit);
    expect(siblings.find('iris', 1, version(2), 'cpu:0')).to.equal(fit);
    const nearer = new Noted(version(1));
    siblings.add(nearer);
    expect(siblings.find('iris', 1, version(2), 'cpu:0')).to.equal(nearer);
    expect(siblings.find('wine', 1, version(2), 'cpu:0')).to.equal(undefined);
    expect(siblings.find('iris', 2, version(2), 'cpu:0'), 'not itself').to.equal(undefined);
  });

  it('without a probation is looked for only when it is needed', () => {
    const { siblings, start, told } = setUp(false);
    const one = new Noted(version(1));
    siblings.add(one);
    const cover = start();
    expect(one.asked).to.deep.equal([]);
    cover.order({ type: 'order.cover', mode: 'ready' });
    expect(one.asked).to.deep.equal(['ready 2']);
    expect(told).to.deep.equal(['covers 1']);
    cover.order({ type: 'order.uncover' });
    expect(one.asked.at(-1)).to.equal('not 2');
    cover.stop();
  });
});

describe('who covers in a runner of its own', () => {
  const assignment = {
    model: 'iris',
    version: version(5),
    device: 'cpu:0',
    credits: 8,
    probation: { standby: version(4), maxCrashes: 3 },
    light: version(2),
  };

  it('the snapshot, then the version that stands by, then the light variant, and none that failed at it', () => {
    const choose = (except: number[]) => findStandby({ assignment, except }, version(3))?.version;
    expect([[], [3], [3, 4], [3, 4, 2]].map(choose)).to.deep.equal([3, 4, 2, undefined]);
  });

  it('never the version itself, nor one that does not take its requests', () => {
    expect(findStandby({ assignment, except: [] }, version(5))?.version).to.equal(4);
    const { light: _, probation: __, ...alone } = assignment;
    expect(findStandby({ assignment: alone, except: [] }, version(3, 'z'))).to.equal(undefined);
    expect(repeatsOn({ standby: version(4, 'z'), maxCrashes: 0 }, version(5))).to.equal(undefined);
    expect(repeatsOn({ standby: version(4), maxCrashes: 0 }, version(5))?.version).to.equal(4);
  });
});

describe('commands about a rollout', () => {
  const target = { model: 'iris', version: 2, device: 'cpu:0' };
  const parse = (command: object) => parseHostCommand({ epoch: 1, command }).command;

  it('are taken as they are written, and nothing that is malformed is', () => {
    expect(parse({ kind: 'confirm', ...target })).to.deep.equal({ kind: 'confirm', ...target });
    const condemn = { kind: 'condemn', ...target, cause: 'p99' };
    expect(parse(condemn)).to.deep.equal(condemn);
    const assignment = {
      model: 'iris',
      version: version(2),
      device: 'cpu:0',
      credits: 8,
      probation: { standby: version(1), maxCrashes: 0 },
      light: version(3),
    };
    expect(parse({ kind: 'assign', assignment })).to.deep.equal({ kind: 'assign', assignment });
    for (const wrong of [
      { ...condemn, cause: '' },
      { kind: 'assign', assignment: { ...assignment, probation: { standby: version(1) } } },
      { kind: 'assign', assignment: { ...assignment, probation: { standby: {}, maxCrashes: 1 } } },
      { kind: 'assign', assignment: { ...assignment, light: {} } },
    ]) {
      expect(() => parse(wrong)).to.throw();
    }
  });
});

describe('what a candidate may take', () => {
  it('is one thread where nothing but the session’s share can be taken back, else all of them, behind all others', () => {
    expect(planGentleLoad('session')).to.deep.equal({ loadsGently: { by: 'session' }, intraOpThreads: 1 });
    expect(planGentleLoad('nice')).to.deep.equal({
      loadsGently: { by: 'nice', thenPriority: getPriority() },
    });
    expect(planGentleLoad('idle_policy')).to.deep.equal({ loadsGently: { by: 'idle_policy' } });
  });
});

describe('finite outputs', () => {
  const bytes = (values: Float32Array | Float64Array | Uint16Array, shift = 0) => {
    const all = new Uint8Array(values.byteLength + shift);
    all.set(new Uint8Array(values.buffer), shift);
    return all.subarray(shift);
  };
  const tensor = (datatype: 'FP32' | 'FP64' | 'FP16' | 'INT64', data: Uint8Array) => ({
    name: 'y',
    datatype,
    shape: [1],
    data,
  });

  it('are told from NaN and infinities in every float datatype, wherever their bytes begin', () => {
    for (const shift of [0, 1]) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const single = (values: number[]) => tensor('FP32', bytes(Float32Array.from(values), shift));
        const double = (values: number[]) => tensor('FP64', bytes(Float64Array.from(values), shift));
        for (const make of [single, double]) {
          expect(hasOnlyFinite([make([0, -1.5, 3e38])])).to.equal(true);
          expect(hasOnlyFinite([make([1]), make([0, bad, 1])])).to.equal(false);
          expect(hasSomeFinite(make([bad, 1, bad]))).to.equal(true);
          expect(hasSomeFinite(make([bad, bad]))).to.equal(false);
        }
      }
      const half = (values: number[]) => tensor('FP16', bytes(Uint16Array.from(values), shift));
      expect(hasOnlyFinite([half([0x3c00, 0x7bff, 0x0000])])).to.equal(true);
      for (const bad of [0x7c00, 0xfc00, 0x7e00]) {
        expect(hasOnlyFinite([half([0x3c00, bad])])).to.equal(false);
        expect(hasSomeFinite(half([bad]))).to.equal(false);
      }
    }
    const whole = tensor('INT64', new Uint8Array(8).fill(255));
    expect(hasOnlyFinite([whole])).to.equal(true);
    expect(hasSomeFinite(whole)).to.equal(true);
    expect(hasSomeFinite(tensor('FP32', new Uint8Array(0))), 'nothing is wrong with nothing').to.equal(true);
  });
});
