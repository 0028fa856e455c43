/** The command line's own text: JSON without loss, inputs, tables, figures. */
import type { Signature } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { nameOfFile } from '../../src/cli/commands/model-commands.js';
import { exampleRequest } from '../../src/cli/example-request.js';
import { UsageError } from '../../src/cli/exit-code.js';
import { formatBytes, formatMs, formatTable, showControls } from '../../src/cli/format-table.js';
import { formatValues, plainOutput } from '../../src/cli/format-tensor.js';
import { formatJsonText, parseJsonText } from '../../src/cli/json-text.js';
import { parseInputArguments } from '../../src/cli/parse-input.js';
import { npy } from './npy-file.js';

describe('JSON of the command line', () => {
  it('integers beyond 2^53 are read as bigints, all else as JSON has it', () => {
    expect(parseJsonText('[9223372036854775807, -9223372036854775808, 9007199254740991]')).to.deep.equal([
      9_223_372_036_854_775_807n,
      -9_223_372_036_854_775_808n,
      9_007_199_254_740_991,
    ]);
    expect(
      parseJsonText('[0.12345678901234567, 12345678901234567890.5, 1e-1234567890123456, 1e25]'),
    ).to.deep.equal(JSON.parse('[0.12345678901234567, 12345678901234567890.5, 0, 1e25]'));
    expect(
      parseJsonText('{"12345678901234567890":"12345678901234567890 \\" 12345678901234567890"}'),
    ).to.deep.equal({
      '12345678901234567890': '12345678901234567890 " 12345678901234567890',
    });
    expect(parseJsonText('12345678901234567890')).to.equal(12_345_678_901_234_567_890n);
  });

  it('whatever is written is read back', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n }),
        fc.bigInt({ min: -(2n ** 64n), max: -(2n ** 53n) }),
        fc.integer(),
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie('any'), { maxKeys: 4, noNullPrototype: true }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (given) => {
        expect(parseJsonText(formatJsonText(given))).to.deep.equal(given);
      }),
    );
  });

  it('NaN and infinities are written by name, typed arrays as arrays', () => {
    expect(formatJsonText([Number.NaN, Number.NEGATIVE_INFINITY])).to.equal('["NaN","-Infinity"]');
    expect(formatJsonText({ a: BigInt64Array.of(5n), b: Uint8Array.of(1) })).to.equal('{"a":[5],"b":[1]}');
  });

  it('errors speak of the text as it was written', () => {
    expect(() => parseJsonText('[12345678901234567890')).to.throw(SyntaxError, 'position 21');
  });
});

const noFile = () => Promise.reject(new Error('no file was named'));

describe('--input', () => {
  const parse = (given: readonly string[]) => parseInputArguments(given, noFile);
  async function refusal(given: readonly string[]): Promise<UsageError> {
    const thrown = await parse(given).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).to.be.instanceOf(UsageError);
    return thrown as UsageError;
  }

  it('takes name=JSON for each input, or JSON alone', async () => {
    expect(await parse(['a=[1]', 'b=[[2]]'])).to.deep.equal({ a: [1], b: [[2]] });
    expect(await parse(['[[5.1,3.5]]'])).to.deep.equal([[5.1, 3.5]]);
    expect(await parse(['{"a":[1]}'])).to.deep.equal({ a: [1] });
    expect(await parse(['"a=b"'])).to.equal('a=b');
    expect(await parse(['a="b=c"'])).to.deep.equal({ a: 'b=c' });
    expect(await parse(['5'])).to.equal(5);
    expect(await parse(['[12345678901234567890]'])).to.deep.equal([12_345_678_901_234_567_890n]);
    expect(await parse([])).to.deep.equal({});
    expect(await parse(['__proto__=[1]'])).to.have.own.property('__proto__');
    expect(await parse(['a="@b"'])).to.deep.equal({ a: '@b' });
  });

  it('takes files with JSON or a NumPy array, and standard input', async () => {
    const files: Readonly<Record<string, Uint8Array>> = {
      'x=1.json': Buffer.from('[12345678901234567890]'),
      'a.npy': npy('<f4', '(2,)', Buffer.from(Float32Array.of(1, 2).buffer)),
      '-': Buffer.from('{"a": [1]}'),
    };
    const read = (path: string) => Promise.resolve(files[path] ?? Buffer.alloc(0));
    expect(await parseInputArguments(['@x=1.json'], read)).to.deep.equal([12_345_678_901_234_567_890n]);
    expect(await parseInputArguments(['a=@a.npy', 'b=3'], read)).to.deep.equal({
      a: { data: Float32Array.of(1, 2), shape: [2], datatype: 'FP32' },
      b: 3,
    });
    expect(await parseInputArguments(['@-'], read)).to.deep.equal({ a: [1] });
  });

  it('refuses what cannot be meant, with what was written', async () => {
    expect((await refusal(['a=[1'])).message).to.include('--input a=[1');
    expect((await refusal(['abc'])).message).to.include('--input abc');
    expect((await refusal(['a=1', 'a=2'])).message).to.include('a=… is given twice');
    expect((await refusal(['1', '2'])).message).to.include('twice');
    expect((await refusal(['1', 'a=2'])).message).to.include('both');
    expect((await refusal(['a=@'])).message).to.include('name of a file');
    expect((await refusal(['a=@-', 'b=@-'])).message).to.include('read once');
  });
});

describe('the request to copy', () => {
  const ask = (...inputs: Signature['inputs']) => exampleRequest('m', '', { inputs, outputs: [] });

  it('gives each input a value of its shape, or a file where it would be long', () => {
    expect(ask({ name: 'x', datatype: 'FP32', shape: [-1, 4] })).to.equal(
      "npx troupe infer m --input '[[0,0,0,0]]'",
    );
    expect(ask({ name: 'x', datatype: 'FP32', shape: [] })).to.equal('npx troupe infer m --input 0');
    expect(
      ask(
        { name: 'a b', datatype: 'BYTES', shape: [-1] },
        { name: "it's", datatype: 'BOOL', shape: [2] },
        { name: 'image/1', datatype: 'FP32', shape: [-1, 3, 224, 224] },
        { name: 'any', datatype: 'FP32', shape: undefined },
      ),
    ).to.equal(
      `npx troupe infer m --input 'a b=[""]' --input 'it'\\''s=[false,false]' --input 'image/1=@image_1.npy' --input any=@any.npy`,
    );
  });

  it('can be parsed again', async () => {
    const value = /--input '(.*)'$/.exec(ask({ name: 'x', datatype: 'INT64', shape: [2, -1] }))?.[1] ?? '';
    expect(await parseInputArguments([value], noFile)).to.deep.equal([[0], [0]]);
  });
});

describe('names of models from files', () => {
  it('are the name of the file, where a model may bear it', () => {
    expect(nameOfFile('/a/b/iris.onnx')).to.equal('iris');
    expect(nameOfFile('Iris_2-b.ONNX')).to.equal('Iris_2-b');
  });

  it('are refused otherwise, with the name that may be meant', () => {
    expect(() => nameOfFile('x.v1.onnx')).to.throw(UsageError, '--name x-v1');
    expect(() => nameOfFile('/m/my model (2).onnx')).to.throw(UsageError, '--name my-model-2');
    expect(() => nameOfFile('.onnx')).to.throw(UsageError, '--name <name>');
    expect(() => nameOfFile(`${'x'.repeat(100)}.onnx`)).to.throw(UsageError, `--name ${'x'.repeat(63)}`);
  });
});

describe('tables', () => {
  const lines = (text: string) => text.trimEnd().split('\n');

  it('stay within 80 columns: the last column wraps at words, nothing is cut off', () => {
    const note =
      'golden case setosa-1 differs by 0.25 where 0.001 is allowed, on cpu:0 of host-1, three times';
    const text = formatTable(['MODEL', 'STATE', 'NOTE'], [['iris', 'failed', note]], { width: 80 });
    for (const line of lines(text)) expect(line.length).to.be.at.most(80);
    expect(text.replace(/\s+/g, ' ')).to.include(note);
  });

  it('stand in columns, figures to the right, without lines, colours and blanks at the end', () => {
    const text = formatTable(
      ['NAME', 'SIZE'],
      [
        ['a', '5'],
        ['long-name', '1000'],
      ],
      { width: 80, figures: ['SIZE'] },
    );
    expect(lines(text)).to.deep.equal(['NAME       SIZE', 'a             5', 'long-name  1000']);
  });

  it('show control characters instead of sending them to the terminal', () => {
    const text = formatTable(['NAME'], [['a\u001b[31mred\nb']], { width: 80 });
    expect(text).not.to.include('\u001b');
    expect(lines(text)).to.have.lengthOf(2);
    expect(showControls('a\tb\u009bc')).to.equal('a\\tb?c');
  });

  it('figures have units', () => {
    expect([0, 999, 1_000, 4_000_000, 123_456_789].map(formatBytes)).to.deep.equal([
      '0 B',
      '999 B',
      '1.0 kB',
      '4.0 MB',
      '123 MB',
    ]);
    expect([undefined, 0.04, 3.44, 12.6, 1_234, 45_678].map(formatMs)).to.deep.equal([
      '-',
      '0.0 ms',
      '3.4 ms',
      '13 ms',
      '1.2 s',
      '46 s',
    ]);
  });
});

describe('output tensors', () => {
  it('are nested as their shape, single precision in as few digits as tell it apart', () => {
    const output = {
      datatype: 'FP32',
      shape: [2, 2],
      data: Float32Array.of(0.1, 1, Number.NaN, 16_777_216),
    } as const;
    expect(formatValues(output)).to.equal('[[0.1, 1], [NaN, 16777216]]');
    expect(plainOutput(output).data.slice(0, 2)).to.deep.equal([0.1, 1]);
  });

  it('every single-precision number is told apart', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const { data } = plainOutput({ datatype: 'FP32', shape: [1], data: Float32Array.of(value) });
        expect(Math.fround(data[0] as number)).to.equal(value);
      }),
    );
  });

  it('show FP16 as numbers, BOOL as truths, 64-bit integers to the last digit, strings quoted', () => {
    expect(formatValues({ datatype: 'FP16', shape: [2], data: Uint16Array.of(0x3c00, 0x2e66) })).to.equal(
      '[1, 0.1]',
    );
    expect(formatValues({ datatype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) })).to.equal(
      '[true, false]',
    );
    expect(formatValues({ datatype: 'INT64', shape: [], data: BigInt64Array.of(2n ** 62n) })).to.equal(
      '4611686018427387904',
    );
    expect(formatValues({ datatype: 'BYTES', shape: [1], data: ['a"b'] })).to.equal('["a\\"b"]');
    expect(formatValues({ datatype: 'FP32', shape: [0, 3], data: new Float32Array(0) })).to.equal('[]');
  });

  it('long ones are counted, not shown to the end', () => {
    const text = formatValues({ datatype: 'UINT8', shape: [1_000], data: new Uint8Array(1_000) });
    expect(text).to.include('… 936 more');
  });
});
