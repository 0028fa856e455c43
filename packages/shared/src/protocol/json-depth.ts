/**
 * The nesting limit of messages. `JSON.parse` of Node does not recurse, so a message is parsed first and only
 * what the codec does not read otherwise is walked here: no second pass over the text of a good message.
 */
import { TroupeError } from '../errors/troupe-error.js';

/** Levels of arrays and objects in a message, as Triton has it. */
export const deepestNesting = 100;

/** Throws `request.json_depth` where `value`, standing `level` levels deep itself, nests too deep. Not recursive. */
export function assertDepth(value: unknown, level: number): void {
  let generation = isContainer(value) ? [value] : [];
  for (let depth = level; generation.length > 0; depth += 1) {
    if (depth > deepestNesting) refuseDepth();
    const children: object[] = [];
    for (const container of generation) {
      for (const child of Array.isArray(container) ? container : Object.values(container)) {
        if (isContainer(child)) children.push(child);
      }
    }
    generation = children;
  }
}

/** The same for text, before a parser that recurses may see it. */
export function assertTextDepth(text: string): void {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quote) index = endOfString(text, index);
    else if (code === openBracket || code === openBrace) {
      depth += 1;
      if (depth > deepestNesting) refuseDepth();
    } else if (code === closeBracket || code === closeBrace) depth -= 1;
  }
}

/** Throws `request.json_depth`. */
export function refuseDepth(): never {
  throw new TroupeError('request.json_depth', `the JSON nests deeper than ${deepestNesting} levels`);
}

const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length && text.charCodeAt(index) !== quote) {
    index += text.charCodeAt(index) === backslash ? 2 : 1;
  }
  return index;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
