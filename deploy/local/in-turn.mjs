/**
 * Owns the order of what processes side by side print: one's lines are never among another's. The first one's appear as
 * they come, the next one's are held until the first has ended. Used by run-tests.mjs.
 */

/** @typedef {{ write(chunk: string | Uint8Array): unknown }} Sink */

/**
 * @param {number} count of processes, which are known by their numbers from 0 on
 */
export function printInTurn(count) {
  /** @type {{ sink: Sink, chunk: string | Uint8Array }[][]} */
  const held = Array.from({ length: count }, () => []);
  /** @type {Set<number>} */
  const ended = new Set();
  let turn = 0;
  return {
    /**
     * @param {number} number
     * @param {Sink} sink
     * @param {string | Uint8Array} chunk
     */
    print(number, sink, chunk) {
      if (number === turn) sink.write(chunk);
      else held[number]?.push({ sink, chunk });
    },
    /** @param {number} number prints nothing more */
    end(number) {
      ended.add(number);
      while (ended.has(turn)) {
        turn += 1;
        for (const { sink, chunk } of held[turn]?.splice(0) ?? []) sink.write(chunk);
      }
    },
  };
}
