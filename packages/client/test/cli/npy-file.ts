/** Writes NPY files as NumPy does: magic, version, length of the header, header, data. */
export function npy(
  descr: string,
  shape: string,
  body: Uint8Array,
  options: { readonly version?: number; readonly order?: string } = {},
): Uint8Array {
  const { version = 1, order = 'False' } = options;
  const quoted = descr.startsWith('[') ? descr : `'${descr}'`;
  const text = `{'descr': ${quoted}, 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const prefix = version === 1 ? 10 : 12;
  const header = Buffer.from(
    text.padEnd(Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix - 1).concat('\n'),
  );
  const length = Buffer.alloc(prefix - 8);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Buffer.concat([Buffer.from('\u0093NUMPY', 'latin1'), Buffer.of(version, 0), length, header, body]);
}
