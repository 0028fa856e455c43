/**
 * A version on probation on a real host, under load, with the leader's part played by the test: whatever goes wrong with
 * it, callers get the standby's answers, marked degraded.
 */
import {
  defaults,
  EventKind,
  type ModelVersion,
  type Probation,
  type Signature,
  type WorkerReport,
} from '@troupe/shared';
import {
  encodeModel,
  floatTensor,
  identityModel,
  int64Tensor,
  type NodeDescription,
  type TensorDescription,
  tensorValue,
} from '@troupe/shared/onnx';
import { expect } from 'chai';
import { waitUntil as waitShortly } from '../../../../test/harness/wait-until.js';
import { slowOn } from '../../../../test/models/misbehaving-models.js';
import { HostHarness, isRunning, recordedRunners } from './host-harness.js';

const signature: Signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 2] }],
};
const model = 'twice';
const input = tensorValue('input', 'FLOAT', ['N', 4]);

function write(nodes: readonly NodeDescription[], initializers: readonly TensorDescription[]) {
  const outputs = [tensorValue('output', 'FLOAT', ['N', 2])];
  return encodeModel({ graph: { inputs: [input], outputs, nodes, initializers } });
}

/** The first column picks a row of a table; a number that the table does not have makes the run fail. */
function tableOf(rows: number): Uint8Array {
  const table = Array.from({ length: rows }, (_, row) => [row, 10 * row]).flat();
  return write(
    [
      { opType: 'Cast', inputs: ['input'], outputs: ['all'], attributes: { to: { type: 'int', value: 7 } } },
      {
        opType: 'Gather',
        inputs: ['all', 'zero'],
        outputs: ['index'],
        attributes: { axis: { type: 'int', value: 1 } },
      },
      {
        opType: 'Gather',
        inputs: ['table', 'index'],
        outputs: ['output'],
        attributes: { axis: { type: 'int', value: 0 } },
      },
    ],
    [int64Tensor('zero', [], [0]), floatTensor('table', [rows, 2], table)],
  );
}

/** The first two columns, or their logarithms: NaN for negative numbers. */
function firstTwo(logarithm: boolean): Uint8Array {
  return write(
    [
      { opType: 'Slice', inputs: ['input', 'from', 'to', 'axis'], outputs: ['two'] },
      { opType: logarithm ? 'Log' : 'Identity', inputs: ['two'], outputs: ['output'] },
    ],
    [int64Tensor('from', [1], [0]), int64Tensor('to', [1], [2]), int64Tensor('axis', [1], [1])],
  );
}

/** Runners load in between: on a busy machine that takes a while. */
const waitUntil = <T>(what: string, check: () => T | Promise<T>) =>
  waitShortly(what, check, { timeoutMs: 30_000 });

interface Answered {
  readonly row: readonly number[];
  readonly version: string;
  readonly degraded: boolean;
  readonly values: readonly number[];
}

describe('a version on probation', function () {
  this.timeout(120_000);
  let cluster: HostHarness;
  let stopLoad: () => Promise<unknown> = () => Promise.resolve();

  beforeEach(async () => {
    cluster = new HostHarness();
    await cluster.start();
    await cluster.startHost('h1');
  });
  afterEach(async () => {
    await stopLoad();
    await cluster.stop();
  });

  /** Version 1 serves, version 2 serves beside it on probation. */
  async function candidate(
    stable: Uint8Array,
    bytes: Uint8Array,
    maxCrashes = 0,
  ): Promise<{ standby: ModelVersion; version: ModelVersion; probation: Probation }> {
    const standby = await cluster.version(1, stable, signature);
    await cluster.serve('h1', model, standby);
    const version = await cluster.version(2, bytes, signature);
    const probation = { standby, maxCrashes };
    await cluster.serve('h1', model, version, 'cpu:0', probation);
    return { standby, version, probation };
  }

  const worker = (): Promise<WorkerReport | undefined> => cluster.worker('h1', 2);
  const events = (kind: EventKind) => cluster.events.filter((event) => event.kind === kind);

  /** A closed loop on version 2's queue until `stop`; every request must be answered. */
  function load(rows: readonly (readonly number[])[], inFlight = 16) {
    const answers: Answered[] = [];
    const errors: unknown[] = [];
    let stopping = false;
    let sent = 0;
    const lane = async () => {
      while (!stopping) {
        const row = rows[sent % rows.length] as readonly number[];
        sent += 1;
        try {
          const answer = await cluster.infer(model, 2, row);
          answers.push({
            row,
            version: answer.model_version,
            degraded: answer.parameters?.degraded === true,
            values: answer.outputs[0]?.data ?? [],
          });
        } catch (error) {
          errors.push(error);
          return;
        }
      }
    };
    const lanes = Promise.all(Array.from({ length: inFlight }, lane));
    stopLoad = () => {
      stopping = true;
      return lanes;
    };
    return {
      answers,
      more: (count: number) => {
        const wanted = answers.length + errors.length + count;
        return waitUntil('the load goes on', () => answers.length + errors.length >= wanted);
      },
      async stop() {
        await stopLoad();
        return { answers, errors };
      },
    };
  }

  /** Nothing failed, everything is right, and whatever version 1 answered says so. */
  function expectAllRight(
    { answers, errors }: { answers: readonly Answered[]; errors: readonly unknown[] },
    right: (row: readonly number[]) => readonly number[],
  ): void {
    expect(errors).to.deep.equal([]);
    for (const { degraded, row, values, version } of answers) {
      expect(values).to.deep.equal(right(row));
      expect(degraded).to.equal(version === '1');
    }
  }

  const tableRow = ([first = 0]: readonly number[]) => [first, 10 * first];

  it('whose runner dies too often is condemned: no request fails, the sibling answers at once, and it is not tried again', async () => {
    await candidate(tableOf(8), tableOf(8), 1);
    const running = load([[1, 0, 0, 0]]);
    await running.more(500);
    for (let death = 0; death < 2; death += 1) {
      const alive = await waitUntil('it serves', async () => {
        const report = await worker();
        return report?.state === 'serving' && report.crashes === death && report.pid !== undefined
          ? report
          : undefined;
      });
      process.kill(alive.pid as number, 'SIGKILL');
    }
    const flipped = await waitUntil('it has flipped', () => events(EventKind.WorkerFlipped)[0]);
    await running.more(500);
    expectAllRight(await running.stop(), tableRow);
    expect(running.answers.at(-1)).to.include({ version: '1', degraded: true });
    const [condemned] = events(EventKind.VersionCondemned);
    expect(condemned?.data).to.include({ model, version: 2, kind: 'crash' });
    expect(flipped.data).to.include({ model, version: 2, by: 'sibling', servingVersion: 1 });
    expect(flipped.data.condemnedNs).to.equal(condemned?.data.atNs);
    expect(BigInt(String(flipped.data.answeredNs)) > BigInt(String(flipped.data.condemnedNs))).to.equal(true);
    const report = await waitUntil('the report says so', async () => {
      const found = await worker();
      return found?.state === 'fallback' ? found : undefined;
    });
    expect(report).to.include({ servingVersion: 1, crashes: 2, natsConnected: true });
    expect(report.condemned?.kind).to.equal('crash');
    expect(report).to.not.have.property('probation');
    expect((await cluster.report('h1'))?.workers, 'no third runner').to.have.length(2);
  });

  it('that is condemned by order stops at once, and what it held is answered', async () => {
    await candidate(tableOf(8), tableOf(8));
    const running = load([[1, 0, 0, 0]]);
    await running.more(500);
    expect((await worker())?.probation).to.equal(true);
    const order = { kind: 'condemn', model, version: 2, device: 'cpu:0', cause: 'an admin said so' } as const;
    for (let repeat = 0; repeat < 3; repeat += 1)
      expect(await cluster.command('h1', order)).to.have.property('ok', true);
    await waitUntil('it has flipped', () => events(EventKind.WorkerFlipped)[0]);
    await running.more(300);
    expectAllRight(await running.stop(), tableRow);
    expect(running.answers.at(-1)).to.include({ version: '1', degraded: true });
    expect(events(EventKind.VersionCondemned).map(({ data }) => [data.kind, data.cause])).to.deep.equal([
      ['order', 'an admin said so'],
    ]);
  });

  it('that fails on some requests costs none of them: the standby answers, and counts them', async () => {
    const { probation } = await candidate(tableOf(100), tableOf(4));
    expect(probation.maxCrashes).to.equal(0);
    const running = load([
      [1, 0, 0, 0],
      [50, 0, 0, 0],
      [2, 0, 0, 0],
    ]);
    await running.more(600);
    const result = await running.stop();
    expectAllRight(result, tableRow);
    for (const { row, version } of result.answers) expect(version).to.equal(row[0] === 50 ? '1' : '2');
    const failed = result.answers.filter(({ row }) => row[0] === 50).length;
    const stable = await waitUntil('they are counted', async () => {
      const report = await cluster.worker('h1', 1);
      return report?.repeats?.['2']?.answered === failed ? report : undefined;
    });
    expect(stable.repeats).to.deep.equal({ '2': { answered: failed, failed: 0 } });
    expect((await worker())?.failed).to.equal(0);
  });

  it('that hangs on a request costs it nothing either: it is ended at the run limit, and the standby answers', async () => {
    const four: Signature = { ...signature, outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 4] }] };
    const standby = await cluster.version(1, identityModel(), four);
    await cluster.serve('h1', model, standby);
    const version = await cluster.version(2, slowOn(), four, { limits: { runLimitMs: 1_000 } });
    await cluster.serve('h1', model, version, 'cpu:0', { standby, maxCrashes: 3 });
    const answer = await cluster.infer(model, 2, [1e9, 7, 0, 0]);
    expect(answer).to.include({ model_version: '1' });
    expect(answer.parameters).to.deep.include({ degraded: true });
    expect(answer.outputs[0]?.data).to.deep.equal([1e9, 7, 0, 0]);
    await waitUntil('the death is counted, and borne', async () => {
      const report = await worker();
      return report?.crashes === 1 && report.state === 'serving' && report.probation === true;
    });
    // The sibling that covered meanwhile may still have a pull open.
    await waitUntil(
      'it answers itself again',
      async () => (await cluster.infer(model, 2, [1, 7, 0, 0])).model_version === '2',
    );
  });

  it('that is too slow for its traffic is helped by the sibling until it keeps up, and is not blamed for that', async () => {
    const four: Signature = { ...signature, outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 4] }] };
    const standby = await cluster.version(1, identityModel(), four);
    await cluster.serve('h1', model, standby);
    const version = await cluster.version(2, slowOn(), four);
    await cluster.serve('h1', model, version, 'cpu:0', { standby, maxCrashes: 0 });
    const slow = [200_000, 7, 0, 0];
    const running = load([slow], 2 * defaults.credits); // more than it takes out of the queue
    await waitUntil('the sibling answers as well', () => running.answers.some(({ degraded }) => degraded));
    const result = await running.stop();
    expectAllRight(result, (row) => row);
    expect(await worker()).to.include({ state: 'serving', servingVersion: 2, crashes: 0 });
    expect(events(EventKind.VersionCondemned)).to.deep.equal([]);
    let own = 0;
    await waitUntil('it answers all by itself again', async () => {
      own = (await cluster.infer(model, 2, [1, 7, 0, 0])).model_version === '2' ? own + 1 : 0;
      return own === 20;
    });
  });

  it('gives nobody a NaN that stable would not give, and is not blamed where stable fails as well', async () => {
    await candidate(firstTwo(false), firstTwo(true));
    const good = await cluster.infer(model, 2, [1, 1, 0, 0]);
    expect(good).to.include({ model_version: '2' });
    const unfit = await cluster.infer(model, 2, [-1, 3, 0, 0]);
    expect(unfit).to.include({ model_version: '1' });
    expect(unfit.outputs[0]?.data).to.deep.equal([-1, 3]);
    expect(unfit.parameters).to.deep.include({ degraded: true });
    await waitUntil('it is counted', async () => {
      const report = await cluster.worker('h1', 1);
      return report?.repeats?.['2']?.answered === 1;
    });
  });

  it('is not blamed for a request that stable cannot answer either: its caller gets the error', async () => {
    await candidate(tableOf(4), tableOf(4));
    const error = await cluster.infer(model, 2, [50, 0, 0, 0]).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('reason', 'model.run_failed');
    await waitUntil('it is counted', async () => {
      const report = await cluster.worker('h1', 1);
      return report?.repeats?.['2']?.failed === 1 && report.repeats['2'].answered === 0;
    });
  });

  for (const [when, cause] of [
    ['before it has said a word', /said nothing within 3000 ms|silent for more than/],
    ['while it loads', /silent for more than/],
  ] as const) {
    it(`whose runner is stopped ${when} is condemned within a bound, and leaves when told`, async () => {
      const startMs = when === 'while it loads' ? 60_000 : 3_000;
      const host = await cluster.startHost('h2', { env: { TROUPE_RUNNER_START_MS: String(startMs) } });
      const standby = await cluster.version(1, tableOf(8), signature);
      const version = await cluster.version(2, tableOf(500_000), signature);
      const probation = { standby, maxCrashes: 0 };
      const assignment = { model, version, device: 'cpu:0', credits: 8, probation };
      await cluster.command('h2', { kind: 'assign', assignment });
      const stopped = await waitUntil('its runner is there', async () => {
        if (when === 'before it has said a word') return recordedRunners(host.dir)[0];
        const report = await cluster.worker('h2', 2);
        return report?.natsConnected === true ? report.pid : undefined;
      });
      process.kill(stopped, 'SIGSTOP');
      const condemned = await waitUntil(
        'it is condemned',
        async () => (await cluster.worker('h2', 2))?.condemned,
      );
      expect(condemned.cause).to.match(cause);
      await cluster.command('h2', { kind: 'drain', model, version: 2, device: 'cpu:0', cause: 'it left' });
      await waitUntil('it has gone', async () => (await cluster.report('h2'))?.workers.length === 0);
      expect(isRunning(stopped)).to.equal(false);
    });
  }

  it('whose outputs are NaN for whatever it is given does not get warm', async () => {
    const standby = await cluster.version(1, tableOf(8), signature);
    await cluster.serve('h1', model, standby);
    const nan = write(
      [
        { opType: 'Slice', inputs: ['input', 'from', 'to', 'axis'], outputs: ['two'] },
        { opType: 'Mul', inputs: ['two', 'nan'], outputs: ['output'] },
      ],
      [
        int64Tensor('from', [1], [0]),
        int64Tensor('to', [1], [2]),
        int64Tensor('axis', [1], [1]),
        floatTensor('nan', [], [Number.NaN]),
      ],
    );
    const version = await cluster.version(2, nan, signature);
    const probation = { standby, maxCrashes: 3 };
    const assignment = { model, version, device: 'cpu:0', credits: 8, probation };
    await cluster.command('h1', { kind: 'assign', assignment });
    const report = await waitUntil('it is condemned', async () => {
      const found = await worker();
      return found?.condemned === undefined ? undefined : found;
    });
    expect(report).to.include({ state: 'fallback', servingVersion: 1 });
    expect(report.condemned).to.deep.include({ kind: 'candidate' });
    expect(report.condemned?.cause).to.contain('NaN');
  });
});
