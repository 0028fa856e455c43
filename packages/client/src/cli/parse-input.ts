/**
 * `--input name=VALUE` and `--input VALUE`, as often as given, to the inputs of a request. A value is JSON, or `@` and
 * a file with JSON or one NumPy array, or `@-` for standard input. What a file holds is told by its first bytes.
 */
import type { Inputs, InputValue } from '../sdk/input-tensor.js';
import { UsageError } from './exit-code.js';
import { parseJsonText } from './json-text.js';
import { isNpy, readNpy } from './read-npy.js';
import { parseSource } from './read-source.js';

/** Reads what stands behind an `@`; `-` is standard input. */
export type ReadSource = (path: string) => Promise<Uint8Array>;

/** Parses all `--input` arguments. Throws UsageError, with what was written, and what reading a file throws. */
export async function parseInputArguments(given: readonly string[], read: ReadSource): Promise<Inputs> {
  const named = Object.create(null) as Record<string, InputValue>;
  let alone: Inputs | undefined;
  if (given.filter((text) => (splitName(text)?.value ?? text) === '@-').length > 1)
    throw new UsageError('--input @- is given twice: standard input can be read once');
  for (const text of given) {
    const split = splitName(text);
    if (split === undefined) {
      if (alone !== undefined)
        throw new UsageError('--input without a name is given twice: write --input name=JSON');
      alone = (await readValue(text, text, read)) as Inputs;
      continue;
    }
    if (split.name in named) throw new UsageError(`--input ${split.name}=… is given twice`);
    named[split.name] = (await readValue(split.value, text, read)) as InputValue;
  }
  if (alone === undefined) return named;
  if (Object.keys(named).length === 0) return alone;
  throw new UsageError('--input is given both with a name and without one: write --input name=JSON for each');
}

/** What begins as JSON or with `@` has no name; otherwise the first `=` ends it. */
function splitName(text: string): { name: string; value: string } | undefined {
  if (/^\s*["[{@]/.test(text)) return undefined;
  const at = text.indexOf('=');
  return at <= 0 ? undefined : { name: text.slice(0, at), value: text.slice(at + 1) };
}

async function readValue(value: string, whole: string, read: ReadSource): Promise<unknown> {
  if (!value.startsWith('@')) return parseValue(value, whole);
  const path = value.slice(1);
  if (path === '')
    throw new UsageError(`--input ${whole}: @ wants the name of a file behind it, or - for standard input`);
  const bytes = await read(path);
  const source = path === '-' ? 'standard input' : path;
  return isNpy(bytes) || /\.npy$/i.test(path) ? readNpy(bytes, source) : parseSource(bytes, source);
}

function parseValue(json: string, whole: string): unknown {
  try {
    return parseJsonText(json);
  } catch (error) {
    const shown = whole.length > 60 ? `${whole.slice(0, 57)}...` : whole;
    throw new UsageError(
      `--input ${shown}: ${(error as Error).message} (write JSON, such as '[[5.1,3.5,1.4,0.2]]', or @ and a file)`,
    );
  }
}
