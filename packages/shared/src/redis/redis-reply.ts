/** Takes apart what our scripts answer. A reply of another form is a fault of ours, not of a caller. */
import { TroupeError } from '../errors/troupe-error.js';

/** A reply as a list of texts and lists. */
export function asList(reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply;
  throw new TroupeError('internal.unexpected', 'Redis answered a script with something that is not a list');
}

/** The text at a place of a reply. */
export function textAt(reply: readonly unknown[], index: number): string {
  const value = reply[index];
  if (typeof value === 'string') return value;
  throw new TroupeError('internal.unexpected', `Redis answered a script without a text at place ${index}`);
}

/** The number at a place of a reply; numbers travel as text. */
export function numberAt(reply: readonly unknown[], index: number): number {
  const value = Number(textAt(reply, index));
  if (!Number.isNaN(value)) return value;
  throw new TroupeError('internal.unexpected', `Redis answered a script without a number at place ${index}`);
}

/** A flat list of names and values as pairs. */
export function pairsOf(reply: unknown): [string, string][] {
  const list = asList(reply);
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < list.length; index += 2) {
    pairs.push([textAt(list, index), textAt(list, index + 1)]);
  }
  return pairs;
}

/** JSON that we have stored. */
export function parseStored<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new TroupeError('internal.unexpected', `Redis holds no valid JSON for ${what}`, { cause });
  }
}
