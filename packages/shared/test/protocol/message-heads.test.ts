/** What is remembered of JSON parts gives the same tensors and bytes as the long way, or nothing. */

import {
  decodeInferRequest,
  encodeInferRequest,
  HeadCache,
  joinMessage,
  partsOf,
  readParts,
  reusableHead,
  type Tensor,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { datatypes, plain, tensorOf } from './tensors.js';

const numeric = datatypes.filter((datatype) => datatype !== 'BYTES' && datatype !== 'BOOL');
const tensors = fc.uniqueArray(
  fc.constantFrom(...numeric).chain((datatype) => tensorOf(datatype, false)),
  { minLength: 1, maxLength: 3, selector: ({ name }) => name },
);
const flipped = ({ data, ...rest }: Tensor): Tensor => ({
  ...rest,
  data: (data as Uint8Array).map((byte) => byte ^ 255),
});

describe('remembered JSON parts', () => {
  it('a message with a known beginning reads as the codec reads it, and is written as the codec writes it', () => {
    fc.assert(
      fc.property(tensors, (inputs) => {
        const first = encodeInferRequest({ inputs, binaryOutput: true }, true);
        const head = reusableHead(first, inputs);
        const second = inputs.map(flipped);
        const joined = joinMessage(head as Buffer, second);
        expect(
          Buffer.compare(
            joined.payload,
            encodeInferRequest({ inputs: second, binaryOutput: true }, true).payload,
          ),
        ).to.equal(0);
        const cache = new HeadCache<ReturnType<typeof partsOf>>();
        const parts = partsOf(
          first.payload,
          first.jsonLength,
          decodeInferRequest(first.payload, first.jsonLength).inputs,
        );
        cache.learn(first.payload, first.jsonLength as number, parts);
        const found = cache.find(joined.payload, joined.jsonLength);
        const read = readParts(found ?? [], joined.payload, joined.jsonLength as number);
        expect(read?.map(plain)).to.deep.equal(second.map(plain));
        // One byte more or less than the JSON says is the codec's to refuse.
        const longer = Buffer.concat([joined.payload, Buffer.alloc(1)]);
        expect(readParts(found ?? [], longer, joined.jsonLength as number)).to.equal(undefined);
      }),
    );
  });

  it('nothing is remembered of tensors in JSON, of strings, and of BOOL, whose bytes have to be looked at', () => {
    const of = (inputs: Tensor[], binary: boolean) => {
      const { jsonLength, payload } = encodeInferRequest({ inputs }, binary);
      return partsOf(payload, jsonLength, decodeInferRequest(payload, jsonLength).inputs);
    };
    const number: Tensor = { name: 'n', datatype: 'FP32', shape: [1], data: new Uint8Array(4) };
    expect(of([number], true)).to.have.length(1);
    expect(of([number], false)).to.equal(undefined);
    expect(of([number, { name: 'b', datatype: 'BOOL', shape: [1], data: new Uint8Array(1) }], true)).to.equal(
      undefined,
    );
    expect(of([number, { name: 's', datatype: 'BYTES', shape: [1], data: ['x'] }], true)).to.equal(undefined);
  });

  it('a beginning that differs in one byte, or is cut short, is not known', () => {
    const cache = new HeadCache<string>();
    const message = Buffer.from('{"inputs":[]}1234');
    cache.learn(message, 13, 'known');
    expect(cache.find(Buffer.from('{"inputs":[]}9999'), 13)).to.equal('known');
    expect(cache.find(Buffer.from('{"inputs":[}}1234'), 13)).to.equal(undefined);
    expect(cache.find(message.subarray(0, 12), 13)).to.equal(undefined);
    expect(cache.find(message, 12)).to.equal(undefined);
    expect(cache.find(message, undefined)).to.equal(undefined);
  });

  it('however many are learnt, those in use stay known', () => {
    const cache = new HeadCache<number>();
    const bytes = (text: number) => Buffer.from(`head ${String(text).padStart(6)}`);
    cache.learn(bytes(0), 11, 0);
    for (let other = 1; other <= 1_000; other += 1) {
      expect(cache.find(bytes(0), 11)).to.equal(0);
      cache.learn(bytes(other), 11, other);
    }
  });
});
