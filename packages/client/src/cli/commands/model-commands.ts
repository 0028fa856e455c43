/** `troupe models push|list|show|label|delete|retry`. */
import { basename } from 'node:path';
import { EventKind, type ModelSummary, parseModelName } from '@troupe/shared';
import type { TroupeClient } from '../../sdk/client.js';
import type { ModelDetails } from '../../sdk/cluster-answers.js';
import type { RegisteredModel, RegisterProgress } from '../../sdk/register-model.js';
import type { CommandContext } from '../command-context.js';
import { exampleRequest } from '../example-request.js';
import { UsageError } from '../exit-code.js';
import { formatBytes, formatMs, showControls } from '../format-table.js';
import { readGolden, readModelConfig } from '../model-config.js';
import { residencyOf } from './residency-commands.js';

export interface PushOptions {
  readonly config?: string;
  readonly name?: string;
  readonly golden?: string;
  readonly goldenFrom?: string;
  readonly maxBatch?: number;
  readonly maxDelayMs?: number;
  readonly replicas?: number;
  readonly residency?: string;
  readonly idleMs?: number;
}

export async function pushModel(context: CommandContext, file: string, options: PushOptions): Promise<void> {
  const name = options.name ?? nameOfFile(file);
  const config = options.config === undefined ? {} : await readModelConfig(options.config);
  const given = options.golden === undefined ? config.golden : await readGolden(options.golden);
  const label = options.goldenFrom;
  const registered = await context.withClient(async (client) => {
    const recorded = label === undefined ? [] : await client.recordGolden(name, { label });
    const golden = recorded.length === 0 ? given : [...(given ?? []), ...recorded];
    return withProgress(context, client, name, (onProgress) =>
      client.registerModel({
        ...config,
        name,
        file,
        ...(golden === undefined ? {} : { golden }),
        ...(options.maxBatch === undefined ? {} : { maxBatchSize: options.maxBatch }),
        ...(options.maxDelayMs === undefined ? {} : { maxDelayMs: options.maxDelayMs }),
        ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
        ...(options.residency === undefined ? {} : { residency: residencyOf(options.residency) }),
        ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
        onProgress,
      }),
    );
  });
  context.print(registered, () => pushText(context, registered));
}

/** A file's name is the model's name, where it is one. */
export function nameOfFile(file: string): string {
  const stem = basename(file).replace(/\.onnx$/i, '');
  try {
    return parseModelName(stem);
  } catch (error) {
    const meant = stem
      .replace(/[^A-Za-z0-9_-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .replace(/-+$/, '')
      .slice(0, 63);
    const suggestion = meant === '' ? '--name <name>' : `--name ${meant}`;
    throw new UsageError(`${(error as Error).message}; say which it is, for example: ${suggestion}`);
  }
}

/** Shows how far a registration has come: bytes of the upload, then what the cluster does with the model. */
async function withProgress<T>(
  context: CommandContext,
  client: TroupeClient,
  name: string,
  run: (onProgress: (progress: RegisterProgress) => void) => Promise<T>,
): Promise<T> {
  const bar = context.progressBar();
  let awaited: number | undefined;
  const stop = client.onEvent(
    ({ source, data }) => {
      if (data.model !== name || data.version !== awaited) return;
      const where = `${source.replace(/^host\//, '')} ${String(data.device)}`;
      bar.show({ text: `${name}: version ${awaited} is ${String(data.to)} on ${where}` });
    },
    { kinds: [EventKind.WorkerState] },
  );
  try {
    return await run((progress) => {
      if (progress.phase === 'uploading') {
        const { sentBytes: doneBytes, totalBytes } = progress;
        bar.show({ text: `${name}: uploading`, doneBytes, totalBytes });
      } else if (progress.phase === 'trying') {
        bar.show({ text: `${name}: the cluster tries it (load, warm-up, golden cases, batching)` });
      } else {
        awaited = progress.version;
        bar.show({ text: `${name}: version ${awaited} is registered; waiting until it serves` });
      }
    });
  } finally {
    stop();
    bar.end();
  }
}

function pushText(context: CommandContext, registered: RegisteredModel): string {
  const { model, version, created, label, digest, sizeBytes } = registered;
  const what = created ? 'is registered' : 'was registered before';
  const head = `${model} version ${version} ${what}${label === undefined ? '' : `, label ${label}`}\n`;
  const facts = `${formatBytes(sizeBytes)}, sha256 ${digest}\n`;
  if (label !== undefined) {
    const show = `npx troupe models show ${model}${context.clusterFlags}`;
    return `${head}${facts}This shows what it takes, with a request to copy:\n  ${show}\n`;
  }
  const command = `npx troupe rollout start ${model} ${version}${context.clusterFlags}`;
  return `${head}${facts}No label names it, so it is not served yet. This puts it live:\n  ${command}\n`;
}

export async function listModels(context: CommandContext): Promise<void> {
  const models = await context.withClient((client) => client.models());
  context.print({ models }, () => {
    if (models.length === 0) return 'no models: troupe models push <file.onnx> registers one\n';
    return versionTable(context, models);
  });
}

function versionTable(context: CommandContext, models: readonly (ModelSummary | ModelDetails)[]): string {
  const rows = models.flatMap((model) =>
    model.versions.map((version) => [
      model.name,
      String(version.version),
      labelsOf(model.labels, version.version),
      version.state,
      `${version.serving} of ${version.wanted}`,
      version.batchable ? 'yes' : 'no',
      formatBytes(version.sizeBytes),
      version.reason ?? '',
    ]),
  );
  return tableWithNotes(
    context,
    ['MODEL', 'VERSION', 'LABELS', 'STATE', 'SERVING', 'BATCHES', 'SIZE', 'NOTE'],
    rows,
    ['VERSION', 'SIZE'],
  );
}

/** A table whose last column, with notes, stands beneath it: sentences, each named by the row's first two cells. */
export function tableWithNotes(
  context: CommandContext,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  figures: readonly string[],
): string {
  const table = context.table(
    headings.slice(0, -1),
    rows.map((row) => row.slice(0, -1)),
    figures,
  );
  const notes = rows
    .filter((row) => row.at(-1) !== '')
    .map(([first = '', second = '', ...rest]) => `${first} ${second}: ${rest.at(-1)}`);
  return notes.length === 0 ? table : `${table}\n${notes.map((note) => context.paragraph(note)).join('')}`;
}

function labelsOf(labels: Readonly<Record<string, number>>, version: number): string {
  const own = Object.entries(labels)
    .filter(([, target]) => target === version)
    .map(([label]) => label);
  return own.length === 0 ? '-' : own.sort().join(' ');
}

export async function showModel(context: CommandContext, name: string): Promise<void> {
  const model = await context.withClient((client) => client.model(name));
  context.print(model, () => {
    const { idleMs, residency = 'always' } = model;
    const idle = idleMs === undefined ? '' : `, ${formatMs(idleMs)} without a request`;
    const memory = residency === 'always' ? '' : `, in memory: ${residency.replace('_', ' ')}${idle}`;
    const parts = [
      `${model.name}, ${model.replicas} replicas wanted${memory}\n\n${versionTable(context, [model])}`,
    ];
    for (const version of model.versions) {
      parts.push(`\nversion ${version.version}\nsha256 ${version.digest}\n`);
      if (version.condemned !== undefined)
        parts.push(`condemned: ${showControls(version.condemned.cause)}\n`);
      if (version.batching !== undefined) {
        const { maxBatchSize, maxDelayMs } = version.batching;
        const why =
          version.batchableReason === undefined ? '' : ` (${showControls(version.batchableReason)})`;
        parts.push(`batches of up to ${maxBatchSize} rows, waiting up to ${maxDelayMs} ms${why}\n`);
      }
      if (version.golden !== undefined) parts.push(`golden cases: ${version.golden.length}\n`);
      if (version.signature !== undefined) {
        const { inputs, outputs } = version.signature;
        const rows = [
          ...inputs.map((spec) => ['input', spec] as const),
          ...outputs.map((spec) => ['output', spec] as const),
        ].map(([side, spec]) => [
          side,
          spec.name,
          spec.datatype,
          spec.shape === undefined ? 'any' : `[${spec.shape.join(',')}]`,
        ]);
        parts.push(context.table(['', 'NAME', 'TYPE', 'SHAPE'], rows));
        const selector = model.labels.stable === version.version ? '' : ` --version ${version.version}`;
        const example = exampleRequest(model.name, selector, version.signature);
        parts.push(`ask it:\n  ${showControls(example)}${context.clusterFlags}\n`);
      }
    }
    return parts.join('');
  });
}

export async function labelModel(
  context: CommandContext,
  model: string,
  label: string,
  version: number | null,
): Promise<void> {
  await context.withClient((client) => client.label(model, label, version));
  context.print({ model, label, version }, () =>
    version === null
      ? `label ${label} of ${model} is taken away\n`
      : `label ${label} of ${model} is on version ${version}\n`,
  );
}

export async function deleteModel(
  context: CommandContext,
  model: string,
  version: number | undefined,
): Promise<void> {
  await context.withClient((client) => client.deleteModel(model, version));
  context.print({ model, ...(version === undefined ? {} : { version }), deleted: true }, () =>
    version === undefined ? `${model} is deleted\n` : `${model} version ${version} is deleted\n`,
  );
}

export async function retryModel(context: CommandContext, model: string, version: number): Promise<void> {
  await context.withClient((client) => client.retryModel(model, version));
  context.print({ model, version, retried: true }, () => `${model} version ${version} is tried again\n`);
}
