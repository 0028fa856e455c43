/** Finds the known name that a caller most likely meant; for messages only. */

/** Longer names are not compared: names come from outside, and the cost grows with the square of the length. */
const longestName = 64;

/**
 * The known name with the fewest edits from `wanted` (case does not count), where they are at most a third of
 * its length; `undefined` where none is that near.
 */
export function nearestName(wanted: string, known: Iterable<string>): string | undefined {
  if (wanted.length > longestName) return undefined;
  const target = wanted.toLowerCase();
  let nearest: string | undefined;
  let fewest = Math.max(1, Math.floor(target.length / 3)) + 1;
  for (const name of known) {
    if (name.length > longestName || Math.abs(name.length - target.length) >= fewest) continue;
    const edits = countEdits(target, name.toLowerCase());
    if (edits >= fewest) continue;
    fewest = edits;
    nearest = name;
  }
  return nearest;
}

/** Optimal string alignment distance, a row at a time: to replace, add, drop or swap two neighbours is one edit. */
function countEdits(from: string, to: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (previous[column - 1] as number) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const oneMore = Math.min(previous[column] as number, current[column - 1] as number) + 1;
      const swaps = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      const swapped = (swaps ? before[column - 2] : undefined) ?? Number.POSITIVE_INFINITY;
      current.push(Math.min(replaced, oneMore, swapped + 1));
    }
    before = previous;
    previous = current;
  }
  return previous[to.length] as number;
}
