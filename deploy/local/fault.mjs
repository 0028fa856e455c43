/**
 * Owns the two ways in which set-up and launch end early. Thrown everywhere in this folder, printed only by the
 * entry files: a fault is one line that says what is wrong and what to do, with the tool's own words below it.
 */

/** Something that the user can put right. */
export class SetupFault extends Error {
  /**
   * @param {string} message one line
   * @param {{ detail?: string, exitCode?: number, cause?: unknown }} [options] `detail`: last lines of a tool's output
   */
  constructor(message, options = {}) {
    super(message, { cause: options.cause });
    this.name = 'SetupFault';
    /** @type {string | undefined} */
    this.detail = options.detail;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A signal or the loss of npm asked for the end. */
export class Interrupted extends Error {
  /** @param {string} reason the signal's name, or what happened */
  constructor(reason) {
    super(`interrupted (${reason})`);
    this.name = 'Interrupted';
    this.reason = reason;
  }
}

/**
 * The last lines of a text, for a fault's detail.
 * @param {string} text
 * @param {number} [lineCount]
 */
export function lastLines(text, lineCount = 20) {
  return text.trimEnd().split('\n').slice(-lineCount).join('\n');
}
