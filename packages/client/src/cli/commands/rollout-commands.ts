/** `troupe rollout start|status|pause|resume|abort`, `troupe rollback`. */
import type { VersionFigures } from '@troupe/shared';
import type { RolloutOptions, RolloutStatus } from '../../sdk/rollout.js';
import type { CommandContext } from '../command-context.js';
import { AlreadyTold, ExitCode, UsageError } from '../exit-code.js';
import { formatMs, showControls } from '../format-table.js';

/** Between two looks of `--wait`, in milliseconds. */
const lookEveryMs = 300;

export interface StartOptions extends RolloutOptions {
  readonly wait?: boolean;
}

export interface RollbackOptions {
  readonly to?: number;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `5@60s,25@5m,100`: percent, and how long it is held. Throws a UsageError. */
export function parseSteps(text: string): NonNullable<RolloutOptions['steps']> {
  return text.split(',').map((part) => {
    const match = /^\s*(\d{1,3})\s*%?(?:@(\d{1,9})(ms|s|m|h))?\s*$/.exec(part);
    const percent = Number(match?.[1]);
    const isLast = match?.[2] === undefined;
    if (match === null || percent < 1 || percent > 100 || (isLast && percent !== 100)) {
      throw new UsageError(
        `"${part}" is no step: write percent@time, for example 5@60s or 25@5m; the last may be 100 alone`,
      );
    }
    return { percent, holdMs: isLast ? 0 : Number(match[2]) * (units[match[3] ?? ''] ?? 1) };
  });
}

export async function startRollout(
  context: CommandContext,
  model: string,
  version: number,
  options: StartOptions,
): Promise<void> {
  const { strategy, steps, bakeMs, maxUnavailable, maxCrashes, allowGap, allowSignatureChange } = options;
  const asked = {
    ...(strategy === undefined ? {} : { strategy }),
    ...(steps === undefined ? {} : { steps }),
    ...(bakeMs === undefined ? {} : { bakeMs }),
    ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
    ...(maxCrashes === undefined ? {} : { maxCrashes }),
    ...(allowGap === undefined ? {} : { allowGap }),
    ...(allowSignatureChange === undefined ? {} : { allowSignatureChange }),
  };
  await context.withClient(async (client) => {
    const started = await client.startRollout(model, version, asked);
    if (!started.changed) {
      context.print(started, () => `${model} version ${version} is stable already: nothing to do\n`);
      return;
    }
    if (options.wait !== true) {
      context.print(started, () => startText(context, started));
      return;
    }
    const ended = await follow(context, started, () => client.rollout(model));
    context.print(ended, () => statusText(context, ended));
    if (ended.rollout?.phase !== 'promoted') throw new AlreadyTold(ExitCode.Failed);
  });
}

/** Looks until it has ended, telling each new line of its story on the way. */
async function follow(
  context: CommandContext,
  started: RolloutStatus,
  look: () => Promise<RolloutStatus>,
): Promise<RolloutStatus> {
  let status = started;
  let told: string | undefined;
  for (;;) {
    const story = (status.rollout?.story ?? []).map(({ at, text }) => ({ text, key: `${at} ${text}` }));
    // The oldest lines of a long story are dropped: what was told last is looked for, not counted.
    const news = story.slice(story.findIndex(({ key }) => key === told) + 1);
    for (const { text } of news) context.progress(text);
    told = story.at(-1)?.key;
    // Another rollout of the model may have begun in between: this one has ended then, too.
    if (!status.active || status.rollout?.number !== started.rollout?.number) return status;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    status = await look();
  }
}

function startText(context: CommandContext, { model, rollout }: RolloutStatus): string {
  const command = `npx troupe rollout status ${model}${context.clusterFlags}`;
  const [note] = rollout?.story ?? [];
  return `${model}: ${showControls(note?.text ?? 'the rollout has begun')}\nThis tells how it goes:\n  ${command}\n`;
}

export async function showRollout(context: CommandContext, model: string): Promise<void> {
  const status = await context.withClient((client) => client.rollout(model));
  context.print(status, () => statusText(context, status));
}

export async function pauseRollout(context: CommandContext, model: string): Promise<void> {
  const status = await context.withClient((client) => client.pauseRollout(model));
  const go = `npx troupe rollout resume ${model}${context.clusterFlags}`;
  context.print(status, () => `the rollout of ${model} is paused; this lets it go on:\n  ${go}\n`);
}

export async function resumeRollout(context: CommandContext, model: string): Promise<void> {
  const status = await context.withClient((client) => client.resumeRollout(model));
  context.print(status, () => `the rollout of ${model} goes on\n`);
}

export async function abortRollout(context: CommandContext, model: string): Promise<void> {
  const status = await context.withClient((client) => client.abortRollout(model));
  context.print(status, () => lastLine(status));
}

export async function rollback(
  context: CommandContext,
  model: string,
  options: RollbackOptions,
): Promise<void> {
  const to = options.to === undefined ? {} : { to: options.to };
  const status = await context.withClient((client) => client.rollback(model, to));
  context.print(status, () => lastLine(status));
}

function lastLine({ model, rollout }: RolloutStatus): string {
  return `${model}: ${showControls(rollout?.story.at(-1)?.text ?? 'nothing has changed')}\n`;
}

/** The rollout in plain words: where it stands, what happened, who serves. */
function statusText(context: CommandContext, { model, rollout, stable, workers }: RolloutStatus): string {
  const live = stable === undefined ? 'no version is stable' : `version ${stable} is stable`;
  if (rollout === undefined) return `${model}: ${live}; nothing was rolled out yet\n`;
  const parts = [
    `${model}: ${live}; rollout ${rollout.number} to version ${rollout.to} ${where(rollout)}\n\n`,
  ];
  for (const { at, text } of rollout.story) {
    parts.push(`${showControls(at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'))}  ${showControls(text)}\n`);
  }
  const { cause, evidence } = rollout;
  if (cause !== undefined) parts.push(`\ncause: ${cause.kind}, ${showControls(cause.text)}\n`);
  if (evidence !== undefined) {
    const deaths = evidence.crashes === 1 ? '1 runner died' : `${evidence.crashes} runners died`;
    parts.push(
      `version ${rollout.to}: ${figures(evidence.candidate)}; ${deaths}\n`,
      `version ${rollout.from ?? '-'}: ${figures(evidence.stable)}\n`,
    );
  }
  if (workers.length > 0) {
    const rows = workers.map(({ condemned, device, host, reason, state, version }) => [
      String(version),
      `${host} ${device}`,
      condemned === undefined ? state : 'condemned',
      condemned?.cause ?? reason ?? '',
    ]);
    parts.push(`\n${context.table(['VERSION', 'WORKER', 'STATE', 'NOTE'], rows, ['VERSION'])}`);
  }
  return parts.join('');
}

function where({ gap, paused, phase, settings, stepIndex }: NonNullable<RolloutStatus['rollout']>): string {
  const hold = paused ? ' (paused)' : '';
  switch (phase) {
    case 'staging':
      return gap === true ? `loads in its place, requests wait${hold}` : `loads beside it${hold}`;
    case 'canary': {
      const percent = settings.steps[stepIndex]?.percent ?? 0;
      return `has ${percent} % of the traffic, step ${stepIndex + 1} of ${settings.steps.length}${hold}`;
    }
    case 'baking':
      return `has all traffic, ${gap === true ? 'nobody stands by' : 'the version before stands by'}${hold}`;
    case 'promoted':
      return 'has ended well';
    case 'rolled_back':
      return 'was taken back';
    case 'aborted':
      return 'was given up';
  }
}

function figures({ errors, p99Ms, requests, samples }: VersionFigures): string {
  const latency = p99Ms === undefined ? '' : `, p99 ${formatMs(p99Ms)} over ${samples ?? 0}`;
  return `${requests} requests, ${errors} failed${latency}`;
}
