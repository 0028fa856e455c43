/** `troupe hosts`, `troupe workers`, `troupe scale`, `troupe events`. */
import type { DeviceReport, TroupeEvent } from '@troupe/shared';
import type { HostSummary } from '../../sdk/cluster-answers.js';
import type { CommandContext } from '../command-context.js';
import { formatBytes, formatMs, showControls } from '../format-table.js';
import { tableWithNotes } from './model-commands.js';

export async function listHosts(context: CommandContext): Promise<void> {
  const hosts = await context.withClient((client) => client.hosts());
  context.print({ hosts }, () => {
    if (hosts.length === 0) return 'no hosts: troupe-worker starts one\n';
    const rows = hosts.map((host) => [
      host.host,
      host.stopping ? 'stopping' : 'up',
      slotsOf(host),
      formatMs(Math.max(0, host.leaseRemainingMs)),
      String(host.pid),
      host.devices.map((device) => deviceText(host, device)).join(' '),
    ]);
    return context.table(['HOST', 'STATE', 'SLOTS', 'LEASE', 'PID', 'DEVICES'], rows, ['LEASE', 'PID']);
  });
}

/** A device, and what is taken of its memory budget where it has one. */
function deviceText({ workers }: HostSummary, { memoryBudgetBytes, name }: DeviceReport): string {
  if (memoryBudgetBytes === undefined) return name;
  const taken = workers
    .filter((worker) => worker.device === name)
    .reduce((sum, worker) => sum + (worker.memoryChargedBytes ?? 0), 0);
  return `${name} (${formatBytes(taken)} of ${formatBytes(memoryBudgetBytes)})`;
}

function slotsOf(host: HostSummary): string {
  const slots = `${host.workers.length} of ${host.slots}`;
  const { wantedSlots } = host;
  return wantedSlots === undefined || wantedSlots === host.slots ? slots : `${slots}, to be ${wantedSlots}`;
}

export async function listWorkers(context: CommandContext): Promise<void> {
  const workers = await context.withClient((client) => client.workers());
  context.print({ workers }, () => {
    if (workers.length === 0) return 'no workers: none of the models is placed on a host\n';
    const rows = workers.map((worker) => [
      `${worker.model} v${worker.servingVersion ?? worker.version}`,
      `${worker.host} ${worker.device}`,
      worker.state,
      `${worker.inFlight}/${worker.credits}`,
      formatMs(worker.p50Ms),
      formatMs(worker.p99Ms),
      String(worker.completed),
      String(worker.failed),
      worker.memoryBytes === undefined ? '-' : formatBytes(worker.memoryBytes),
      worker.reason ?? (worker.natsConnected ? '' : 'not connected to NATS'),
    ]);
    const headings = ['MODEL', 'WORKER', 'STATE', 'HELD', 'P50', 'P99', 'DONE', 'FAILED', 'MEMORY', 'NOTE'];
    return tableWithNotes(context, headings, rows, ['HELD', 'P50', 'P99', 'DONE', 'FAILED', 'MEMORY']);
  });
}

export async function scaleHost(context: CommandContext, host: string, slots: number): Promise<void> {
  await context.withClient((client) => client.scale(host, slots));
  context.print({ host, slots }, () => `${host} is to have ${slots} ${slots === 1 ? 'slot' : 'slots'}\n`);
}

export interface EventsOptions {
  readonly follow?: boolean;
  readonly count: number;
}

/** The newest events; with `--follow` those to come as well, one JSON value a line, until Ctrl-C. */
export async function showEvents(context: CommandContext, options: EventsOptions): Promise<void> {
  await context.withClient(async (client) => {
    if (options.follow !== true) {
      const events = await client.recentEvents(options.count);
      context.print({ events }, () => events.map(eventLine).join('') || 'no events yet\n');
      return;
    }
    // Listening begins before the look back, so that nothing falls between; what both bring is shown once.
    const feed = client.events({ signal: context.signal });
    const recent = await client.recentEvents(options.count);
    const shown = new Set(recent.map((event) => JSON.stringify(event)));
    for (const event of recent) context.print(event, () => eventLine(event));
    let overlapping = true;
    for await (const event of feed) {
      if (overlapping && shown.has(JSON.stringify(event))) continue;
      overlapping = overlapping && event.at <= (recent.at(-1)?.at ?? '');
      context.print(event, () => eventLine(event));
    }
  });
}

function eventLine(event: TroupeEvent): string {
  const at = event.at.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
  const text = `${showControls(event.source)}: ${showControls(event.text)}`;
  return `${showControls(at)}  ${event.kind.padEnd(16)}  ${text}\n`;
}
