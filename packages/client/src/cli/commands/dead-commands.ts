/** `troupe dead list|replay|drop`: requests that were given up. */
import type { CommandContext } from '../command-context.js';
import { formatBytes } from '../format-table.js';

export interface DeadListOptions {
  readonly count: number;
  readonly model?: string;
}

export async function listDead(context: CommandContext, options: DeadListOptions): Promise<void> {
  const { count, model } = options;
  const letters = await context.withClient((client) =>
    client.deadLetters({ count, ...(model === undefined ? {} : { model }) }),
  );
  context.print({ letters }, () => {
    if (letters.length === 0) return 'no dead letters: no request was given up\n';
    const rows = letters.map((letter) => [
      String(letter.sequence),
      letter.at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
      `${letter.model} v${letter.version}`,
      formatBytes(letter.sizeBytes),
      `${letter.reason}: ${letter.text}`,
    ]);
    return context.table(['NUMBER', 'GIVEN UP', 'MODEL', 'SIZE', 'WHY'], rows, ['NUMBER', 'SIZE']);
  });
}

export async function replayDead(context: CommandContext, sequence: number): Promise<void> {
  const letter = await context.withClient((client) => client.replayDeadLetter(sequence));
  context.print(
    { ...letter, replayed: true },
    () => `dead letter ${sequence} was sent to ${letter.model} version ${letter.version} once more\n`,
  );
}

export async function dropDead(context: CommandContext, sequence: number): Promise<void> {
  const letter = await context.withClient((client) => client.dropDeadLetter(sequence));
  context.print(
    { ...letter, dropped: true },
    () => `dead letter ${sequence} of ${letter.model} version ${letter.version} is dropped\n`,
  );
}
