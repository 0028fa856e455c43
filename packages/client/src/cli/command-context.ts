/** What every command has: the connection of its options, and its output, as text or as JSON. */
import type { Readable } from 'node:stream';
import { styleText } from 'node:util';
import { asTroupeError, TroupeError } from '@troupe/shared';
import type { TroupeClient } from '../sdk/client.js';
import { connectTo } from '../sdk/connect.js';
import type { CheckedConnectOptions } from '../sdk/connect-options.js';
import { type ClusterFlags, type ClusterSettings, resolveClusterSettings } from './cluster-settings.js';
import { UsageError } from './exit-code.js';
import { formatTable, plainWidth, showControls } from './format-table.js';
import { formatJsonText } from './json-text.js';
import { createProgressBar, noProgress, type ProgressBar } from './progress-bar.js';
import { readAll, readSource } from './read-source.js';
import { wrapText } from './wrap-text.js';

/** A stream as the command line writes to it. */
export interface CliStream {
  write(text: string): unknown;
  readonly columns?: number | undefined;
  readonly isTTY?: boolean | undefined;
  hasColors?(): boolean;
}

/** Where a run of the command line reads and writes. */
export interface CliStreams {
  /** Read only where an argument asks for it. */
  readonly stdin?: Readable;
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Aborts when the run is to end early: Ctrl-C, or nobody reads its output any more. */
  readonly signal: AbortSignal;
}

/** Options that every command takes. */
export interface GlobalOptions extends ClusterFlags {
  readonly json?: boolean;
  readonly printConfig?: boolean;
}

/** One command's way to the cluster and to the terminal. */
export interface CommandContext {
  readonly json: boolean;
  readonly signal: AbortSignal;
  /** Where options, environment and files lead, and how; read once, when it is first asked for. */
  settings(): Promise<ClusterSettings>;
  /** The connection alone; for what connects in its own way. */
  connection(): Promise<CheckedConnectOptions>;
  /** Flags, with a blank before each, that lead another command to the same cluster. Never with a password. */
  readonly clusterFlags: string;
  /** The bytes of a file, or of standard input where the path is `-`. */
  read(path: string): Promise<Uint8Array>;
  /** Connects, runs, and closes whatever came of it. */
  withClient<T>(run: (client: TroupeClient) => Promise<T>): Promise<T>;
  /**
   * The command's result: `value` as one line of JSON, or the text for people, broken at words where a terminal is too
   * narrow. Lines that begin with a blank stay whole: commands to copy.
   */
  print(value: unknown, text: () => string): void;
  /** Something on the way, for people only, on standard error. */
  progress(text: string): void;
  /** What goes on meanwhile, for people only, on standard error. */
  progressBar(): ProgressBar;
  /** A paragraph as wide as a table. */
  paragraph(text: string): string;
  table(
    headings: readonly string[],
    rows: readonly (readonly string[])[],
    figures?: readonly string[],
  ): string;
}

export function createCommandContext(streams: CliStreams, options: GlobalOptions): CommandContext {
  const json = options.json === true;
  const { stdout, stderr, signal } = streams;
  const colors = stdout.isTTY === true && stdout.hasColors?.() === true;
  const read = async (path: string) => {
    if (path !== '-') return readSource(path);
    const { stdin } = streams;
    if (stdin === undefined) throw new UsageError('there is no standard input to read');
    return readAll(stdin, signal);
  };
  let resolved: Promise<ClusterSettings> | undefined;
  const settings = () => {
    resolved ??= resolveClusterSettings(options, process.cwd(), read);
    return resolved;
  };
  const connection = async () => (await settings()).connection;
  return {
    json,
    signal,
    settings,
    connection,
    clusterFlags: flagsOf(options),
    read,
    async withClient(run) {
      const client = await connectTo(await connection());
      // A turn later: what listens to the signal itself tells the cluster first that its request is cancelled.
      const stop = () => setImmediate(() => void client.close());
      signal.addEventListener('abort', stop, { once: true });
      try {
        return await run(client);
      } finally {
        signal.removeEventListener('abort', stop);
        await client.close();
      }
    },
    print(value, text) {
      stdout.write(json ? `${formatJsonText(value)}\n` : wrapForTerminal(stdout, text()));
    },
    progress(text) {
      if (!json) stderr.write(`${showControls(text)}\n`);
    },
    progressBar: () => (json ? noProgress : createProgressBar(stderr)),
    paragraph: (text) => `${wrapText(showControls(text), stdout.columns ?? plainWidth)}\n`,
    table: (headings, rows, figures = []) =>
      formatTable(headings, rows, {
        width: stdout.columns ?? plainWidth,
        figures,
        ...(colors ? { emphasize: (text: string) => styleText('bold', text) } : {}),
      }),
  };
}

function flagsOf(options: GlobalOptions): string {
  const { nats, natsUser, natsPasswordFile, natsCreds, natsCa, namespace } = options;
  const flags = {
    nats: nats?.includes('@') === true ? undefined : nats,
    'nats-user': natsUser,
    'nats-password-file': natsPasswordFile === '-' ? undefined : natsPasswordFile,
    'nats-creds': natsCreds,
    'nats-ca': natsCa,
    namespace,
  };
  return Object.entries(flags)
    .map(([flag, value]) => (value === undefined ? '' : ` --${flag} ${value}`))
    .join('');
}

/** Each line in the width of a terminal. Where none breaks them, they stay whole, for who searches a log. */
function wrapForTerminal({ isTTY, columns }: CliStream, text: string): string {
  if (isTTY !== true || columns === undefined) return text;
  return text
    .split('\n')
    .map((line) => (line.startsWith(' ') || line.length <= columns ? line : wrapText(line, columns)))
    .join('\n');
}

/** Says on standard error what went wrong: a line for people, or one JSON object. */
export function reportError(stderr: CliStream, json: boolean, thrown: unknown): void {
  const error =
    thrown instanceof UsageError
      ? new TroupeError('request.arguments', thrown.message)
      : asTroupeError(thrown);
  if (json) {
    const { class: errorClass, reason, message } = error;
    stderr.write(`${JSON.stringify({ error: { class: errorClass, reason, message } })}\n`);
    return;
  }
  const tail =
    thrown instanceof UsageError ? ' (troupe --help, or --help behind a command)' : ` [${error.reason}]`;
  stderr.write(`${wrapForTerminal(stderr, `troupe: ${showControls(error.message)}${tail}`)}\n`);
}
