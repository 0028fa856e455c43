/** NumPy arrays as inputs: what comes out of a file, and what is refused. */
import type { NumericArray } from '@troupe/shared';
import { expect } from 'chai';
import { UsageError } from '../../src/cli/exit-code.js';
import { readNpy } from '../../src/cli/read-npy.js';
import { npy } from './npy-file.js';

const bytesOf = (array: NumericArray) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe('NPY files', () => {
  // As numpy.save(file, numpy.array([[1.5, -2]], dtype='<f4')) writes it.
  const header = `${"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".padEnd(117)}\n`;
  const written = Buffer.concat([
    Buffer.from('934e554d505901007600', 'hex'),
    Buffer.from(header),
    Buffer.from('0000c03f000000c0', 'hex'),
  ]);

  it('a file of NumPy is read with shape and datatype', () => {
    expect(readNpy(written, 'a.npy')).to.deep.equal({
      data: Float32Array.of(1.5, -2),
      shape: [1, 2],
      datatype: 'FP32',
    });
  });

  it('each datatype comes out as it went in', () => {
    const arrays: [descr: string, datatype: string, data: NumericArray][] = [
      ['|b1', 'BOOL', Uint8Array.of(0, 1)],
      ['|u1', 'UINT8', Uint8Array.of(0, 255)],
      ['<u2', 'UINT16', Uint16Array.of(0, 65_535)],
      ['<u4', 'UINT32', Uint32Array.of(0, 4_294_967_295)],
      ['<u8', 'UINT64', BigUint64Array.of(0n, 2n ** 64n - 1n)],
      ['|i1', 'INT8', Int8Array.of(-128, 127)],
      ['<i2', 'INT16', Int16Array.of(-32_768, 32_767)],
      ['<i4', 'INT32', Int32Array.of(-1, 2_147_483_647)],
      ['<i8', 'INT64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)],
      ['<f2', 'FP16', Uint16Array.of(0x3c00, 0x7e00)],
      ['<f4', 'FP32', Float32Array.of(0.1, Number.NaN)],
      ['<f8', 'FP64', Float64Array.of(0.1, Number.NEGATIVE_INFINITY)],
    ];
    for (const [descr, datatype, data] of arrays) {
      for (const version of [1, 2, 3]) {
        const file = npy(descr, '(2, 1)', bytesOf(data), { version });
        expect(readNpy(file, 'x'), descr).to.deep.equal({ data, shape: [2, 1], datatype });
      }
    }
  });

  it('scalars, empty arrays and texts are read', () => {
    expect(readNpy(npy('<f4', '()', bytesOf(Float32Array.of(2))), 'x')).to.deep.include({ shape: [] });
    expect(readNpy(npy('<f4', '(0, 4)', new Uint8Array(0)), 'x')).to.deep.include({ shape: [0, 4] });
    const wide = bytesOf(Uint32Array.of(0xfc, 0x1_f600, 0x61));
    const filled = Buffer.concat([wide.subarray(0, 4), Buffer.alloc(4), wide.subarray(4)]);
    expect(readNpy(npy('<U2', '(2,)', filled), 'x')).to.deep.include({
      data: ['ü', '😀a'],
      datatype: 'BYTES',
    });
    expect(readNpy(npy('|S3', '(2,)', Buffer.from('ab\0cde')), 'x')).to.deep.include({ data: ['ab', 'cde'] });
  });

  it('column order is taken where it is the same as row order', () => {
    const body = bytesOf(Float32Array.of(1, 2));
    expect(readNpy(npy('<f4', '(1, 2)', body, { order: 'True' }), 'x')).to.deep.include({ shape: [1, 2] });
  });

  it('what cannot be sent is refused with the file and what to do', () => {
    const four = bytesOf(Float32Array.of(1, 2, 3, 4));
    const wrong: [file: Uint8Array, says: string][] = [
      [Buffer.from('[1]'), 'numpy.save()'],
      [npy('<f4', '(2, 2)', four, { order: 'True' }), 'numpy.ascontiguousarray'],
      [npy('>f4', '(4,)', four), "astype('<f4')"],
      [npy('|O', '(4,)', four), 'type |O'],
      [npy('<c8', '(2,)', four), 'type <c8'],
      [npy("[('a', '<f4')]", '(4,)', four), 'each field'],
      [npy('<f4', '(5,)', four), 'takes 20 bytes, the file has 16'],
      [npy('<f4', '(-4,)', four), 'shape'],
      [npy('<f4', '(x,)', four), 'shape'],
      [npy('<f4', '(4,)', four, { version: 9 }), 'version 9'],
      [npy('<f4', '(4,)', four).subarray(0, 20), 'cut off'],
      [npy('<f4', '(4,)', four).subarray(0, 8), 'cut off'],
      [npy('|S2', '(1,)', Buffer.of(0xff, 0xff)), 'not Unicode'],
      [npy('<U1', '(1,)', Buffer.of(0xff, 0xff, 0xff, 0xff)), 'not Unicode'],
    ];
    for (const [file, says] of wrong) {
      expect(() => readNpy(file, 'a.npy'), says)
        .to.throw(UsageError, says)
        .with.property('message')
        .that.match(/^a\.npy: /);
    }
  });
});
