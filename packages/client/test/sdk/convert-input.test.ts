/** Inputs of every datatype, in every form that they may take, and every refusal with its words. */
import { type Datatype, fromHalfArray, type NumericDatatype, type TensorSpec, viewAs } from '@troupe/shared';
import { expect } from 'chai';
import { convertInput } from '../../src/sdk/convert-input.js';
import { tensor } from '../../src/sdk/input-tensor.js';
import { expectThrow } from '../expect-error.js';

function spec(datatype: Datatype, shape: readonly number[] | undefined): TensorSpec {
  return { name: 'x', datatype, shape };
}

/** What is sent, as numbers people can read. */
function sent(datatype: Datatype, value: unknown, shape: readonly number[] | undefined = [-1]): unknown[] {
  const converted = convertInput(spec(datatype, shape), value);
  expect(converted.datatype).to.equal(datatype);
  if (converted.data instanceof Uint8Array) {
    return Array.from(viewAs(datatype as NumericDatatype, converted.data) as ArrayLike<unknown>);
  }
  return [...converted.data];
}

/** A value in a title. */
function kindOf(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Object.prototype.toString.call(value).slice(8, -1);
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

describe('inputs of each datatype', () => {
  const accepted: readonly [Datatype, string, unknown, readonly unknown[]][] = [
    ['BOOL', 'booleans', [true, false], [1, 0]],
    ['BOOL', 'a Uint8Array of 0 and 1', Uint8Array.of(1, 0), [1, 0]],
    ['UINT8', 'numbers', [0, 255], [0, 255]],
    ['UINT8', 'a Uint8Array', Uint8Array.of(0, 255), [0, 255]],
    ['UINT8', 'a Buffer', Buffer.from([7, 8]), [7, 8]],
    ['UINT8', 'a Uint8ClampedArray', Uint8ClampedArray.of(7, 8), [7, 8]],
    ['UINT16', 'numbers', [0, 65_535], [0, 65_535]],
    ['UINT16', 'a Uint16Array', Uint16Array.of(0, 65_535), [0, 65_535]],
    ['UINT32', 'numbers', [0, 4_294_967_295], [0, 4_294_967_295]],
    ['UINT32', 'a Uint32Array', Uint32Array.of(4_294_967_295), [4_294_967_295]],
    ['UINT64', 'bigints', [0n, 18_446_744_073_709_551_615n], [0n, 18_446_744_073_709_551_615n]],
    ['UINT64', 'safe integers', [0, Number.MAX_SAFE_INTEGER], [0n, 9_007_199_254_740_991n]],
    ['UINT64', 'a BigUint64Array', BigUint64Array.of(1n), [1n]],
    ['INT8', 'numbers', [-128, 127], [-128, 127]],
    ['INT8', 'an Int8Array', Int8Array.of(-128, 127), [-128, 127]],
    ['INT16', 'numbers', [-32_768, 32_767], [-32_768, 32_767]],
    ['INT16', 'an Int16Array', Int16Array.of(-32_768), [-32_768]],
    ['INT32', 'numbers', [-2_147_483_648, 2_147_483_647], [-2_147_483_648, 2_147_483_647]],
    ['INT32', 'an Int32Array', Int32Array.of(-1), [-1]],
    [
      'INT64',
      'bigints',
      [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
      [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
    ],
    ['INT64', 'safe integers, also mixed with bigints', [-5, 6n], [-5n, 6n]],
    ['INT64', 'a BigInt64Array', BigInt64Array.of(-1n), [-1n]],
    ['FP16', 'raw half bits in a Uint16Array', Uint16Array.of(0x3c00, 0x7c00), [0x3c00, 0x7c00]],
    ['FP16', 'numbers, rounded to the nearest half', [1, 0.1, -2], [0x3c00, 0x2e66, 0xc000]],
    ['FP32', 'numbers', [1.5, -0.25], [1.5, -0.25]],
    ['FP32', 'a Float32Array', Float32Array.of(1.5), [1.5]],
    [
      'FP32',
      'NaN and infinities',
      [Number.NaN, Number.POSITIVE_INFINITY],
      [Number.NaN, Number.POSITIVE_INFINITY],
    ],
    ['FP64', 'numbers', [0.1], [0.1]],
    ['FP64', 'a Float64Array', Float64Array.of(0.1), [0.1]],
    [
      'BYTES',
      'strings, also empty ones and beyond ASCII',
      ['', 'ä€😀', 'a\u0000b'],
      ['', 'ä€😀', 'a\u0000b'],
    ],
  ];
  for (const [datatype, form, value, wanted] of accepted) {
    it(`${datatype} takes ${form}`, () => {
      expect(sent(datatype, value)).to.deep.equal(wanted);
    });
  }

  it('FP16 numbers come back as the numbers that halves can hold', () => {
    const converted = convertInput(spec('FP16', [-1]), [0.5, 65_504]);
    expect(Array.from(fromHalfArray(viewAs('FP16', converted.data as Uint8Array)))).to.deep.equal([
      0.5, 65_504,
    ]);
  });

  const refused: readonly [
    Datatype,
    unknown,
    'request.tensor_datatype' | 'request.tensor_value',
    readonly string[],
  ][] = [
    ['BOOL', [2], 'request.tensor_datatype', ['"x"[0]', 'BOOL', 'booleans', 'the number 2']],
    ['BOOL', ['true'], 'request.tensor_datatype', ['"x"[0]', 'BOOL', 'the string "true"']],
    ['BOOL', Uint8Array.of(0, 2), 'request.tensor_value', ['input "x"', 'element 1 is 2', 'BOOL']],
    ['BOOL', Float32Array.of(1), 'request.tensor_datatype', ['input "x"', 'BOOL', 'Float32Array']],
    ['UINT8', [256], 'request.tensor_value', ['x', 'UINT8', '256', '255']],
    ['UINT8', [-1], 'request.tensor_value', ['UINT8', '-1']],
    ['UINT8', [1.5], 'request.tensor_value', ['UINT8', '1.5']],
    ['UINT8', Int8Array.of(1), 'request.tensor_datatype', ['UINT8', 'Int8Array', 'Uint8Array']],
    ['UINT16', [65_536], 'request.tensor_value', ['UINT16', '65536']],
    ['UINT32', [4_294_967_296], 'request.tensor_value', ['UINT32']],
    ['UINT64', [-1], 'request.tensor_value', ['UINT64', '-1']],
    ['UINT64', [18_446_744_073_709_551_616n], 'request.tensor_value', ['UINT64']],
    ['UINT64', [2 ** 53], 'request.tensor_value', ['2^53']],
    ['INT8', [128], 'request.tensor_value', ['INT8', '128']],
    ['INT16', [32_768], 'request.tensor_value', ['INT16']],
    ['INT32', [2_147_483_648], 'request.tensor_value', ['INT32']],
    ['INT32', [1n], 'request.tensor_datatype', ['"x"[0]', 'INT32', 'numbers', 'the bigint 1n']],
    ['INT64', [1.5], 'request.tensor_value', ['INT64', '1.5']],
    ['INT64', [9_223_372_036_854_775_808n], 'request.tensor_value', ['INT64']],
    ['INT64', Float64Array.of(1), 'request.tensor_datatype', ['INT64', 'bigints', 'Float64Array']],
    ['FP16', [70_000], 'request.tensor_value', ['FP16', '70000']],
    ['FP16', Float32Array.of(1), 'request.tensor_datatype', ['FP16', 'half bits', 'Float32Array']],
    ['FP32', [1e39], 'request.tensor_value', ['FP32', '1e+39']],
    ['FP32', ['1'], 'request.tensor_datatype', ['"x"[0]', 'FP32', 'the string "1"']],
    ['FP32', [1, null], 'request.tensor_datatype', ['"x"[1]', 'FP32', 'null']],
    ['FP32', [1, undefined], 'request.tensor_datatype', ['"x"[1]', 'undefined']],
    // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
    ['FP32', [1, , 2], 'request.tensor_datatype', ['"x"[1]', 'undefined']],
    ['FP32', [true], 'request.tensor_datatype', ['the boolean true']],
    ['FP32', [{}], 'request.tensor_datatype', ['an object']],
    ['FP32', [new Date(0)], 'request.tensor_datatype', ['a Date']],
    [
      'FP32',
      Float64Array.of(1),
      'request.tensor_datatype',
      ['input "x"', 'FP32', 'Float32Array', 'Float64Array'],
    ],
    ['FP64', Float32Array.of(1), 'request.tensor_datatype', ['FP64', 'Float32Array']],
    ['BYTES', [1], 'request.tensor_datatype', ['"x"[0]', 'BYTES', 'strings', 'the number 1']],
    ['BYTES', Uint8Array.of(1), 'request.tensor_datatype', ['BYTES', 'Uint8Array']],
    ['BYTES', ['\ud800'], 'request.tensor_value', ['BYTES', 'Unicode']],
  ];
  for (const [datatype, value, reason, words] of refused) {
    const shown = ArrayBuffer.isView(value)
      ? `a ${kindOf(value)}`
      : `[${(value as unknown[]).map(kindOf).join()}]`;
    it(`${datatype} refuses ${shown} with ${reason}`, () => {
      expectThrow(() => convertInput(spec(datatype, [-1]), value), reason, ...words);
    });
  }
});

describe('shapes of inputs', () => {
  const shapeOf = (wanted: readonly number[] | undefined, value: unknown) =>
    convertInput(spec('FP32', wanted), value).shape;

  it('a typed array takes its shape from the signature, the one variable dimension from its length', () => {
    expect(shapeOf([-1, 4], new Float32Array(4))).to.deep.equal([1, 4]);
    expect(shapeOf([-1, 4], new Float32Array(12))).to.deep.equal([3, 4]);
    expect(shapeOf([2, -1, 2], new Float32Array(8))).to.deep.equal([2, 2, 2]);
    expect(shapeOf([2, 3], new Float32Array(6))).to.deep.equal([2, 3]);
    expect(shapeOf([-1, 4], new Float32Array(0))).to.deep.equal([0, 4]);
    expect(shapeOf([], new Float32Array(1))).to.deep.equal([]);
  });

  it('a typed array whose length does not divide is refused, with what its shape takes', () => {
    expectThrow(
      () => shapeOf([-1, 4], new Float32Array(6)),
      'request.tensor_length',
      'x',
      '6',
      '[-1,4]',
      'multiple of 4',
    );
    expectThrow(() => shapeOf([2, 3], new Float32Array(5)), 'request.tensor_length', '5', '[2,3]', '6');
  });

  it('a typed array that leaves its shape open is refused, with the way to say it', () => {
    expectThrow(
      () => shapeOf([-1, -1], new Float32Array(4)),
      'request.tensor_shape',
      '2 dimensions of [-1,-1]',
      'tensor(data, shape)',
    );
    expectThrow(
      () => shapeOf(undefined, new Float32Array(4)),
      'request.tensor_shape',
      'rank',
      'tensor(data, shape)',
    );
    expectThrow(() => shapeOf([-1, 0], new Float32Array(0)), 'request.tensor_shape', 'tensor(data, shape)');
  });

  it('[4] for [-1,4] is refused with [1,4] in the message', () => {
    for (const value of [
      [5.1, 3.5, 1.4, 0.2],
      tensor([5.1, 3.5, 1.4, 0.2], [4]),
      tensor(new Float32Array(4), [4]),
    ]) {
      expectThrow(
        () => shapeOf([-1, 4], value),
        'request.tensor_shape',
        'input "x"',
        '[4]',
        '[-1,4]',
        '[1,4]',
        'brackets',
      );
    }
  });

  it('a flat array of several rows is refused with the shape that it would have', () => {
    expectThrow(() => shapeOf([-1, 4], [1, 2, 3, 4, 5, 6, 7, 8]), 'request.tensor_shape', '[8]', '[2,4]');
    expectThrow(() => shapeOf([-1, 4], []), 'request.tensor_shape', '[0]', '[0,4]');
    expectThrow(() => shapeOf([-1, 4], 1), 'request.tensor_shape', '[]', '[-1,4]');
  });

  it('a wrong dimension is named', () => {
    expectThrow(
      () => shapeOf([-1, 4], [[1, 2, 3]]),
      'request.tensor_shape',
      '[1,3]',
      'dimension 1 is 3, not 4',
    );
    expectThrow(() => shapeOf([2, 2], [[1, 2]]), 'request.tensor_shape', 'dimension 0 is 1, not 2');
    expectThrow(() => shapeOf([-1], [[1, 2]]), 'request.tensor_shape', '[1,2]', '1 dimension, not 2', '[2]');
    expectThrow(() => shapeOf([-1, 4], [[]]), 'request.tensor_shape', '[1,0]');
  });

  it('nested arrays, rows of typed arrays, and scalars take their own shape', () => {
    expect(shapeOf([-1, 4], [[1, 2, 3, 4]])).to.deep.equal([1, 4]);
    expect(shapeOf([-1, 2], [Float32Array.of(1, 2), Float32Array.of(3, 4)])).to.deep.equal([2, 2]);
    expect(shapeOf([], 5)).to.deep.equal([]);
    expect(shapeOf(undefined, [[[1]]])).to.deep.equal([1, 1, 1]);
    expect(shapeOf([-1, -1], [[], []])).to.deep.equal([2, 0]);
  });

  it('ragged arrays are refused with the place that differs', () => {
    expectThrow(
      () => shapeOf([-1, -1], [[1, 2], [3]]),
      'request.tensor_shape',
      '"x"[1]',
      'has 1 elements',
      '2',
    );
    expectThrow(() => shapeOf([-1, -1], [[1, 2], 3]), 'request.tensor_shape', '"x"[1]', 'the number 3');
    expectThrow(() => shapeOf([-1], [1, [2]]), 'request.tensor_shape', '"x"[1]', 'an array');
    expectThrow(() => shapeOf([-1, -1], [[1], Float32Array.of(2)]), 'request.tensor_shape', 'mixes');
  });

  it('endless nesting is refused and overflows nothing', () => {
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    expectThrow(() => shapeOf(undefined, cyclic), 'request.tensor_shape', 'deeper than 32');
  });

  it('tensor() says shape and datatype, and both are checked', () => {
    expect(shapeOf([-1, -1], tensor(new Float32Array(6), [2, 3]))).to.deep.equal([2, 3]);
    expect(shapeOf([-1, -1], tensor([1, 2, 3, 4], [2, 2], 'FP32'))).to.deep.equal([2, 2]);
    expect(shapeOf([-1, -1], tensor([[1, 2]], [1, 2]))).to.deep.equal([1, 2]);
    expect(shapeOf([-1, -1], tensor([], [0, 7]))).to.deep.equal([0, 7]);
    expectThrow(
      () => shapeOf([-1, -1], tensor([1, 2, 3], [2, 2])),
      'request.tensor_length',
      '3',
      '[2,2]',
      '4',
    );
    expectThrow(() => shapeOf([-1, -1], tensor([[1, 2]], [2, 1])), 'request.tensor_shape', '[1,2]', '[2,1]');
    expectThrow(
      () => shapeOf([-1, -1], tensor([1], [1, 1], 'FP64')),
      'request.tensor_datatype',
      'x',
      'FP32',
      'FP64',
    );
    const noArray = { data: 'abc', shape: [3] } as never;
    expectThrow(() => shapeOf([-1], noArray), 'request.tensor_datatype', 'the string "abc"');
  });

  it('dimensions that no tensor can have are refused before anything is allocated', () => {
    for (const dim of [-1, 1.5, Number.NaN, '4', 2 ** 53, undefined]) {
      expectThrow(() => tensor([1], [1, dim as number]), 'request.tensor_shape', 'dimension 1');
    }
    expectThrow(() => tensor([1], [2 ** 40, 2 ** 40]), 'request.tensor_shape', 'more elements');
    expectThrow(() => tensor([1], 4 as never), 'request.tensor_shape', 'an array of dimensions');
  });

  it('a view into the middle of a buffer sends its own elements only', () => {
    const whole = Float32Array.of(1, 2, 3, 4, 5, 6);
    const converted = convertInput(spec('FP32', [-1]), whole.subarray(2, 4));
    expect(Array.from(viewAs('FP32', converted.data as Uint8Array))).to.deep.equal([3, 4]);
  });

  it('an output of another answer may be an input', () => {
    const output = { data: Float32Array.of(1, 2), shape: [1, 2], datatype: 'FP32' as const };
    expect(shapeOf([-1, 2], output)).to.deep.equal([1, 2]);
  });

  it('what is no array is refused by its name', () => {
    expectThrow(() => shapeOf([-1], new ArrayBuffer(4)), 'request.tensor_datatype', 'ArrayBuffer');
    expectThrow(() => shapeOf([-1], new DataView(new ArrayBuffer(4))), 'request.tensor_datatype', 'DataView');
    expectThrow(() => shapeOf([-1], () => 1), 'request.tensor_datatype', 'function');
  });
});
