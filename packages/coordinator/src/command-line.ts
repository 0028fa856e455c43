/** The coordinator's command line. What the settings come to is for `resolveConfiguration`. */
import { hostname } from 'node:os';
import {
  asTroupeError,
  CommandLineExit,
  parseHostName,
  readPackageVersion,
  settingCatalogue,
} from '@troupe/shared';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

/** What the coordinator is started with. */
export interface CoordinatorArguments {
  readonly name: string;
  readonly printConfig: boolean;
  /** Settings given as flags, by key. */
  readonly flags: Readonly<Record<string, string | undefined>>;
}

/** Machine and process: two coordinators on one machine never share a name. */
export function defaultCoordinatorName(machine: string = hostname(), pid: number = process.pid): string {
  const name = machine
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 48);
  return `${name === '' ? 'coordinator' : name}-${pid}`;
}

function parseName(value: string): string {
  try {
    return parseHostName(value);
  } catch (thrown) {
    throw new InvalidArgumentError(asTroupeError(thrown).message);
  }
}

/** Reads the arguments behind the program's name. Throws `CommandLineExit` with 2 for wrong usage, 0 for help and version. */
export function readCoordinatorArguments(args: readonly string[]): CoordinatorArguments {
  const command = new Command('troupe-coordinator')
    .description('A coordinator of Troupe: registry, placement, routing and doors')
    .version(readPackageVersion(new URL('../package.json', import.meta.url)))
    .option('--name <name>', 'name in the cluster (default: machine and process id)', parseName)
    .option('--print-config', 'print the settings and where each came from, and end');
  const settings = settingCatalogue.flatMap(({ key, env, flag, hostOnly, text }) =>
    flag === undefined || hostOnly === true
      ? []
      : [{ key, option: new Option(flag, `${text} (environment: ${env})`) }],
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
  const options = command.opts<Record<string, string | undefined> & { name?: string; printConfig?: true }>();
  return {
    name: options.name ?? defaultCoordinatorName(),
    printConfig: options.printConfig === true,
    flags: Object.fromEntries(settings.map(({ key, option }) => [key, options[option.attributeName()]])),
  };
}
