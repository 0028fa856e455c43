import { findModelFaults, scanModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import type { Tensor } from 'onnxruntime-node';
import { failsOn, hugeOutput, int4Output, nanOn, recurrentLike, slowOn } from './misbehaving-models.js';
import { floats, int64s, runApart, runModel, withSession } from './onnx-session.js';

describe('misbehaving test models', () => {
  for (const mixing of ['running-sum', 'centred'] as const) {
    it(`recurrentLike (${mixing}) gives rows together something else than each alone`, async () => {
      await withSession(recurrentLike(mixing), async (session) => {
        const rows = [
          [1, 2, 3, 4],
          [5, 7, 9, 11],
        ];
        const together = numbers((await session.run({ input: floats(rows.flat(), [2, 4]) })).output);
        const alone: number[] = [];
        for (const row of rows) {
          alone.push(...numbers((await session.run({ input: floats(row, [1, 4]) })).output));
        }
        expect(alone).to.have.lengthOf(together.length);
        expect(alone.slice(4)).to.not.deep.equal(together.slice(4));
      });
    });
  }

  it('failsOn fails for an index outside its table, and then answers the next request', async () => {
    await withSession(failsOn(), async (session) => {
      const answer = async (...rows: number[]) =>
        numbers(
          (
            await session.run({
              input: floats(
                rows.flatMap((row) => [row, 0, 0, 0]),
                [rows.length, 4],
              ),
            })
          ).output,
        );
      expect(await answer(2)).to.deep.equal([2, 20]);
      for (const rows of [[4], [0, 1, 99], [-5]]) {
        const failure: unknown = await answer(...rows).catch((error: unknown) => error);
        expect(failure).to.be.instanceOf(Error).with.property('message').that.includes('Gather');
      }
      expect(await answer(3, -1, 0)).to.deep.equal([3, 30, 3, 30, 0, 0]);
    });
  });

  it('slowOn runs its loop as often as the first column says, and gives its input back', async () => {
    await withSession(slowOn(), async (session) => {
      for (const trips of [0, 1, 20_000]) {
        const values = [trips, 1, 2, 3, 0, -4, -5, -6];
        const { output } = await session.run({ input: floats(values, [2, 4]) });
        expect(numbers(output)).to.deep.equal(values);
      }
    });
  });

  it('slowOn can be told to run past any limit', async () => {
    const outcome = await runApart(slowOn(), { input: { values: [1e9, 0, 0, 0], dims: [1, 4] } }, 3000);
    expect(outcome).to.include({ signal: 'SIGKILL', runBegan: true });
  });

  it('nanOn gives NaN below 0 and -Infinity for 0', async () => {
    const { output } = await runModel(nanOn(), {
      input: floats([1, 0, -1, Number.POSITIVE_INFINITY], [1, 4]),
    });
    expect(numbers(output)).to.deep.equal([
      0,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ]);
  });

  for (const declaration of ['declared', 'undeclared'] as const) {
    it(`int4Output (${declaration}) aborts the process that runs it`, async () => {
      const outcome = await runApart(int4Output(declaration), {
        input: { values: [1, 2, 3, 4], dims: [1, 4] },
      });
      expect(outcome).to.include({ signal: 'SIGABRT', runBegan: true });
    });
  }

  it('int4Output is refused before a run where the file declares it, and can only be inferred where not', async () => {
    const reasons = (model: Uint8Array) => findModelFaults(scanModel(model)).map(({ reason }) => reason);
    expect(reasons(int4Output('declared'))).to.deep.equal(['model.datatype_unsupported']);
    expect(reasons(int4Output('undeclared'))).to.deep.equal([]);
    // The trial must read the runtime's own metadata.
    await withSession(int4Output('undeclared'), async (session) => {
      expect(session.outputMetadata[0]).to.have.property('type', 'int4');
    });
  });

  it('hugeOutput gives as many ones as asked for', async () => {
    await withSession(hugeOutput(), async (session) => {
      for (const count of [0n, 3n, 1_000_000n]) {
        const { output } = await session.run({ count: int64s([count], [1]) });
        expect(output?.dims).to.deep.equal([Number(count)]);
      }
    });
  });
});

function numbers(tensor: Tensor | undefined): number[] {
  return Array.from(tensor?.data ?? [], Number);
}
