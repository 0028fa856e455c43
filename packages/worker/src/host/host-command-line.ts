/** The host's command line. Pure; what the settings come to is for `resolveConfiguration`. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  asTroupeError,
  CommandLineExit,
  type Device,
  defaults,
  parseDevice,
  parseHostName,
  quoteName,
  settingCatalogue,
  TroupeError,
} from '@troupe/shared';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

/** What the host is started with. */
export interface HostArguments {
  readonly name: string;
  readonly dataDir: string;
  readonly devices: readonly Device[] | 'auto';
  /** Absent: so many for each device that the host finds. */
  readonly slots?: number;
  /** A folder of models to keep the cluster at. */
  readonly watch?: string;
  readonly printConfig: boolean;
  /** Settings given as flags, by key. */
  readonly flags: Readonly<Record<string, string | undefined>>;
}

const slotLimit = 10_000;

/** `cpu:0,cpu:1`, or `auto`. Throws `placement.no_device`. */
export function parseDevices(value: string): Device[] | 'auto' {
  if (value === 'auto') return 'auto';
  const devices = value.split(',').map((name) => parseDevice(name.trim()));
  const doubled = devices.find(
    ({ name }, index) => devices.findIndex((other) => other.name === name) < index,
  );
  if (doubled === undefined) return devices;
  throw new TroupeError('placement.no_device', `device ${doubled.name} is listed twice`);
}

/** A host name made of the machine's name. */
export function defaultHostName(machine: string = hostname()): string {
  const name = machine
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 63);
  return name === '' ? 'host' : name;
}

function parseSlots(value: string): number {
  const slots = Number(value);
  if (/^\d+$/.test(value) && slots >= 1 && slots <= slotLimit) return slots;
  throw new TroupeError('config.invalid', `${quoteName(value)} slots: a whole number from 1 to ${slotLimit}`);
}

/** Turns our errors into those that commander prints with the flag's name. */
function flag<T>(parse: (value: string) => T): (value: string) => T {
  return (value) => {
    try {
      return parse(value);
    } catch (thrown) {
      throw new InvalidArgumentError(asTroupeError(thrown).message);
    }
  };
}

/** Reads the arguments behind the program's name. Throws `CommandLineExit` with 2 for wrong usage, 0 for help. */
export function readHostArguments(args: readonly string[]): HostArguments {
  const command = new Command('troupe-worker')
    .description('A host of Troupe: serves ONNX models on the devices of this machine')
    .option(
      '--devices <list>',
      'devices, separated by commas: cpu:N, cuda:N, webgpu:N; auto: the GPUs that work, else cpu:0 (default: cpu:0)',
      flag(parseDevices),
    )
    .option('--name <name>', "name in the cluster (default: the machine's name)", flag(parseHostName))
    .option('--data <folder>', 'folder of its own for artifacts (default: .troupe/host-<name>)')
    .option(
      '--slots <n>',
      `workers that it has room for (default: ${defaults.slotsPerDevice} for each device)`,
      flag(parseSlots),
    )
    .option(
      '--watch <folder>',
      'put live what is put into <folder>/<model>/<version>/*.onnx, now and whenever it changes',
    )
    .option('--print-config', 'print the settings and where each came from, and end');
  const settings = settingCatalogue.flatMap(({ key, env, flag: setting, text }) =>
    setting === undefined ? [] : [{ key, option: new Option(setting, `${text} (environment: ${env})`) }],
  );
  for (const { option } of settings) command.addOption(option);
  command
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`troupe: ${text.replace(/^error: /, '')}`),
    });
  try {
    command.parse([...args], { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) throw new CommandLineExit(thrown.exitCode === 0 ? 0 : 2);
    throw thrown;
  }
  const options = command.opts<{
    devices?: Device[];
    name?: string;
    data?: string;
    slots?: number;
    watch?: string;
    printConfig?: true;
  }>();
  const texts = command.opts<Record<string, string | undefined>>();
  const name = options.name ?? defaultHostName();
  const devices = options.devices ?? [parseDevice('cpu:0')];
  return {
    name,
    dataDir: options.data ?? join('.troupe', `host-${name}`),
    devices,
    ...(options.slots === undefined ? {} : { slots: options.slots }),
    ...(options.watch === undefined ? {} : { watch: options.watch }),
    printConfig: options.printConfig === true,
    flags: Object.fromEntries(settings.map(({ key, option }) => [key, texts[option.attributeName()]])),
  };
}
