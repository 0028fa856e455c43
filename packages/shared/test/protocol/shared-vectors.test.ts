import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  compareTensors,
  type Datatype,
  decodeInferRequest,
  decodeInferResponse,
  encodeInferRequest,
  encodeInferResponse,
  type Signature,
  type Tensor,
  TroupeError,
  tensorFromValues,
  validateInputs,
} from '@troupe/shared';
import { expect } from 'chai';
import { plain, thrownBy } from './tensors.js';

/** The shared case collection lies beside the repository and is not part of it. */
const repoRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../..');
const casesRoot = path.resolve(repoRoot, '../shared/cases');

interface ValueSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

interface Manifest {
  readonly cases: readonly {
    readonly id: string;
    readonly path: string;
    readonly inputs: readonly ValueSpec[];
    readonly outputs: readonly ValueSpec[];
    readonly sets: readonly {
      readonly path: string;
      readonly json: { readonly request: string | null; readonly expected: string | null } | null;
      readonly binary: { readonly request: string; readonly inference_header_content_length: number } | null;
    }[];
  }[];
}

interface WireVector {
  readonly name: string;
  readonly kind: 'request' | 'response';
  readonly inference_header_content_length: number | null;
  readonly body_b64: string;
  readonly expect: 'accept' | 'reject';
  readonly decoded: readonly (ValueSpec & { readonly data: readonly unknown[] })[] | null;
}

interface NegativeVector {
  readonly name: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body_b64: string;
}

interface Vectors {
  readonly wire: readonly WireVector[];
  readonly conversion: readonly {
    readonly datatype: Datatype;
    readonly json: string;
    readonly raw_hex: string;
  }[];
  readonly negative: readonly NegativeVector[];
}

/** Mistakes that no codec can see: the model itself is not there. */
const notOfTheMessage = new Set(['unknown-model']);

function load<T>(context: Mocha.Context, file: string): T {
  const whole = path.join(casesRoot, file);
  if (!existsSync(whole)) {
    console.warn(`      SKIPPED: no shared case collection at ${casesRoot}; its ${file} was not replayed`);
    context.skip();
  }
  return JSON.parse(readFileSync(whole, 'utf8')) as T;
}

describe('byte vectors of other implementations', () => {
  let vectors: Vectors;

  before(function () {
    vectors = load(this, 'oip/vectors.json');
  });

  it('messages that others accept decode to the same tensors, the others are refused', () => {
    for (const vector of vectors.wire) {
      const payload = Buffer.from(vector.body_b64, 'base64');
      const length = vector.inference_header_content_length ?? undefined;
      const decode = (): readonly Tensor[] =>
        vector.kind === 'request'
          ? decodeInferRequest(payload, length).inputs
          : decodeInferResponse(payload, length).outputs;
      if (vector.expect === 'reject') {
        expect(thrownBy(decode), vector.name).to.be.instanceOf(TroupeError);
        continue;
      }
      const wanted = (vector.decoded ?? []).map(({ name, datatype, shape, data }) =>
        plain(tensorFromValues(name, datatype, shape, data)),
      );
      expect(decode().map(plain), vector.name).to.deep.equal(wanted);
    }
  });

  it('JSON values and bytes are converted into each other as others do', () => {
    for (const { datatype, json, raw_hex } of vectors.conversion) {
      const text = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[2],"data":${json}}]}`;
      const { inputs } = decodeInferRequest(Buffer.from(text), undefined);
      const { payload, jsonLength } = encodeInferRequest({ inputs }, true);
      expect(Buffer.from(payload.subarray(jsonLength)).toString('hex'), datatype).to.equal(raw_hex);
      const back = encodeInferRequest({ inputs: decodeInferRequest(payload, jsonLength).inputs }, false);
      const again = decodeInferRequest(back.payload, undefined).inputs;
      expect(again.map(plain), datatype).to.deep.equal(inputs.map(plain));
      const digits = json.replaceAll(' ', '').toLowerCase();
      if (datatype !== 'BYTES') expect(Buffer.from(back.payload).toString()).to.include(`"data":${digits}`);
    }
  });

  it('requests that must be refused are refused, with a client error', function () {
    const manifest = load<Manifest>(this, 'manifest.json');
    for (const vector of vectors.negative) {
      if (notOfTheMessage.has(vector.name)) continue;
      const model = manifest.cases.find(({ id }) => id === `real/${vector.model}`) as Signature | undefined;
      expect(model, vector.model).not.to.equal(undefined);
      const header = vector.headers['Inference-Header-Content-Length'];
      const error = thrownBy(() => {
        const payload = Buffer.from(vector.body_b64, 'base64');
        const request = decodeInferRequest(payload, header === undefined ? undefined : Number(header), model);
        validateInputs(model as Signature, request);
      });
      expect(error, vector.name).to.be.instanceOf(TroupeError);
      expect((error as TroupeError).status, vector.name).to.equal(400);
    }
  });
});

describe('requests of the shared case collection', () => {
  let manifest: Manifest;

  before(function () {
    manifest = load(this, 'manifest.json');
  });

  const read = (...parts: string[]): Buffer => readFileSync(path.join(casesRoot, ...parts));

  it('JSON and binary form decode to equal tensors, and fit the signature of their model', () => {
    let both = 0;
    for (const { id, path: folder, inputs, outputs, sets } of manifest.cases) {
      for (const set of sets) {
        if (set.binary === null) continue;
        const bytes = read(folder, set.path, set.binary.request);
        const binary = decodeInferRequest(bytes, set.binary.inference_header_content_length);
        expect(binary.binaryOutput, id).to.equal(true);
        validateInputs({ inputs, outputs }, binary);
        if (set.json?.request == null) continue;
        const json = decodeInferRequest(read(folder, set.path, set.json.request), undefined);
        expect(json.inputs.map(plain), id).to.deep.equal(binary.inputs.map(plain));
        both += 1;
      }
    }
    expect(both).to.be.at.least(160);
  });

  it('every JSON request comes back the same through our own encoder, in both forms', () => {
    for (const { id, path: folder, sets } of manifest.cases) {
      for (const set of sets) {
        if (set.json?.request == null) continue;
        const request = decodeInferRequest(read(folder, set.path, set.json.request), undefined);
        for (const form of [true, false]) {
          const { payload, jsonLength } = encodeInferRequest(request, form);
          const back = decodeInferRequest(payload, jsonLength);
          expect(back.inputs.map(plain), id).to.deep.equal(request.inputs.map(plain));
        }
      }
    }
  });

  it('expected outputs come back the same through our own encoder, in both forms', () => {
    for (const { id, path: folder, sets } of manifest.cases) {
      for (const set of sets) {
        if (set.json?.request == null || set.json.expected === null) continue;
        const text = read(folder, set.path, set.json.expected).toString().replace('{', '{"model_name":"m",');
        if (text.includes('raw_b64')) continue;
        const response = decodeInferResponse(Buffer.from(text), undefined);
        for (const form of [true, false]) {
          const { payload, jsonLength } = encodeInferResponse(response, () => form);
          const back = decodeInferResponse(payload, jsonLength).outputs;
          response.outputs.forEach((output, index) => {
            expect(compareTensors(back[index] as Tensor, output, { absolute: 0, relative: 0 }), id).to.equal(
              undefined,
            );
          });
        }
      }
    }
  });
});
