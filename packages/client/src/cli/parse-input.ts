/** `--input name=JSON` and `--input JSON`, as often as given, to the inputs of a request. */
import type { Inputs, InputValue } from '../sdk/input-tensor.js';
import { UsageError } from './exit-code.js';
import { parseJsonText } from './json-text.js';

/** Parses all `--input` arguments. Throws UsageError, with what was written. */
export function parseInputArguments(given: readonly string[]): Inputs {
  const named = Object.create(null) as Record<string, InputValue>;
  let alone: Inputs | undefined;
  for (const text of given) {
    const split = splitName(text);
    if (split === undefined) {
      if (alone !== undefined)
        throw new UsageError('--input without a name is given twice: write --input name=JSON');
      alone = parseValue(text, text) as Inputs;
      continue;
    }
    if (split.name in named) throw new UsageError(`--input ${split.name}=… is given twice`);
    named[split.name] = parseValue(split.json, text) as InputValue;
  }
  if (alone === undefined) return named;
  if (Object.keys(named).length === 0) return alone;
  throw new UsageError('--input is given both with a name and without one: write --input name=JSON for each');
}

/** What begins as JSON does is JSON; otherwise the first `=` ends the name. */
function splitName(text: string): { name: string; json: string } | undefined {
  if (/^\s*["[{]/.test(text)) return undefined;
  const at = text.indexOf('=');
  return at <= 0 ? undefined : { name: text.slice(0, at), json: text.slice(at + 1) };
}

function parseValue(json: string, whole: string): unknown {
  try {
    return parseJsonText(json);
  } catch (error) {
    const shown = whole.length > 60 ? `${whole.slice(0, 57)}...` : whole;
    throw new UsageError(
      `--input ${shown}: ${(error as Error).message} (write JSON, such as '[[5.1,3.5,1.4,0.2]]')`,
    );
  }
}
