/**
 * Tries devices in throw-away processes before a host offers them: a driver that hangs or aborts takes nothing with
 * it. All CPU devices share a process, each GPU has its own, a few at a time. Called by the host at its start.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { childEnvironment, type Device, TroupeError } from '@troupe/shared';
import { deviceFault } from './device-fault.js';
import type { ProbeOrder, ProbeReport } from './device-probe-main.js';
import { entryUrl } from './entry-file.js';

export interface DeviceProbe {
  readonly device: Device;
  /** `device.unusable`; absent where the device works. */
  readonly fault?: TroupeError;
}

export interface ProbeOptions {
  /** Ends the probes at once; `probeDevices` then rejects with `client.closed`. */
  readonly signal?: AbortSignal;
  /** For one process, in milliseconds. Default 60 s: the first use of a GPU reads gigabytes of libraries. */
  readonly limitMs?: number;
  /** Module that the processes run; default this package's. */
  readonly entry?: URL;
}

const defaultLimitMs = 60_000;
const processesAtOnce = 4;
/** Of standard error: the missing library stands in the first lines. */
const longestLog = 65_536;

/** Probes all; in the order given. */
export async function probeDevices(
  devices: readonly Device[],
  options: ProbeOptions = {},
): Promise<DeviceProbe[]> {
  const shares = devices.filter(({ kind }) => kind === 'cpu');
  const gpus = devices.filter(({ kind }) => kind !== 'cpu');
  const waiting = [...(shares.length === 0 ? [] : [shares]), ...gpus.map((device) => [device])];
  const found = new Map<string, DeviceProbe>();
  const probeNext = async (): Promise<void> => {
    for (let group = waiting.shift(); group !== undefined; group = waiting.shift()) {
      if (options.signal?.aborted === true) return;
      for (const probe of await probeGroup(group, options)) found.set(probe.device.name, probe);
    }
  };
  await Promise.all(Array.from({ length: processesAtOnce }, probeNext));
  if (options.signal?.aborted === true) {
    throw new TroupeError('client.closed', 'the host was stopped while it tried its devices');
  }
  return devices.map((device) => found.get(device.name) ?? { device });
}

/** One process; resolves when it has ended, by itself or by our hand. */
async function probeGroup(devices: readonly Device[], options: ProbeOptions): Promise<DeviceProbe[]> {
  const child = fork(options.entry ?? entryUrl(import.meta.url, 'device-probe-main'), {
    env: childEnvironment({ ORT_DISABLE_TELEMETRY: '1' }),
    detached: true, // a terminal's Ctrl-C is for the host, and must not look like a fault of the device
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (log.length < longestLog) log += text;
  });
  const reports = new Map<string, ProbeReport>();
  child.on('message', (report: ProbeReport) => reports.set(report.device, report));
  const limitMs = options.limitMs ?? defaultLimitMs;
  const how = await ended(child, { parentPid: process.pid, devices }, limitMs, options.signal);
  return devices.map((device) => {
    const report = reports.get(device.name);
    if (report !== undefined && report.fault === undefined) return { device };
    return { device, fault: deviceFault(device, report?.fault ?? how, log) };
  });
}

/** Gives the order and waits for the end; says how it ended, for a process that did not report. */
function ended(
  child: ChildProcess,
  order: ProbeOrder,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((resolve) => {
    let cause: string | undefined;
    const kill = (why: string) => {
      cause ??= why;
      child.kill('SIGKILL');
    };
    const abort = () => kill('the probe was given up');
    const timer = setTimeout(() => kill(`the probe did not end within ${limitMs} ms`), limitMs);
    signal?.addEventListener('abort', abort);
    const end = (how: string) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(cause ?? how);
    };
    child.once('error', (error) => end(`the probe could not be started: ${error.message}`));
    // 'close' and not 'exit': what it said last is in the pipes.
    child.once('close', (code, by) =>
      end(`the probe ended ${by === null ? `with exit code ${code}` : `by ${by}`}`),
    );
    child.send(order, (error) => {
      if (error !== null) kill(`the probe took no order: ${error.message}`);
    });
  });
}
