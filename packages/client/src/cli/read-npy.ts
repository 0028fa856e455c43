/**
 * Reads one array in NumPy's `.npy` format: versions 1 to 3, little-endian, row-major, of the datatypes that we carry.
 * Called for `--input @file.npy`. Source: NumPy, `numpy.lib.format`. What cannot be sent is refused with what to write
 * in Python instead.
 */
import { type Datatype, datatypeBytes, elementCount, type NumericDatatype, viewAs } from '@troupe/shared';
import { type InputTensor, tensor } from '../sdk/input-tensor.js';
import { UsageError } from './exit-code.js';

const magic = '\u0093NUMPY';
/** `|` means that a byte order does not apply. */
const numericTypes: Readonly<Record<string, NumericDatatype>> = {
  '|b1': 'BOOL',
  '|u1': 'UINT8',
  '<u2': 'UINT16',
  '<u4': 'UINT32',
  '<u8': 'UINT64',
  '|i1': 'INT8',
  '<i2': 'INT16',
  '<i4': 'INT32',
  '<i8': 'INT64',
  '<f2': 'FP16',
  '<f4': 'FP32',
  '<f8': 'FP64',
};

/** Whether bytes begin as an NPY file does. */
export function isNpy(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, magic.length)).toString('latin1') === magic;
}

/** The array as an input with shape and datatype. `source` names the file in messages. Throws UsageError. */
export function readNpy(bytes: Uint8Array, source: string): InputTensor {
  const refuse = (why: string) => new UsageError(`${source}: ${why}`);
  if (!isNpy(bytes)) throw refuse('this is no NPY file: numpy.save() writes one');
  const { header, bodyAt } = readHeader(bytes, refuse);
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const dims = /'shape'\s*:\s*\(([^)]*)\)/.exec(header)?.[1];
  if (/'descr'\s*:\s*\[/.test(header)) throw refuse('records are no tensor: save each field by itself');
  if (descr === undefined || order === undefined || dims === undefined)
    throw refuse('the header of the NPY file does not tell type, order and shape');
  const shape = dims
    .split(',')
    .map((dim) => dim.trim())
    .filter((dim) => dim !== '')
    .map(Number);
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
    throw refuse(`the shape (${dims}) of the NPY file is none`);
  // With one dimension at most, both orders are the same.
  if (order === 'True' && shape.filter((dim) => dim !== 1).length > 1)
    throw refuse('the array is in column order: save numpy.ascontiguousarray(array)');
  const { datatype, elementBytes } = readType(descr, refuse);
  const body = bytes.subarray(bodyAt);
  const wanted = elementCount(shape) * elementBytes;
  if (body.length !== wanted)
    throw refuse(`shape [${shape.join(',')}] of ${descr} takes ${wanted} bytes, the file has ${body.length}`);
  if (datatype !== 'BYTES') return tensor(viewAs(datatype, body), shape, datatype);
  return tensor(
    readTexts(body, elementCount(shape), elementBytes, descr.startsWith('<U'), refuse),
    shape,
    'BYTES',
  );
}

type Refuse = (why: string) => UsageError;

function readHeader(bytes: Uint8Array, refuse: Refuse): { header: string; bodyAt: number } {
  const version = bytes[6] ?? 0;
  if (version < 1 || version > 3)
    throw refuse(`version ${version} of the NPY format is not known (1 to 3 are)`);
  const headerAt = version === 1 ? 10 : 12;
  if (bytes.length < headerAt) throw refuse('the NPY file is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const bodyAt = headerAt + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (bytes.length < bodyAt) throw refuse('the NPY file is cut off');
  const header = Buffer.from(bytes.subarray(headerAt, bodyAt)).toString(version === 3 ? 'utf8' : 'latin1');
  return { header, bodyAt };
}

function readType(descr: string, refuse: Refuse): { datatype: Datatype; elementBytes: number } {
  const numeric = Object.hasOwn(numericTypes, descr) ? numericTypes[descr] : undefined;
  if (numeric !== undefined) return { datatype: numeric, elementBytes: datatypeBytes[numeric] };
  const text = /^(?:<U|\|S)(\d{1,9})$/.exec(descr)?.[1];
  if (text !== undefined)
    return { datatype: 'BYTES', elementBytes: Number(text) * (descr.startsWith('<U') ? 4 : 1) };
  if (descr.startsWith('>')) throw refuse(`the array is big-endian: save array.astype('<${descr.slice(1)}')`);
  throw refuse(
    `type ${descr} is none that a model takes: save array.astype('<f4'), or another of ${Object.keys(numericTypes).join(' ')} <U |S`,
  );
}

/** Texts of fixed width, filled up with zeros: UTF-32 (`<U`), or bytes (`|S`) that are to be UTF-8. */
function readTexts(body: Uint8Array, count: number, width: number, wide: boolean, refuse: Refuse): string[] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return Array.from({ length: count }, (_, index) => {
    const from = index * width;
    try {
      if (!wide) return decoder.decode(body.subarray(from, from + width)).replace(/\0+$/, '');
      let text = '';
      for (let at = from; at < from + width; at += 4) text += String.fromCodePoint(view.getUint32(at, true));
      return text.replace(/\0+$/, '');
    } catch {
      // Neither decoder tells more than that it could not.
      throw refuse(`text ${index} is not Unicode`);
    }
  });
}
