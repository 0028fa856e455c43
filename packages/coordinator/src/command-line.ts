/** The coordinator's command line: flags over environment over defaults. Pure but for the environment that it is given. */
import { hostname } from 'node:os';
import { asTroupeError, type Environment, parseHostName } from '@troupe/shared';
import { Command, CommanderError, InvalidArgumentError } from 'commander';

/** What the coordinator is started with. */
export interface CoordinatorArguments {
  readonly name: string;
  readonly natsUrl: string;
  readonly redisUrl: string;
}

/** The command line is wrong, or asked for help: what to exit with. The text was printed already. */
export class CommandLineExit extends Error {
  override readonly name = 'CommandLineExit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit with ${exitCode}`);
    this.exitCode = exitCode;
  }
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

/** Reads the arguments behind the program's name. Throws `CommandLineExit` with 2 for wrong usage, 0 for help. */
export function readCoordinatorArguments(
  args: readonly string[],
  environment: Pick<Environment, 'natsUrl' | 'redisUrl'>,
): CoordinatorArguments {
  const command = new Command('troupe-coordinator')
    .description('A coordinator of Troupe: registry, placement, routing and doors')
    .option('--name <name>', 'name in the cluster (default: machine and process id)', parseName)
    .option(
      '--nats <url>',
      'NATS server (environment: NATS_URL)',
      environment.natsUrl ?? 'nats://127.0.0.1:4222',
    )
    .option(
      '--redis <url>',
      'Redis server (environment: REDIS_URL)',
      environment.redisUrl ?? 'redis://127.0.0.1:6379',
    )
    .allowExcessArguments(false)
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) throw new CommandLineExit(thrown.exitCode === 0 ? 0 : 2);
    throw thrown;
  }
  const options = command.opts<{ name?: string; nats: string; redis: string }>();
  return { name: options.name ?? defaultCoordinatorName(), natsUrl: options.nats, redisUrl: options.redis };
}
