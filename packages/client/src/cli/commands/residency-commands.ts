/** `troupe models residency`, `troupe models pin`, `troupe models unpin`. */
import { Residency } from '@troupe/shared';
import type { CommandContext } from '../command-context.js';

/** As they are written on a command line. */
export const residencyWords: readonly string[] = Object.values(Residency).map((word) =>
  word.replace('_', '-'),
);

export interface ResidencyOptions {
  readonly idleMs?: number;
}

/** The value behind its word; the command line has checked the word. */
export function residencyOf(word: string): Residency {
  return Object.values(Residency).find((one) => one.replace('_', '-') === word) ?? Residency.Always;
}

export async function setResidency(
  context: CommandContext,
  model: string,
  word: string,
  { idleMs }: ResidencyOptions,
): Promise<void> {
  await change(context, model, residencyOf(word), idleMs);
}

export async function pinModel(context: CommandContext, model: string): Promise<void> {
  await change(context, model, Residency.Pinned);
}

export async function unpinModel(context: CommandContext, model: string): Promise<void> {
  await change(context, model, Residency.Always);
}

const meanings: Readonly<Record<Residency, string>> = {
  pinned: 'stays in memory and never gives way to another model',
  always: 'is in memory where there is room',
  on_demand: 'is loaded when somebody asks for it',
  prefetched: 'is loaded when somebody asks for it, from a file that every host has',
};

async function change(
  context: CommandContext,
  model: string,
  residency: Residency,
  idleMs?: number,
): Promise<void> {
  await context.withClient((client) =>
    client.setResidency(model, residency, idleMs === undefined ? {} : { idleMs }),
  );
  context.print(
    { model, residency, ...(idleMs === undefined ? {} : { idleMs }) },
    () => `${model} ${meanings[residency]}\n`,
  );
}
