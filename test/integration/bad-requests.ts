/**
 * Every kind of bad request, in each of the three forms that can say it: SDK, plain NATS with JSON, plain NATS with
 * binary tensors. Data for `bad-input.test.ts`. The model is `rows`: one input `input` FP32 [-1,4].
 */
import type { InferOptions, Inputs } from '@troupe/client';
import { tensor } from '@troupe/client';
import type { ErrorReason } from '@troupe/shared';

export interface BadRequest {
  readonly title: string;
  readonly reason: ErrorReason;
  /** What the message must name. */
  readonly names: RegExp;
  readonly sdk?: { readonly model?: string; readonly inputs: unknown; readonly options?: InferOptions };
  readonly json?: PlainBad;
  readonly binary?: PlainBad;
}

export interface PlainBad {
  /** What follows `<namespace>.infer.`; default `rows`. */
  readonly subject?: string;
  readonly payload: string | Uint8Array;
  /** Value of `Inference-Header-Content-Length`. */
  readonly length?: string;
}

interface BinaryInput {
  readonly name?: string;
  readonly datatype?: string;
  readonly shape?: unknown;
  readonly size?: unknown;
}

const inputText = (members: Readonly<Record<string, string>>) =>
  `{${Object.entries({ name: '"input"', datatype: '"FP32"', shape: '[1,4]', data: '[1,2,3,4]', ...members })
    .map(([key, value]) => `"${key}":${value}`)
    .join(',')}}`;

/** A JSON request with one input, some of its members replaced; values are JSON texts. */
const json = (members: Readonly<Record<string, string>>): PlainBad => ({
  payload: `{"inputs":[${inputText(members)}]}`,
});

/** A binary request: inputs as said, then so many bytes behind the JSON. */
function binary(
  inputs: readonly BinaryInput[],
  bytes = 16,
  length?: (jsonLength: number) => string,
): PlainBad {
  const head = JSON.stringify({
    inputs: inputs.map(({ name = 'input', datatype = 'FP32', shape = [1, 4], size = 16 }) => ({
      name,
      datatype,
      shape,
      parameters: { binary_data_size: size },
    })),
  });
  const jsonLength = Buffer.byteLength(head);
  return {
    payload: Buffer.concat([Buffer.from(head), Buffer.alloc(bytes)]),
    length: length === undefined ? String(jsonLength) : length(jsonLength),
  };
}

const row = Float32Array.of(1, 2, 3, 4);
const oddNames: readonly (readonly [string, string])[] = [
  ['dots', 'a.b.c'],
  ['wildcards', '*.>'],
  ['blanks', 'in put'],
  ['line breaks and a forged record', 'x\n{"level":30,"msg":"forged"}'],
  ['10 kB', 'n'.repeat(10_000)],
];

export const badRequests: readonly BadRequest[] = [
  {
    title: 'an empty payload',
    reason: 'request.empty',
    names: /empty/,
    json: { payload: '' },
    binary: { payload: '', length: '0' },
  },
  {
    title: 'truncated JSON',
    reason: 'request.json_syntax',
    names: /JSON/,
    json: { payload: '{"inputs":[{"name":"input","shape":[1,4' },
    binary: binary([{}], 16, (jsonLength) => String(jsonLength - 5)),
  },
  ...['[]', '7', 'null', '"text"', 'true'].map(
    (payload): BadRequest => ({
      title: `JSON that is not an object (${payload})`,
      reason: 'request.shape',
      names: /JSON object/,
      json: { payload },
    }),
  ),
  {
    title: 'JSON of 250,000 levels',
    reason: 'request.json_depth',
    names: /100 levels/,
    json: { payload: `{"inputs":[${inputText({})}],"other":${'['.repeat(250_000)}${']'.repeat(250_000)}}` },
  },
  {
    title: 'no list of inputs',
    reason: 'request.shape',
    names: /"inputs"/,
    json: { payload: '{"id":"1"}' },
  },
  {
    title: 'an unknown model',
    reason: 'model.unknown',
    names: /rows/,
    sdk: { model: 'row', inputs: row },
    json: { ...json({}), subject: 'row' },
    binary: { ...binary([{}]), subject: 'row' },
  },
  {
    title: 'an unknown version',
    reason: 'model.version_unknown',
    names: /99/,
    sdk: { inputs: row, options: { version: 99 } },
    json: { ...json({}), subject: 'rows.99' },
    binary: { ...binary([{}]), subject: 'rows.99' },
  },
  {
    title: 'an unknown label',
    reason: 'model.label_unknown',
    names: /nightly/,
    sdk: { inputs: row, options: { label: 'nightly' } },
    json: { ...json({}), subject: 'rows.nightly' },
  },
  {
    title: 'a version that is none',
    reason: 'request.name',
    names: /version/,
    sdk: { inputs: row, options: { version: -1 } },
    json: { ...json({}), subject: 'rows.0' },
  },
  {
    title: 'a missing input',
    reason: 'request.input_missing',
    names: /input/,
    sdk: { inputs: {} },
    json: { payload: '{"inputs":[]}' },
    binary: binary([], 0),
  },
  {
    title: 'an extra input',
    reason: 'request.input_unknown',
    names: /extra/,
    sdk: { inputs: { input: row, extra: row } },
    json: { payload: `{"inputs":[${inputText({})},${inputText({ name: '"extra"' })}]}` },
    binary: binary([{}, { name: 'extra' }], 32),
  },
  {
    title: 'a doubled input',
    reason: 'request.input_duplicate',
    names: /input/,
    json: { payload: `{"inputs":[${inputText({})},${inputText({})}]}` },
    binary: binary([{}, {}], 32),
  },
  {
    title: 'a misspelt input',
    reason: 'request.input_unknown',
    names: /did you mean "input"/,
    sdk: { inputs: { inptu: row } },
    json: json({ name: '"inptu"' }),
    binary: binary([{ name: 'inptu' }]),
  },
  {
    title: 'a wrong datatype',
    reason: 'request.tensor_datatype',
    names: /input.*FP32/,
    sdk: { inputs: Float64Array.of(1, 2, 3, 4) },
    json: json({ datatype: '"FP64"' }),
    binary: binary([{ datatype: 'INT32' }]),
  },
  {
    title: 'a datatype that does not exist',
    reason: 'request.tensor_datatype',
    names: /input.*FP31/,
    sdk: { inputs: { data: row, shape: [1, 4], datatype: 'FP31' } },
    json: json({ datatype: '"FP31"' }),
    binary: binary([{ datatype: 'FP31' }]),
  },
  {
    title: 'a rank too low',
    reason: 'request.tensor_shape',
    names: /input.*\[1,4\]/,
    sdk: { inputs: tensor(row, [4]) },
    json: json({ shape: '[4]' }),
    binary: binary([{ shape: [4] }]),
  },
  {
    title: 'a rank too high',
    reason: 'request.tensor_shape',
    names: /input.*\[-1,4\]/,
    sdk: { inputs: tensor(row, [1, 1, 4]) },
    json: json({ shape: '[1,1,4]' }),
    binary: binary([{ shape: [1, 1, 4] }]),
  },
  {
    title: 'wrong dimensions',
    reason: 'request.tensor_shape',
    names: /input.*\[-1,4\]/,
    sdk: { inputs: tensor(row, [4, 1]) },
    json: json({ shape: '[4,1]' }),
    binary: binary([{ shape: [4, 1] }]),
  },
  {
    title: 'fewer elements than the shape takes',
    reason: 'request.tensor_length',
    names: /input.*(8|16 bytes.*32)/,
    sdk: { inputs: tensor(row, [2, 4]) },
    json: json({ shape: '[2,4]' }),
    binary: binary([{ shape: [2, 4] }]),
  },
  {
    title: 'more elements than the shape takes',
    reason: 'request.tensor_length',
    names: /input.*4/,
    sdk: { inputs: tensor(new Float32Array(8), [1, 4]) },
    json: json({ data: '[1,2,3,4,5,6,7,8]' }),
    binary: binary([{ size: 32 }], 32),
  },
  ...[
    ['negative', '-1'],
    ['fractional', '1.5'],
    ['huge', '1e300'],
    ['huge and whole', '9007199254740992'],
  ].map(
    ([kind, dim = '']): BadRequest => ({
      title: `a ${kind} dimension`,
      reason: 'request.tensor_shape',
      names: /input.*dimension 0/,
      sdk: { inputs: { data: row, shape: [Number(dim), 4] } },
      json: json({ shape: `[${dim},4]` }),
      binary: binary([{ shape: [Number(dim), 4] }]),
    }),
  ),
  {
    title: 'dimensions whose product cannot be counted',
    reason: 'request.tensor_shape',
    names: /input.*elements/,
    sdk: { inputs: { data: row, shape: [4503599627370496, 4503599627370496] } },
    json: json({ shape: '[4503599627370496,4503599627370496]' }),
    binary: binary([{ shape: [4503599627370496, 4503599627370496] }]),
  },
  {
    title: 'more elements than any machine holds, with data of four',
    reason: 'request.tensor_length',
    names: /input/,
    sdk: { inputs: { data: row, shape: [1_000_000_000_000, 4] } },
    json: json({ shape: '[1000000000000,4]' }),
    binary: binary([{ shape: [1_000_000_000_000, 4] }]),
  },
  {
    title: 'a binary header length beyond the payload',
    reason: 'request.binary_length',
    names: /Inference-Header-Content-Length/,
    json: { ...json({}), length: '100000' },
    binary: binary([{}], 16, (jsonLength) => String(jsonLength + 17)),
  },
  ...['-1', 'abc', '1e3', '99999999999999999999'].map(
    (length): BadRequest => ({
      title: `a binary header length of ${length}`,
      reason: 'request.binary_length',
      names: /Inference-Header-Content-Length/,
      binary: binary([{}], 16, () => length),
    }),
  ),
  {
    title: 'a binary tensor beyond the payload',
    reason: 'request.binary_length',
    names: /input.*only 12 bytes/,
    binary: binary([{}], 12),
  },
  {
    title: 'bytes behind the last tensor',
    reason: 'request.binary_length',
    names: /1 bytes behind/,
    binary: binary([{}], 17),
  },
  {
    title: 'a binary size that is no number of bytes',
    reason: 'request.binary_length',
    names: /input.*-16/,
    binary: binary([{ size: -16 }]),
  },
  {
    title: 'a binary tensor without the header that says where it begins',
    reason: 'request.binary_length',
    names: /input.*Inference-Header-Content-Length/,
    json: {
      payload:
        '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"parameters":{"binary_data_size":16}}]}',
    },
  },
  {
    title: 'a number beyond single precision',
    reason: 'request.tensor_value',
    names: /input.*element 1/,
    json: json({ data: '[1,1e39,3,4]' }),
  },
  {
    title: 'a number beyond INT8',
    reason: 'request.tensor_value',
    names: /input.*127/,
    sdk: { model: 'small', inputs: [[1, 300, 3, 4]] },
    json: { ...json({ datatype: '"INT8"', data: '[1,300,3,4]' }), subject: 'small' },
  },
  {
    title: 'a fraction for INT8',
    reason: 'request.tensor_value',
    names: /input/,
    sdk: { model: 'small', inputs: [[1, 0.5, 3, 4]] },
    json: { ...json({ datatype: '"INT8"', data: '[1,0.5,3,4]' }), subject: 'small' },
  },
  {
    title: 'text in place of numbers',
    reason: 'request.tensor_value',
    names: /input.*element 0/,
    json: json({ data: '["1","2","3","4"]' }),
  },
  {
    title: 'null among the numbers',
    reason: 'request.tensor_value',
    names: /input.*element 1/,
    json: json({ data: '[1,null,3,4]' }),
  },
  {
    title: 'an output that the model does not have',
    reason: 'request.output_unknown',
    names: /result.*output/,
    sdk: { inputs: row, options: { outputs: ['result'] } },
    json: { payload: `{"inputs":[${inputText({})}],"outputs":[{"name":"result"}]}` },
  },
  {
    title: 'an output asked for twice',
    reason: 'request.output_duplicate',
    names: /output/,
    sdk: { inputs: row, options: { outputs: ['output', 'output'] } },
    json: { payload: `{"inputs":[${inputText({})}],"outputs":[{"name":"output"},{"name":"output"}]}` },
  },
  ...oddNames.map(
    ([what, name]): BadRequest => ({
      title: `an input name with ${what}`,
      reason: 'request.input_unknown',
      names: /^.{1,400}$/, // one line, and not the 10 kB back again
      sdk: { inputs: { [name]: row } },
      json: json({ name: JSON.stringify(name) }),
      binary: binary([{ name }]),
    }),
  ),
  ...oddNames.map(
    ([what, name]): BadRequest => ({
      title: `a model name with ${what}`,
      reason: 'model.name',
      names: /^.{1,400}$/,
      sdk: { model: name, inputs: row },
      // A subject has no blanks, and the server takes no line of more than 4 kB.
      ...(/\s/.test(name) || name.length > 3_000 ? {} : { json: { ...json({}), subject: name } }),
    }),
  ),
  {
    title: 'a model name of 3 kB',
    reason: 'model.name',
    names: /^.{1,400}$/,
    json: { ...json({}), subject: 'n'.repeat(3_000) },
  },
];

/** The SDK's inputs as JavaScript callers pass them: anything. */
export function asInputs(value: unknown): Inputs {
  return value as Inputs;
}
