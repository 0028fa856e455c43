/** An nvidia-smi for tests: a script in a folder of its own, which goes first on the PATH. */
import { writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';

export class ScriptedNvidiaSmi {
  readonly #dir = temporaryDirectory('nvidia-smi');

  /** The PATH with it. */
  get path(): string {
    return `${this.#dir}${delimiter}${process.env.PATH ?? ''}`;
  }

  /** Answers every call with these lines; keeps the arguments of the last one. */
  says(...lines: string[]): void {
    this.#write(
      `printf '%s\\n' "$*" > "${join(this.#dir, 'asked')}"`,
      ...lines.map((line) => `echo '${line}'`),
    );
  }

  /** Fails as nvidia-smi does: the reason on standard output. */
  fails(reason: string): void {
    this.#write(`echo '${reason}'`, 'exit 9');
  }

  /** Never answers, with a child that holds its output open. */
  hangs(): void {
    this.#write('sleep 30');
  }

  asked(): string {
    return join(this.#dir, 'asked');
  }

  remove(): void {
    removeDirectory(this.#dir);
  }

  #write(...lines: string[]): void {
    writeFileSync(join(this.#dir, 'nvidia-smi'), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  }
}
