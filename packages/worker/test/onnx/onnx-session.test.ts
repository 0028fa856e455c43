/** The session in this process, on models that are known to behave: what goes in comes out as it should. */
import { readFileSync } from 'node:fs';
import {
  compareTensors,
  type Datatype,
  decodeInferRequest,
  parseDevice,
  type Signature,
  type Tensor,
  TroupeError,
  tensorFromValues,
  validateInputs,
} from '@troupe/shared';
import {
  datatypeOfElementType,
  encodeModel,
  identityModel,
  type ServableElementType,
  tensorValue,
} from '@troupe/shared/onnx';
import { expect } from 'chai';
import { failsOn } from '../../../../test/models/misbehaving-models.js';
import { type OnnxSession, openSession } from '../../src/onnx/onnx-session.js';
import { orderInputs } from '../../src/runner/batch-assembly.js';
import { ModelFolder } from './model-folder.js';
import { type CaseSet, type CollectionCase, caseFile, readCollection } from './shared-collection.js';

// Telemetry is on by default and is decided at the first session of a process.
process.env.ORT_DISABLE_TELEMETRY = '1';

interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly data?: readonly unknown[];
  readonly raw_b64?: string;
}

describe('ONNX session', function () {
  this.timeout(120_000);
  let folder: ModelFolder;
  before(() => {
    folder = new ModelFolder();
  });
  after(() => folder.remove());

  async function withSession<T>(
    modelPath: string,
    use: (session: OnnxSession) => Promise<T>,
    signature?: Signature,
  ): Promise<T> {
    const session = await openSession(
      { modelPath, device: parseDevice('cpu:0'), intraOpThreads: 1, ...(signature && { signature }) },
      'model.load_failed',
    );
    try {
      return await use(session);
    } finally {
      await session.release();
    }
  }

  it('carries every datatype through a run, scalars and empty tensors too', async () => {
    for (const elementType of Object.keys(datatypeOfElementType) as ServableElementType[]) {
      const datatype: Datatype = datatypeOfElementType[elementType];
      for (const shape of [[2, 3], [], [0, 3]]) {
        const dims = shape.length === 0 ? [] : ['N', 3];
        const count = shape.reduce((product, dim) => product * dim, 1);
        const values = Array.from({ length: count }, (_, index) =>
          datatype === 'BYTES' ? `é${index}` : index % 2,
        );
        const input = tensorFromValues(
          'input',
          datatype,
          shape,
          datatype === 'BOOL' ? values.map(Boolean) : values,
        );
        await withSession(folder.write(identityModel({ elementType, dims })), async (session) => {
          const [output] = await session.run([input], ['output']);
          expect(output, `${datatype} [${shape.join()}]`).to.deep.equal({ ...input, name: 'output' });
        });
      }
    }
  });

  it('tells a scalar from an unknown rank, by the file or by the registered signature', async () => {
    const model = encodeModel({
      graph: {
        inputs: [tensorValue('scalar', 'FLOAT', []), tensorValue('any', 'FLOAT', undefined)],
        outputs: [tensorValue('y', 'FLOAT', undefined)],
        nodes: [{ opType: 'Add', inputs: ['scalar', 'any'], outputs: ['y'] }],
      },
    });
    const path = folder.write(model);
    const signature = await withSession(path, async (session) => session.model.signature);
    expect(signature.inputs.map(({ shape }) => shape)).to.deep.equal([[], undefined]);
    const again = await withSession(path, async (session) => session.model.signature, signature);
    expect(again).to.deep.equal(signature);
  });

  it('says what the model objects to in the words of the runtime', async () => {
    const outside = tensorFromValues('input', 'FP32', [1, 4], [77, 0, 0, 0]);
    const refusal = await withSession(folder.write(failsOn()), (session) =>
      session.run([outside], ['output']).then(
        () => undefined,
        (thrown: unknown) => thrown as TroupeError,
      ),
    );
    expect(refusal).to.be.instanceOf(TroupeError);
    expect(refusal?.reason).to.equal('model.run_failed');
    expect(refusal?.message).to.match(/Gather.*out of/s);
  });

  it('gives for every set of the shared collection what it must', async function () {
    const collection = readCollection('no set was run');
    if (collection === undefined) return this.skip();
    let sets = 0;
    for (const entry of collection.cases) {
      await withSession(caseFile(entry, 'model.onnx'), async (session) => {
        for (const set of entry.sets ?? []) sets += await runSet(session, entry, set);
      });
    }
    expect(sets).to.be.at.least(170);
  });

  /** 1 where the set has a request and its expected answer. */
  async function runSet(session: OnnxSession, entry: CollectionCase, set: CaseSet): Promise<number> {
    const file = set.binary?.request ?? set.json?.request;
    if (!file || !set.json?.expected) return 0;
    const { signature } = session.model;
    const payload = readFileSync(caseFile(entry, set.path, file));
    const request = decodeInferRequest(payload, set.binary?.inference_header_content_length, signature);
    validateInputs(signature, request);
    const expected = JSON.parse(readFileSync(caseFile(entry, set.path, set.json.expected), 'utf8')) as {
      outputs: readonly ExpectedTensor[];
    };
    const outputs = await session.run(
      orderInputs(signature, request.inputs),
      expected.outputs.map(({ name }) => name),
    );
    const tolerance = { absolute: set.tolerance?.atol ?? 0, relative: set.tolerance?.rtol ?? 0 };
    for (const [index, want] of expected.outputs.entries()) {
      if (/int64/i.test(want.datatype) && want.raw_b64 === undefined) continue; // JSON.parse rounds them
      const difference = compareTensors(outputs[index] as Tensor, expectedTensor(want), tolerance);
      expect(difference, `${entry.path} ${set.path}`).to.equal(undefined);
    }
    return 1;
  }

  function expectedTensor({ name, datatype, shape, data, raw_b64 }: ExpectedTensor): Tensor {
    if (raw_b64 !== undefined) {
      return {
        name,
        datatype: datatype as Datatype,
        shape,
        data: new Uint8Array(Buffer.from(raw_b64, 'base64')),
      };
    }
    return tensorFromValues(name, datatype, shape, data ?? []);
  }
});
