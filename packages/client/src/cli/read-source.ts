/** Files and standard input that an argument names: read whole, within a bound, and refused with the reason. */
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { TroupeError } from '@troupe/shared';
import { formatBytes } from './format-table.js';
import { parseJsonText } from './json-text.js';

/** More than any message may have, also where numbers are written out. */
const maxStdinBytes = 512 * 1024 * 1024;

/** Reads a file. Throws `request.arguments`. */
export async function readSource(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new TroupeError('request.arguments', `${path} cannot be read: ${why}`, { cause: error });
  }
}

/** Reads standard input to its end. Throws `request.arguments`. */
export async function readAll(stream: Readable, signal: AbortSignal): Promise<Buffer> {
  const stop = () => stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      const bytes = Buffer.from(chunk as Uint8Array);
      size += bytes.length;
      if (size > maxStdinBytes) {
        throw new TroupeError(
          'request.arguments',
          `standard input has more than ${formatBytes(maxStdinBytes)}: no request may be as large`,
        );
      }
      chunks.push(bytes);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return Buffer.concat(chunks);
}

/** Parses the JSON of a source. Throws `request.arguments`. */
export function parseSource(bytes: Uint8Array, source: string): unknown {
  try {
    return parseJsonText(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : 'it is not UTF-8';
    throw new TroupeError('request.arguments', `${source} holds no JSON: ${why}`, { cause: error });
  }
}
