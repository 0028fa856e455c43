/**
 * Decides at start which devices a host offers: those that it was told to, or by `auto` those that work. Each is
 * tried first. What was asked for by name and does not work is an error, never a quiet fall-back to the processor.
 */
import { type Device, type Log, parseDevice, TroupeError } from '@troupe/shared';
import { type DeviceProbe, type ProbeOptions, probeDevices } from '../onnx/device-probe.js';
import { readGpus } from './nvidia-smi.js';

/** What a host is told to offer: devices by name, or whatever works. */
export type WantedDevices = readonly Device[] | 'auto';

export interface HostDevicesOptions {
  readonly log: Log;
  /** Ends the search. */
  readonly signal: AbortSignal;
  /** Default `probeDevices`; tests answer for machines that are not there. */
  readonly probe?: (devices: readonly Device[], options: ProbeOptions) => Promise<DeviceProbe[]>;
}

/** The first call after a driver was loaded takes seconds for each GPU. */
const listLimitMs = 20_000;

/** Devices that work, at least one. Rejects with `device.unusable`, or `client.closed` where it was ended. */
export async function findDevices(wanted: WantedDevices, options: HostDevicesOptions): Promise<Device[]> {
  if (wanted !== 'auto') return tryAll(wanted, options);
  const gpus = await findGpus(options);
  if (gpus.length > 0) {
    options.log.info({ devices: gpus.map(({ name }) => name) }, '--devices auto: GPUs that work');
    return gpus;
  }
  options.log.info('--devices auto: no GPU to use, the processor (cpu:0) is offered');
  return tryAll([parseDevice('cpu:0')], options);
}

async function tryAll(devices: readonly Device[], options: HostDevicesOptions): Promise<Device[]> {
  const probes = await (options.probe ?? probeDevices)(devices, { signal: options.signal });
  const faults = probes.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  for (const fault of faults)
    options.log.debug({ err: fault, detail: fault.detail }, 'a device does not work');
  const [first] = faults;
  if (first === undefined) return [...devices];
  const others = probes.slice(probes.findIndex(({ fault }) => fault === first) + 1);
  const names = others.flatMap(({ device, fault }) => (fault === undefined ? [] : [device.name]));
  if (names.length === 0) throw first;
  throw new TroupeError('device.unusable', `${first.message} (neither can be used: ${names.join(', ')})`, {
    cause: first,
  });
}

async function findGpus(options: HostDevicesOptions): Promise<Device[]> {
  const { log, signal } = options;
  const listed = await readGpus(listLimitMs, signal);
  if (typeof listed === 'string') {
    log.info(`--devices auto: no CUDA device: ${listed}`);
    return [];
  }
  const devices = listed.map(({ index }) => parseDevice(`cuda:${index}`));
  const probes = await (options.probe ?? probeDevices)(devices, { signal });
  for (const { device, fault } of probes) {
    if (fault === undefined) continue;
    log.warn({ device: device.name, detail: fault.detail }, `--devices auto: left out: ${fault.message}`);
  }
  return probes.flatMap(({ device, fault }) => (fault === undefined ? [device] : []));
}
