/** The host's command line, and what the settings of a host come to. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  asTroupeError,
  CommandLineExit,
  type Configuration,
  type Device,
  parseDevice,
  parseHostName,
  quoteName,
  readPackageVersion,
  settingCatalogue,
  TroupeError,
} from '@troupe/shared';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

/** What the host is started with. */
export interface HostArguments {
  readonly printConfig: boolean;
  /** Settings given as flags, by key. */
  readonly flags: Readonly<Record<string, string | undefined>>;
}

/** What a host makes of its settings. */
export interface HostSettings {
  readonly name: string;
  readonly dataDir: string;
  readonly devices: readonly Device[] | 'auto';
  /** Absent: so many for each device that the host finds. */
  readonly slots?: number;
  /** A folder of models to keep the cluster at. */
  readonly watch?: string;
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

/** Texts that must be something; the other settings are for `resolveConfiguration` to check. */
const parsers: Readonly<Record<string, (value: string) => unknown>> = {
  hostName: parseHostName,
  devices: parseDevices,
  slots: parseSlots,
};

/** As text again, once it is known to be good: commander then prints its own error with the flag's name. */
function checked(parse: (value: string) => unknown): (value: string) => string {
  return (value) => {
    try {
      parse(value);
    } catch (thrown) {
      throw new InvalidArgumentError(asTroupeError(thrown).message);
    }
    return value;
  };
}

/** Reads the arguments behind the program's name. Throws `CommandLineExit` with 2 for wrong usage, 0 for help and version. */
export function readHostArguments(args: readonly string[]): HostArguments {
  const command = new Command('troupe-worker')
    .description('A host of Troupe: serves ONNX models on the devices of this machine')
    .version(readPackageVersion(new URL('../../package.json', import.meta.url)))
    .option('--print-config', 'print the settings and where each came from, and end');
  const settings = settingCatalogue.flatMap(({ key, env, flag, text }) => {
    if (flag === undefined) return [];
    const option = new Option(flag, `${text} (environment: ${env})`);
    const parse = parsers[key];
    return [{ key, option: parse === undefined ? option : option.argParser(checked(parse)) }];
  });
  // Its own first: they are what one looks for in the help.
  const own = settingCatalogue.filter(({ hostOnly }) => hostOnly).map(({ key }) => key);
  settings.sort((a, b) => Number(own.includes(b.key)) - Number(own.includes(a.key)));
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
  const texts = command.opts<Record<string, string | undefined>>();
  return {
    printConfig: command.opts<{ printConfig?: true }>().printConfig === true,
    flags: Object.fromEntries(settings.map(({ key, option }) => [key, texts[option.attributeName()]])),
  };
}

/** The settings of this host, wherever they came from. Throws `config.invalid`, naming where a wrong one came from. */
export function resolveHostSettings(configuration: Pick<Configuration, 'text' | 'origin'>): HostSettings {
  const read = <T>(key: string, parse: (value: string) => T): T | undefined => {
    const text = configuration.text(key);
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (thrown) {
      const { message } = asTroupeError(thrown);
      throw new TroupeError('config.invalid', `${configuration.origin(key)}: ${message}`, { cause: thrown });
    }
  };
  const name = read('hostName', parseHostName) ?? defaultHostName();
  const slots = read('slots', parseSlots);
  const watch = configuration.text('watchFolder');
  return {
    name,
    dataDir: configuration.text('dataFolder') ?? join('.troupe', `host-${name}`),
    devices: read('devices', parseDevices) ?? [parseDevice('cpu:0')],
    ...(slots === undefined ? {} : { slots }),
    ...(watch === undefined ? {} : { watch }),
  };
}
