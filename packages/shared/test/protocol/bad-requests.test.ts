import {
  decodeInferRequest,
  decodeInferResponse,
  type ErrorReason,
  type Signature,
  TroupeError,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { plain, thrownBy } from './tensors.js';

const input = (members: string): string => `{"inputs":[{"name":"x",${members}}]}`;
const fp32 = (shape: string, data: string): string =>
  input(`"datatype":"FP32","shape":${shape},"data":${data}`);
const typed = (datatype: string, data: string): string =>
  input(`"datatype":"${datatype}","shape":[1],"data":${data}`);
const binary = (datatype: string, shape: string, size: string): string =>
  input(`"datatype":"${datatype}","shape":${shape},"parameters":{"binary_data_size":${size}}`);
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** JSON, the reason it is refused for, and what the message must name. */
const badJson: readonly (readonly [string, ErrorReason, RegExp])[] = [
  ['', 'request.empty', /empty/],
  ['not json', 'request.json_syntax', /cannot be parsed/],
  ['{"inputs":[', 'request.json_syntax', /cannot be parsed/],
  [fp32('[1]', '[NaN]'), 'request.json_syntax', /cannot be parsed/],
  [fp32('[1]', '[Infinity]'), 'request.json_syntax', /cannot be parsed/],
  ['\ufeff{"inputs":[]}', 'request.json_syntax', /cannot be parsed/],
  ['null', 'request.shape', /JSON object, not null/],
  ['[]', 'request.shape', /JSON object, not an array/],
  ['{}', 'request.shape', /"inputs".*missing/],
  ['{"inputs":{}}', 'request.shape', /"inputs" must be an array/],
  ['{"inputs":[1]}', 'request.shape', /inputs\[0\]: must be an object/],
  ['{"inputs":[],"id":7}', 'request.shape', /"id" must be a string/],
  ['{"inputs":[],"outputs":{}}', 'request.shape', /"outputs" must be an array/],
  ['{"inputs":[],"outputs":["y"]}', 'request.shape', /outputs\[0\] must be an object/],
  ['{"inputs":[],"outputs":[{}]}', 'request.shape', /outputs\[0\]: "name"/],
  ['{"__proto__":{"inputs":[]}}', 'request.shape', /"inputs".*missing/],
  ['{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}', 'request.shape', /inputs\[0\]: "name"/],
  [input('"datatype":"FP32","shape":[1]'), 'request.shape', /inputs\[0\] "x": has neither/],
  [
    input('"datatype":"FP32","shape":[1],"data":[1],"parameters":{"binary_data_size":4}'),
    'request.shape',
    /inputs\[0\] "x": has both/,
  ],
  ['{"inputs":[],"parameters":[]}', 'request.parameter', /"parameters" must be an object/],
  ['{"inputs":[],"parameters":{"a":null}}', 'request.parameter', /"a" must be/],
  ['{"inputs":[],"parameters":{"a":1e999}}', 'request.parameter', /"a" must be/],
  ['{"inputs":[],"parameters":{"a":{}}}', 'request.parameter', /"a" must be/],
  ['{"inputs":[],"parameters":{"__proto__":"a"}}', 'request.parameter', /__proto__/],
  ['{"inputs":[],"parameters":{"binary_data_output":"yes"}}', 'request.parameter', /binary_data_output/],
  [
    '{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":1}}]}',
    'request.parameter',
    /"y".*binary_data/,
  ],
  [
    `{"inputs":[${'{"name":"x","datatype":"FP32","shape":[1],"data":[1]},'.repeat(2).slice(0, -1)}]}`,
    'request.input_duplicate',
    /inputs\[1\] "x"/,
  ],
  [
    `{"inputs":[],"outputs":[${Array.from({ length: 40 }, (_, at) => `{"name":"y${at % 39}"}`).join(',')}]}`,
    'request.output_duplicate',
    /outputs\[39\] "y0"/,
  ],
  [typed('FP31', '[1]'), 'request.tensor_datatype', /"x": "datatype" "FP31"/],
  [typed('BF16', '[1]'), 'request.tensor_datatype', /BF16/],
  [typed('constructor', '[1]'), 'request.tensor_datatype', /constructor/],
  [input('"shape":[1],"data":[1]'), 'request.tensor_datatype', /"x": "datatype" undefined/],
  [input('"datatype":"FP32","data":[1]'), 'request.tensor_shape', /"x": "shape" must be an array/],
  [fp32('[-1]', '[1]'), 'request.tensor_shape', /dimension 0 .*not -1/],
  [fp32('[1.5]', '[1]'), 'request.tensor_shape', /not 1.5/],
  [fp32('["1"]', '[1]'), 'request.tensor_shape', /not "1"/],
  [fp32('[1e300]', '[1]'), 'request.tensor_shape', /not 1e\+300/],
  [fp32('[16,1152921504606846978]', '[1]'), 'request.tensor_shape', /dimension 1/],
  [
    fp32('[4503599627370496,4503599627370496]', '[1]'),
    'request.tensor_shape',
    /more elements than can be counted/,
  ],
  [fp32('[0,4503599627370496,4503599627370496]', '[]'), 'request.tensor_shape', /more elements/],
  [fp32('[2251799813685248]', '[1]'), 'request.tensor_shape', /more elements/],
  [fp32('[2]', '[1]'), 'request.tensor_length', /holds 1 elements, shape \[2\] takes 2/],
  [fp32('[1]', '[1,2]'), 'request.tensor_length', /holds 2/],
  [fp32('[1000000000]', '[1]'), 'request.tensor_length', /takes 1000000000/],
  [fp32('[1000000000,100000]', '[[1]]'), 'request.tensor_length', /dimension 0/],
  [fp32('[2,2]', '[[1,2],[3]]'), 'request.tensor_length', /holds 1 where dimension 1/],
  [fp32('[]', '[]'), 'request.tensor_length', /shape \[\] takes 1/],
  [fp32('[2,2]', '[[1,2],3]'), 'request.tensor_shape', /nested as shape \[2,2\]/],
  [fp32('[2,1]', '[[[1]],[[2]]]'), 'request.tensor_shape', /nested otherwise/],
  [fp32('[2]', '[[1],[2]]'), 'request.tensor_shape', /nested otherwise/],
  [fp32('[1]', '1'), 'request.tensor_value', /"data" must be an array/],
  [fp32('[1]', '{"0":1}'), 'request.tensor_value', /"data" must be an array, not an object/],
  [fp32('[1]', '["1"]'), 'request.tensor_value', /element 0 of "data" is "1"; FP32 takes/],
  [fp32('[2]', '[1,null]'), 'request.tensor_value', /element 1 .* null/],
  [fp32('[1]', '[true]'), 'request.tensor_value', /true/],
  [fp32('[1]', '["NaN"]'), 'request.tensor_value', /"NaN"/],
  [fp32('[1]', '[1e39]'), 'request.tensor_value', /single precision/],
  [typed('FP64', '[1e999]'), 'request.tensor_value', /Infinity/],
  [typed('FP16', '[65520]'), 'request.tensor_value', /half precision/],
  [typed('UINT8', '[-1]'), 'request.tensor_value', /from 0 to 255/],
  [typed('UINT8', '[256]'), 'request.tensor_value', /256/],
  [typed('INT8', '[-129]'), 'request.tensor_value', /-129/],
  [typed('UINT16', '[65536]'), 'request.tensor_value', /65535/],
  [typed('INT16', '[32768]'), 'request.tensor_value', /32767/],
  [typed('UINT32', '[4294967296]'), 'request.tensor_value', /4294967295/],
  [typed('INT32', '[2147483648]'), 'request.tensor_value', /2147483647/],
  [typed('INT32', '[0.5]'), 'request.tensor_value', /integers/],
  [typed('INT64', '[0.5]'), 'request.tensor_value', /integers/],
  [typed('INT64', '["1"]'), 'request.tensor_value', /integers/],
  [typed('INT64', '[9223372036854775808]'), 'request.tensor_value', /from -9223372036854775808 to/],
  [typed('INT64', '[1e18]'), 'request.tensor_value', /plain digits/],
  [typed('UINT64', '[18446744073709551616]'), 'request.tensor_value', /to 18446744073709551615/],
  [typed('UINT64', '[-1]'), 'request.tensor_value', /from 0/],
  [typed('UINT64', `[${'9'.repeat(100_000)}]`), 'request.tensor_value', /from 0/],
  [typed('BOOL', '[2]'), 'request.tensor_value', /true, false, 0 and 1/],
  [typed('BOOL', '["true"]'), 'request.tensor_value', /true, false, 0 and 1/],
  [typed('BYTES', '[1]'), 'request.tensor_value', /strings/],
  [typed('BYTES', '["\\ud800"]'), 'request.tensor_value', /well-formed/],
  [binary('FP32', '[1]', '4'), 'request.binary_length', /without Inference-Header-Content-Length/],
  [fp32('[1]', nested(120)), 'request.json_depth', /100 levels/],
  [fp32(`[${'1,'.repeat(119)}1]`, nested(120)), 'request.json_depth', /100 levels/],
  [fp32('[1]', nested(250_000)), 'request.json_depth', /100 levels/],
  [nested(250_000), 'request.json_depth', /100 levels/],
  [`{"inputs":[],"other":${nested(250_000)}}`, 'request.json_depth', /100 levels/],
  [
    `{"inputs":[],"other":${'{"a":'.repeat(250_000)}1${'}'.repeat(250_000)}}`,
    'request.json_depth',
    /100 levels/,
  ],
  [`{"inputs":[],"parameters":{"a":${nested(120)}}}`, 'request.json_depth', /100 levels/],
  [`{"inputs":[],"id":${nested(120)}}`, 'request.json_depth', /100 levels/],
  [`{"inputs":${nested(250_000)}}`, 'request.json_depth', /100 levels/],
  [
    `{"other":${nested(250_000)},"other":1,"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9007199254740993]}]}`,
    'request.json_depth',
    /100 levels/,
  ],
];

/** The bytes behind the JSON, and the reason the whole is refused for. */
const badBinary: readonly (readonly [string, string, ErrorReason, RegExp])[] = [
  [binary('FP32', '[1]', '-4'), '0000803f', 'request.binary_length', /non-negative/],
  [binary('FP32', '[1]', '4.5'), '0000803f', 'request.binary_length', /4\.5/],
  [binary('FP32', '[1]', '"4"'), '0000803f', 'request.binary_length', /"4"/],
  [binary('FP32', '[1]', '4294967300'), '0000803f', 'request.binary_length', /only 4 bytes are left/],
  [binary('FP32', '[2]', '8'), '0000803f', 'request.binary_length', /only 4 bytes/],
  [binary('FP32', '[1]', '4'), '0000803f00', 'request.binary_length', /1 bytes behind the JSON/],
  [fp32('[1]', '[1]'), '0000803f', 'request.binary_length', /4 bytes behind the JSON/],
  [
    binary('FP32', '[2]', '4'),
    '0000803f',
    'request.tensor_length',
    /has 4 bytes, FP32 of shape \[2\] takes 8/,
  ],
  [binary('INT8', '[1]', '2'), '0000', 'request.tensor_length', /takes 1/],
  [binary('BOOL', '[2]', '2'), '0102', 'request.tensor_value', /element 1 is byte 2/],
  [binary('BYTES', '[1]', '5'), '0200000061', 'request.tensor_length', /element 0 is longer/],
  [binary('BYTES', '[1]', '3'), '000000', 'request.tensor_length', /element 0 is longer/],
  [binary('BYTES', '[1]', '5'), 'ffffffff61', 'request.tensor_length', /element 0 is longer/],
  [binary('BYTES', '[2]', '5'), '0100000061', 'request.tensor_length', /hold 1 elements/],
  [binary('BYTES', '[1]', '10'), '01000000610100000062', 'request.tensor_length', /more than 1/],
  [binary('BYTES', '[0]', '5'), '0100000061', 'request.tensor_length', /more than 0/],
  [binary('BYTES', '[1]', '5'), '01000000ff', 'request.tensor_value', /not UTF-8/],
  [binary('BYTES', '[2]', '10'), '01000000c301000000a4', 'request.tensor_value', /element 0 is not UTF-8/],
];

function expectRefusal(run: () => unknown, reason: ErrorReason, names: RegExp): void {
  const error = thrownBy(run);
  expect(error, `${names}`).to.be.instanceOf(TroupeError);
  expect(error as TroupeError, `${names}`).to.have.property('reason', reason);
  expect((error as TroupeError).message).to.match(names);
  expect((error as TroupeError).message).to.have.lengthOf.below(600);
}

describe('requests that are refused', () => {
  it('JSON that says something wrong is refused by reason, naming the field', () => {
    for (const [json, reason, names] of badJson) {
      expectRefusal(() => decodeInferRequest(Buffer.from(json), undefined), reason, names);
    }
  });

  it('binary parts that contradict the JSON are refused by reason, naming the tensor', () => {
    for (const [json, hex, reason, names] of badBinary) {
      const payload = Buffer.concat([Buffer.from(json), Buffer.from(hex, 'hex')]);
      expectRefusal(() => decodeInferRequest(payload, Buffer.byteLength(json)), reason, names);
    }
  });

  it('a header length that is no length within the message is refused', () => {
    const payload = Buffer.from('{"inputs":[]}');
    for (const length of [-1, 14, 5000, 2 ** 31, 2 ** 53, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expectRefusal(
        () => decodeInferRequest(payload, length),
        'request.binary_length',
        /Inference-Header-Content-Length/,
      );
    }
    expectRefusal(() => decodeInferRequest(payload, 5), 'request.json_syntax', /cannot be parsed/);
    expectRefusal(() => decodeInferRequest(Buffer.alloc(0), 0), 'request.empty', /empty/);
  });

  it('JSON that is not UTF-8 is refused', () => {
    const payload = Buffer.concat([
      Buffer.from('{"inputs":[],"id":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    expectRefusal(() => decodeInferRequest(payload, undefined), 'request.json_syntax', /not UTF-8/);
  });

  it('a tensor above the limit of elements is refused', () => {
    const payload = Buffer.from(fp32('[3]', '[1,2,3]'));
    expect(decodeInferRequest(payload, undefined, undefined, { maxElements: 3 }).inputs).to.have.lengthOf(1);
    expectRefusal(
      () => decodeInferRequest(payload, undefined, undefined, { maxElements: 2 }),
      'request.too_large',
      /more than 2 elements/,
    );
  });

  it('a message that cannot be parsed never brings a line break into the error', () => {
    const error = thrownBy(() => decodeInferRequest(Buffer.from('{"a":\r\nforged: yes\r\n'), undefined));
    expect((error as TroupeError).message).not.to.match(/\p{Cc}/u);
  });

  it('names of 10 kB are refused in short messages', () => {
    const json = `{"inputs":[{"name":"${'n'.repeat(10_000)}","datatype":"FP32","shape":[1],"data":[]}]}`;
    expectRefusal(
      () => decodeInferRequest(Buffer.from(json), undefined),
      'request.tensor_length',
      /nnn\.\.\./,
    );
  });

  it('answers that are wrong in any way are malformed answers', () => {
    const answers = [
      '',
      'x',
      '{}',
      '{"outputs":[]}',
      '{"model_name":1,"outputs":[]}',
      '{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":["a"]}]}',
      '{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[0],"data":[]},{"name":"y","datatype":"FP32","shape":[0],"data":[]}]}',
    ];
    for (const json of answers) {
      expectRefusal(
        () => decodeInferResponse(Buffer.from(json), undefined),
        'answer.malformed',
        /cannot be decoded/,
      );
    }
  });

  it('nothing that is thrown at the decoder makes it throw anything but a typed error', () => {
    const decode = (payload: Uint8Array, length: number | undefined): void => {
      for (const run of [
        () => decodeInferRequest(payload, length),
        () => decodeInferResponse(payload, length),
        () => decodeInferRequest(payload, length, oneInput('FP32', [-1, 4])),
      ]) {
        const error = thrownBy(run);
        if (error !== undefined) expect(error).to.be.instanceOf(TroupeError);
      }
    };
    const length = fc.option(fc.oneof(fc.integer({ min: -2, max: 300 }), fc.double()), { nil: undefined });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), length, decode));
    // Any JSON where the decoder expects something, and real messages with a byte changed.
    const key = fc.constantFrom('name', 'shape', 'datatype', 'data', 'parameters', '__proto__', 'extra');
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom<unknown>('FP32', 'INT64', 'BYTES', 'BOOL', [1], [2, 2], [0], 2 ** 60, {
        binary_data_size: 4,
      }),
    );
    const entry = fc.oneof(fc.dictionary(key, value), value);
    const member = fc.oneof(fc.array(entry, { maxLength: 3 }), value);
    const message = fc.dictionary(
      fc.constantFrom('id', 'inputs', 'outputs', 'parameters', 'model_name'),
      member,
    );
    fc.assert(
      fc.property(message, length, (json, at) => decode(Buffer.from(JSON.stringify(json)), at)),
      { numRuns: 500 },
    );
    const good = Buffer.concat([Buffer.from(binary('FP32', '[1]', '4')), Buffer.from('0000803f', 'hex')]);
    fc.assert(
      fc.property(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const changed = Buffer.from(good);
        changed[at] = byte;
        decode(changed, good.length - 4);
      }),
      { numRuns: 500 },
    );
  });
});

function oneInput(datatype: 'FP32' | 'BYTES' | 'UINT8', shape: readonly number[] | undefined): Signature {
  return { inputs: [{ name: 'x', datatype, shape }], outputs: [] };
}

describe('requests that are accepted', () => {
  const accepted: readonly (readonly [string, object])[] = [
    [fp32('[]', '[5]'), { datatype: 'FP32', shape: [], data: '0000a040' }],
    [fp32('[]', '5'), { datatype: 'FP32', shape: [], data: '0000a040' }],
    [fp32('[2,0]', '[]'), { datatype: 'FP32', shape: [2, 0], data: '' }],
    [fp32('[2,0]', '[[],[]]'), { datatype: 'FP32', shape: [2, 0], data: '' }],
    [fp32('[0,2]', '[]'), { datatype: 'FP32', shape: [0, 2], data: '' }],
    [fp32('[1]', '[-0]'), { datatype: 'FP32', shape: [1], data: '00000080' }],
    [typed('FP32', '[3.4028235e38]'), { datatype: 'FP32', shape: [1], data: 'ffff7f7f' }],
    [typed('FP16', '[65519]'), { datatype: 'FP16', shape: [1], data: 'ff7b' }],
    [typed('BOOL', '[1]'), { datatype: 'BOOL', shape: [1], data: '01' }],
    [typed('BOOL', '[true]'), { datatype: 'BOOL', shape: [1], data: '01' }],
    [typed('INT32', '[1.0]'), { datatype: 'INT32', shape: [1], data: '01000000' }],
    [typed('INT64', '[-9223372036854775808]'), { datatype: 'INT64', shape: [1], data: '0000000000000080' }],
    [
      typed('INT64', '[[9223372036854775807]]').replace('[1]', '[1,1]'),
      { datatype: 'INT64', shape: [1, 1], data: 'ffffffffffffff7f' },
    ],
    [typed('INT64', '[-1]'), { datatype: 'INT64', shape: [1], data: 'ffffffffffffffff' }],
    [typed('INT64', '[-9007199254740993]'), { datatype: 'INT64', shape: [1], data: 'ffffffffffffdfff' }],
    [typed('UINT64', '[18446744073709551615]'), { datatype: 'UINT64', shape: [1], data: 'ffffffffffffffff' }],
    [typed('UINT64', '[9007199254740993]'), { datatype: 'UINT64', shape: [1], data: '0100000000002000' }],
    [typed('BYTES', '["\\u0000\\ud83d\\ude00"]'), { datatype: 'BYTES', shape: [1], data: ['\u0000😀'] }],
    [typed('BYTES', '["\ufffd"]'), { datatype: 'BYTES', shape: [1], data: ['\ufffd'] }],
    [
      '{"id":null,"outputs":null,"parameters":null,"unknown":[{}],"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[7],"parameters":null}]}',
      { datatype: 'UINT8', shape: [1], data: '07' },
    ],
  ];

  it('JSON tensors at the edges of their datatypes and shapes have the right bits', () => {
    for (const [json, tensor] of accepted) {
      const request = decodeInferRequest(Buffer.from(json), undefined);
      expect(request.inputs.map(plain), json).to.deep.equal([{ name: 'x', ...tensor }]);
    }
  });

  it('an empty list of outputs asks for all of them', () => {
    expect(decodeInferRequest(Buffer.from('{"inputs":[],"outputs":[]}'), undefined)).to.deep.equal({
      parameters: {},
      inputs: [],
      binaryOutput: false,
    });
  });

  it('names like __proto__ are names, and change no object', () => {
    const json =
      '{"__proto__":{"id":"a"},"inputs":[{"name":"__proto__","datatype":"INT64","shape":[1],"data":[9007199254740993],"__proto__":{"data":[1]}}],"outputs":[{"name":"__proto__"}]}';
    const request = decodeInferRequest(Buffer.from(json), undefined);
    expect(request.id).to.equal(undefined);
    expect(request.inputs.map(plain)).to.deep.equal([
      { name: '__proto__', datatype: 'INT64', shape: [1], data: '0100000000002000' },
    ]);
    expect(Object.getPrototypeOf(request)).to.equal(Object.prototype);
    expect('id' in {}).to.equal(false);
  });

  it('nesting of exactly 100 levels is accepted, 101 is not', () => {
    const message = (levels: number): Buffer => Buffer.from(`{"inputs":[],"extra":${nested(levels)}}`);
    expect(decodeInferRequest(message(99), undefined).inputs).to.deep.equal([]);
    expectRefusal(() => decodeInferRequest(message(100), undefined), 'request.json_depth', /100/);
    const deepTensor = (rank: number): Buffer =>
      Buffer.from(fp32(`[${Array(rank).fill(1).join(',')}]`, `${'['.repeat(rank)}1${']'.repeat(rank)}`));
    expect(decodeInferRequest(deepTensor(97), undefined).inputs[0]?.shape).to.have.lengthOf(97);
    expectRefusal(() => decodeInferRequest(deepTensor(98), undefined), 'request.json_depth', /100/);
  });
});

describe('raw requests', () => {
  const floats = Buffer.from('0000803f000000400000404000008040', 'hex');

  it('the body is the one input, its variable dimension deduced, all outputs binary', () => {
    for (const [shape, deduced] of [
      [
        [-1, 4],
        [1, 4],
      ],
      [
        [-1, 2],
        [2, 2],
      ],
      [
        [2, -1],
        [2, 2],
      ],
      [
        [1, 4],
        [1, 4],
      ],
      [[-1], [4]],
      [[4], [4]],
    ] as const) {
      const request = decodeInferRequest(floats, 0, oneInput('FP32', shape));
      expect(request.binaryOutput).to.equal(true);
      expect(request.inputs.map(plain)).to.deep.equal([
        {
          name: 'x',
          datatype: 'FP32',
          shape: deduced,
          data: floats.toString('hex'),
        },
      ]);
    }
  });

  it('BYTES is one element, the body itself', () => {
    for (const shape of [[1], [-1], [-1, 1]]) {
      const request = decodeInferRequest(Buffer.from('grüezi'), 0, oneInput('BYTES', shape));
      expect(request.inputs[0]?.data).to.deep.equal(['grüezi']);
      expect(request.inputs[0]?.shape).to.deep.equal(shape.map(() => 1));
    }
  });

  it('what leaves the shape open, or does not fill it, is refused', () => {
    const two: Signature = {
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [4] },
        { name: 'y', datatype: 'FP32', shape: [4] },
      ],
      outputs: [],
    };
    expectRefusal(() => decodeInferRequest(floats, 0), 'request.binary_length', /inputs are known/);
    expectRefusal(() => decodeInferRequest(floats, 0, two), 'request.binary_length', /this one has 2/);
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('FP32', [-1, -1])),
      'request.tensor_shape',
      /\[-1,-1\]/,
    );
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('FP32', undefined)),
      'request.tensor_shape',
      /any rank/,
    );
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('FP32', [-1, 3])),
      'request.tensor_length',
      /16 bytes/,
    );
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('FP32', [-1, 0])),
      'request.tensor_length',
      /16 bytes/,
    );
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('FP32', [5])),
      'request.tensor_length',
      /takes 20/,
    );
    expectRefusal(
      () => decodeInferRequest(floats, 0, oneInput('BYTES', [2])),
      'request.tensor_shape',
      /one element/,
    );
    expectRefusal(
      () => decodeInferRequest(Buffer.from([0xff]), 0, oneInput('BYTES', [1])),
      'request.tensor_value',
      /UTF-8/,
    );
  });
});
