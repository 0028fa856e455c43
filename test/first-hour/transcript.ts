/** What a person has seen in all terminals, in the order of time: written to a file for whoever wants to read it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { columnCount, type Shown } from './terminal.js';

export interface Transcript {
  /** What comes next, in a line. */
  head(text: string): void;
  /** A command that is typed again at once stands there once, with its last answer. */
  add(terminal: number, shown: Shown): void;
  /** Lines that a terminal of 80 columns breaks somewhere, with the command that they came from. */
  tooLong(): string[];
  write(path: string): void;
}

/** Lines that are to be copied or read by programs: a break of our own would spoil them. */
const unbroken: readonly RegExp[] = [
  /^ +(cd|npx|nats|NATS_URL=\S+|source) /, // commands
  /^(\^C)?\{.*\}$/, // JSON, of --json and of logs
];

export function createTranscript(): Transcript {
  const parts: string[] = [];
  /** The part that the command typed last has added. */
  let last: { readonly prompt: string; readonly index: number } | undefined;
  const long: string[] = [];
  return {
    head(text) {
      parts.push(`\n# ${text}\n`);
      last = undefined;
    },
    add(terminal, { command, lines, wiped, exitCode }) {
      const prompt = `\n${terminal}$ ${command}\n`;
      const index = last?.prompt === prompt ? last.index : parts.length;
      last = { prompt, index };
      const end = exitCode === undefined || exitCode === 0 ? '' : `(exit code ${exitCode})\n`;
      parts[index] = `${prompt}${lines.map((line) => `${line}\n`).join('')}${end}`;
      for (const line of [...lines, ...wiped]) {
        if (line.length > columnCount && !unbroken.some((pattern) => pattern.test(line)))
          long.push(`${command}: ${line}`);
      }
    },
    tooLong: () => long,
    write(path) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, parts.join('').trimStart());
    },
  };
}
