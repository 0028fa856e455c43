/**
 * Owns what the user sees while something takes longer than a second: one line that lives on a terminal, plain lines
 * elsewhere. Used by every step of set-up and launch. Writes to the stream it is given and nowhere else.
 */

/** What takes less is not worth a line. */
const quietMs = 1_000;
/** How often a plain log is told that a step still runs. */
const plainRepeatMs = 10_000;
const frameMs = 150;
const frames = ['|', '/', '-', '\\'];

/**
 * @typedef {object} Progress
 * @property {<T>(text: string, work: (update: (text: string) => void) => Promise<T>) => Promise<T>} step
 *   runs `work`, showing `text` while it lasts; `update` changes the text
 * @property {(text: string) => void} line prints a line, past the one that lives
 */

/**
 * @param {{ write(text: string): unknown, isTTY?: boolean | undefined, columns?: number | undefined }} stream
 * @param {{ animate?: boolean }} [options]
 * @returns {Progress}
 */
export function createProgress(stream, options = {}) {
  const animate = options.animate ?? (stream.isTTY === true && process.env.TERM !== 'dumb');
  /** Text of the step that lives on the terminal's last line now. */
  let living = false;

  const clear = () => {
    if (living) stream.write('\r\x1b[K');
    living = false;
  };
  /** @param {string} text */
  const line = (text) => {
    clear();
    stream.write(`${text}\n`);
  };

  return {
    line,
    async step(text, work) {
      const start = performance.now();
      const elapsedMs = () => performance.now() - start;
      let current = text;
      let frame = 0;
      let nextPlainMs = quietMs;
      const timer = setInterval(
        () => {
          if (elapsedMs() < quietMs) return;
          if (animate) {
            const width = Math.max(20, stream.columns || 80) - 1;
            const shown = `${frames[frame++ % frames.length]} ${current} (${seconds(elapsedMs())})`.slice(
              0,
              width,
            );
            clear();
            stream.write(shown);
            living = true;
          } else if (elapsedMs() >= nextPlainMs) {
            line(nextPlainMs === quietMs ? `${current} ...` : `${current} ... (${seconds(elapsedMs())})`);
            nextPlainMs = nextPlainMs === quietMs ? plainRepeatMs : nextPlainMs + plainRepeatMs;
          }
        },
        animate ? frameMs : quietMs,
      );
      timer.unref();
      try {
        const result = await work((next) => {
          current = next;
        });
        if (elapsedMs() >= quietMs) line(`${text}: done (${seconds(elapsedMs())})`);
        return result;
      } finally {
        clearInterval(timer);
        clear();
      }
    },
  };
}

/** @param {number} ms */
function seconds(ms) {
  return `${Math.round(ms / 1_000)} s`;
}
