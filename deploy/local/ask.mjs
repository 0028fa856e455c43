/** Owns a question to whoever sits at the terminal. Used by set-up; where nobody sits there, nothing is asked. */
import { createInterface } from 'node:readline/promises';
import { Interrupted } from './fault.mjs';

/**
 * A way to ask, or undefined where there is no terminal to ask and answer on.
 * @param {{ stdin: NodeJS.ReadStream, stderr: NodeJS.WriteStream, signal: AbortSignal }} context
 * @returns {((question: string) => Promise<boolean>) | undefined}
 */
export function terminalQuestion({ stdin, stderr, signal }) {
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
  return async (question) => {
    // Not as a terminal: Ctrl-C then stays a signal, which ends the run as ever.
    const lines = createInterface({ input: stdin, output: stderr, terminal: false });
    try {
      const answer = await lines.question(`${question} [y/N] `, { signal });
      return /^\s*y(es)?\s*$/i.test(answer);
    } catch (error) {
      if (signal.aborted) throw new Interrupted(String(signal.reason));
      throw error;
    } finally {
      lines.close();
      stdin.pause();
    }
  };
}
