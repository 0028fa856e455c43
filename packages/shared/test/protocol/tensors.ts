/** Tensors for the tests of the protocol: what they look like side by side, and how fast-check makes them. */
import { Datatype, datatypeBytes, elementCount, fromHalfBits, type Tensor, viewAs } from '@troupe/shared';
import fc from 'fast-check';

/** All datatypes of the protocol. */
export const datatypes: readonly Datatype[] = Object.values(Datatype);

/** A tensor as a plain value that compares equal where the tensors carry the same bits. */
export function plain({ name, datatype, shape, data }: Tensor): object {
  return {
    name,
    datatype,
    shape: [...shape],
    data: data instanceof Uint8Array ? Buffer.from(data).toString('hex') : [...data],
  };
}

/** Text that has a UTF-8 form: everything but lone surrogates, NUL and others beyond ASCII included. */
export const text = fc.string({ unit: 'binary', maxLength: 12 });

const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 3 });

/** Tensors of one datatype with any bits that it may hold; `finite` leaves out what JSON cannot carry. */
export function tensorOf(datatype: Datatype, finite: boolean): fc.Arbitrary<Tensor> {
  return fc.tuple(text, shapes).chain(([name, shape]) => {
    const count = elementCount(shape);
    if (datatype === 'BYTES') {
      return fc
        .array(text, { minLength: count, maxLength: count })
        .map((data): Tensor => ({ name, datatype, shape, data }));
    }
    const size = count * datatypeBytes[datatype];
    const bytes = fc.uint8Array({ minLength: size, maxLength: size, max: datatype === 'BOOL' ? 1 : 255 });
    return bytes
      .map((data): Tensor => ({ name, datatype, shape, data }))
      .filter((tensor) => !finite || holdsFinite(tensor));
  });
}

function holdsFinite({ datatype, data }: Tensor): boolean {
  if (!(data instanceof Uint8Array)) return true;
  if (datatype === 'FP16') return viewAs('FP16', data).every((bits) => Number.isFinite(fromHalfBits(bits)));
  return datatype !== 'FP32' && datatype !== 'FP64' ? true : viewAs(datatype, data).every(Number.isFinite);
}

/** Whatever a function throws. */
export function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
