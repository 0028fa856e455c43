import { readdirSync, readFileSync } from 'node:fs';
import { decodeInferRequest, decodeInferResponse } from '@troupe/shared';
import { expect } from 'chai';
import { plain } from './tensors.js';

const fixtures = new URL('./fixtures/', import.meta.url);

interface WireFixture {
  readonly name: string;
  readonly kind: 'request' | 'response';
  readonly json_length: number | null;
  readonly payload_base64: string;
  /** Members besides the tensors. */
  readonly rest: object;
  readonly tensors: readonly object[];
}

function load(file: string): readonly WireFixture[] {
  const { messages } = JSON.parse(readFileSync(new URL(file, fixtures), 'utf8')) as {
    messages: WireFixture[];
  };
  return messages;
}

describe('wire bytes of releases', () => {
  for (const file of readdirSync(fixtures)) {
    it(`${file}: every message still decodes to what it was`, () => {
      const messages = load(file);
      expect(messages).to.have.lengthOf.at.least(1);
      for (const { name, kind, json_length, payload_base64, rest, tensors } of messages) {
        const payload = Buffer.from(payload_base64, 'base64');
        if (kind === 'request') {
          const { inputs, ...others } = decodeInferRequest(payload, json_length ?? undefined);
          expect({ rest: others, tensors: inputs.map(plain) }, name).to.deep.equal({ rest, tensors });
        } else {
          const { outputs, ...others } = decodeInferResponse(payload, json_length ?? undefined);
          expect({ rest: others, tensors: outputs.map(plain) }, name).to.deep.equal({ rest, tensors });
        }
      }
    });
  }

  it('the worked example: 306 bytes of JSON, then FP16 1.0, then INT32 1; BYTES "test" is in the JSON', () => {
    const example = load('wire-0.1.0.json').find(({ name }) => name.includes('worked example'));
    const payload = Buffer.from(example?.payload_base64 ?? '', 'base64');
    expect(example?.json_length).to.equal(306);
    expect(payload.subarray(306).toString('hex')).to.equal('003c01000000');
    expect(decodeInferResponse(payload, 306).outputs.map(plain)).to.deep.equal([
      { name: 'output1', datatype: 'FP16', shape: [1], data: '003c' },
      { name: 'output2', datatype: 'INT32', shape: [1], data: '01000000' },
      { name: 'output3', datatype: 'BYTES', shape: [1], data: ['test'] },
    ]);
  });
});
