/** The tree of commands: names, arguments and options. What they do stands in `commands/`. */
import { describeSettings, readPackageVersion } from '@troupe/shared';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { clientSettings } from './cluster-settings.js';
import {
  type CliStreams,
  type CommandContext,
  createCommandContext,
  type GlobalOptions,
} from './command-context.js';
import {
  type EventsOptions,
  listHosts,
  listWorkers,
  scaleHost,
  showEvents,
} from './commands/cluster-commands.js';
import { type DeadListOptions, dropDead, listDead, replayDead } from './commands/dead-commands.js';
import { examine } from './commands/doctor-command.js';
import { type InferCommandOptions, inferModel } from './commands/infer-command.js';
import {
  deleteModel,
  labelModel,
  listModels,
  type PushOptions,
  pushModel,
  retryModel,
  showModel,
} from './commands/model-commands.js';
import {
  pinModel,
  type ResidencyOptions,
  residencyWords,
  setResidency,
  unpinModel,
} from './commands/residency-commands.js';
import {
  abortRollout,
  parseSteps,
  pauseRollout,
  type RollbackOptions,
  resumeRollout,
  rollback,
  type StartOptions,
  showRollout,
  startRollout,
} from './commands/rollout-commands.js';
import { completionScript, type Shell, shells } from './completion.js';

/**
 * Builds the program on the given streams. It throws CommanderError where it would end the process. With `json`
 * nothing but what the runner reports goes to standard error. `printsConfig`: without a command there is something to
 * do all the same.
 */
export function createProgram(streams: CliStreams, json: boolean, printsConfig = false): Command {
  const program = new Command('troupe')
    .description('Serves ONNX models on a cluster of Node processes over NATS.')
    .version(readPackageVersion(new URL('../../package.json', import.meta.url)))
    // `infer --version 2` is the model's: options belong to the command that they follow.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => (json ? undefined : streams.stderr.write(text)),
      // Reported by the runner, which knows whether as text or as JSON.
      outputError: () => undefined,
      getOutHelpWidth: () => streams.stdout.columns ?? 80,
      getErrHelpWidth: () => streams.stderr.columns ?? 80,
    });
  const action =
    <A extends unknown[]>(run: (context: CommandContext, ...args: A) => Promise<void>) =>
    (...args: unknown[]): Promise<void> => {
      // Commander passes arguments, options, and the command itself.
      const command = args.at(-1) as Command;
      const options = command.optsWithGlobals<GlobalOptions>();
      const context = createCommandContext(streams, options);
      return options.printConfig === true ? printConfig(context) : run(context, ...(args.slice(0, -1) as A));
    };

  const models = program.command('models').description('register models, list them, move labels');
  models
    .command('push')
    .description('register a version of a model and wait until it serves')
    .argument('<file>', 'ONNX model')
    .option('--name <name>', "model name (default: the file's)")
    .option('--config <file>', 'JSON file: maxBatchSize, maxDelayMs, replicas, limits, golden; flags win')
    .option('--golden <file>', 'JSON file of cases that every device must pass first')
    .option(
      '--golden-from <label>',
      'cases from the answers of the version with this label, for example stable',
    )
    .option('--max-batch <rows>', 'rows of one run; 1 turns batching off', integer(1))
    .option('--max-delay-ms <ms>', 'how long a request may wait for company', integer(0))
    .option('--replicas <count>', 'workers wanted for each served version', integer(0))
    .addOption(
      new Option('--residency <when>', 'when it is in memory (default: always)').choices(residencyWords),
    )
    .option('--idle-ms <ms>', 'on demand: how long it stays without a request', integer(100))
    .addHelpText(
      'after',
      examples('models push iris.onnx', 'models push iris.v2.onnx --name iris --max-batch 16'),
    )
    .action(action<[string, PushOptions]>(pushModel));
  models.command('list').description('models with their versions').action(action<[object]>(listModels));
  models
    .command('show')
    .description('one model with signatures and settings')
    .argument('<model>')
    .action(action<[string, object]>(showModel));
  models
    .command('label')
    .description('put a label on a version')
    .argument('<model>')
    .argument('<label>', 'stable, canary, or your own')
    .argument('<version>', 'a version, or "none" to take the label away', versionOrNone)
    .addHelpText('after', examples('models label iris stable 2', 'models label iris canary none'))
    .action(action<[string, string, number | null, object]>(labelModel));
  models
    .command('delete')
    .description('delete a version without label, or the model with all its versions')
    .argument('<model>')
    .argument('[version]', 'only this version', integer(1))
    .action(action<[string, number | undefined, object]>(deleteModel));
  models
    .command('residency')
    .description('say when a model is in memory')
    .argument('<model>')
    .addArgument(new Argument('<when>').choices(residencyWords))
    .option('--idle-ms <ms>', 'on demand: how long it stays without a request', integer(100))
    .addHelpText('after', examples('models residency iris on-demand --idle-ms 60000'))
    .action(action<[string, string, ResidencyOptions]>(setResidency));
  models
    .command('pin')
    .description('keep a model in memory, whoever else needs the room')
    .argument('<model>')
    .action(action<[string, object]>(pinModel));
  models
    .command('unpin')
    .description('let a pinned model give way again')
    .argument('<model>')
    .action(action<[string, object]>(unpinModel));
  models
    .command('retry')
    .description('try a condemned version again')
    .argument('<model>')
    .argument('<version>', '', integer(1))
    .action(action<[string, number, object]>(retryModel));

  addRolloutCommands(program, action);

  program
    .command('infer')
    .description('run a model once')
    .argument('<model>')
    .addOption(
      new Option(
        '--input <[name=]value>',
        "an input: name=value for each, or the value alone where the model has one; JSON ('[[5.1,3.5,1.4,0.2]]'), @file.json, @file.npy, or @- for standard input",
      )
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--file <file>', 'a whole request of the Open Inference Protocol in JSON; - is standard input')
    .addOption(
      new Option('--version <version>', 'this version and no other').argParser(integer(1)).conflicts('label'),
    )
    .option('--label <label>', 'the version that bears this label')
    .addOption(new Option('--output <name>', 'only this output; may be repeated').argParser(collect))
    .option('--deadline-ms <ms>', 'how long to wait for the answer (default 10000)', integer(1))
    .option('--id <id>', 'comes back in the answer')
    .addHelpText(
      'after',
      examples(
        "infer iris --input '[[5.1,3.5,1.4,0.2]]'",
        'infer bert --input ids=@ids.npy --input mask=@mask.json',
        'infer iris --file request.json --json',
      ),
    )
    .action(action<[string, InferCommandOptions]>(inferModel));

  program.command('hosts').description('hosts with devices and slots').action(action<[object]>(listHosts));
  program
    .command('workers')
    .description('workers with states and figures')
    .action(action<[object]>(listWorkers));
  program
    .command('scale')
    .description('set the slots of a host')
    .argument('<host>')
    .argument('<slots>', '', integer(0))
    .action(action<[string, number, object]>(scaleHost));
  program
    .command('doctor')
    .description('examine servers and cluster, and say how to mend what is found')
    .action(action<[object]>(examine));
  program
    .command('events')
    .description('what happened lately')
    .option('--follow', 'go on with what happens, until Ctrl-C')
    .option('--count <n>', 'how many to look back', integer(1), 20)
    .action(action<[EventsOptions]>(showEvents));

  const dead = program.command('dead').description('requests that were given up: list, replay, drop');
  dead
    .command('list')
    .description('the newest requests that were given up, with the reason')
    .option('--count <n>', 'how many', integer(1), 20)
    .option('--model <model>', 'only those of this model')
    .action(action<[DeadListOptions]>(listDead));
  dead
    .command('replay')
    .description('run one once more; nobody gets its answer')
    .argument('<number>', 'as dead list shows it', integer(1))
    .action(action<[number, object]>(replayDead));
  dead
    .command('drop')
    .description('remove one for good')
    .argument('<number>', 'as dead list shows it', integer(1))
    .action(action<[number, object]>(dropDead));

  program
    .command('completion')
    .description('a script that completes commands in the shell')
    .addHelpText('after', '\nExamples:\n  source <(troupe completion bash)\n')
    .addArgument(new Argument('<shell>').choices(shells))
    .action(
      action<[Shell, object]>(async (context, shell) => {
        const script = completionScript(program, shell);
        context.print({ shell, script }, () => script);
      }),
    );

  addGlobalOptions(program);
  if (printsConfig) program.action(action<[object]>(printConfig)).allowExcessArguments(false);
  return program;
}

type Action = <A extends unknown[]>(
  run: (context: CommandContext, ...args: A) => Promise<void>,
) => (...args: unknown[]) => Promise<void>;

function addRolloutCommands(program: Command, action: Action): void {
  const rollout = program
    .command('rollout')
    .description('put a version live with a way back: start, watch, pause, abort');
  rollout
    .command('start')
    .description(
      'put a version in the place of the stable one; it is taken back by itself where it does worse',
    )
    .argument('<model>')
    .argument('<version>', '', integer(1))
    .addOption(
      new Option(
        '--strategy <name>',
        'how traffic goes over (default: immediate, with --steps canary)',
      ).choices(['immediate', 'canary', 'shadow']),
    )
    .addOption(
      new Option(
        '--steps <steps>',
        'canary steps: percent@time, then all (default: 5@60s,25@60s,100)',
      ).argParser(steps),
    )
    .option('--bake-ms <ms>', 'how long the old version stands by afterwards (default: 300000)', integer(0))
    .option(
      '--max-unavailable <count>',
      'workers of the old version that may be missing, where both do not fit (default: 0)',
      integer(0),
    )
    .option('--max-crashes <count>', 'deaths of runners that a worker bears (default: 3)', integer(0))
    .option(
      '--allow-gap',
      'where both do not fit, let the old version go first; requests wait in the queue meanwhile',
    )
    .option('--allow-signature-change', 'let other inputs or outputs than those of stable through')
    .option('--wait', 'follow it to its end; exit code 1 where it is taken back')
    .addHelpText(
      'after',
      examples(
        'rollout start iris 2',
        'rollout start iris 2 --steps 5@60s,25@5m,100 --bake-ms 600000 --wait',
      ),
    )
    .action(action<[string, number, StartOptions]>(startRollout));
  rollout
    .command('status')
    .description('the rollout under way, or the last one, in plain words')
    .argument('<model>')
    .action(action<[string, object]>(showRollout));
  rollout
    .command('pause')
    .description('hold it where it is')
    .argument('<model>')
    .action(action<[string, object]>(pauseRollout));
  rollout
    .command('resume')
    .description('let it go on')
    .argument('<model>')
    .action(action<[string, object]>(resumeRollout));
  rollout
    .command('abort')
    .description('give it up without blaming the version')
    .argument('<model>')
    .action(action<[string, object]>(abortRollout));
  program
    .command('rollback')
    .description('take back what is being rolled out, or what is stable, and condemn it')
    .argument('<model>')
    .option('--to <version>', 'where to go back to (default: what was stable before)', integer(1))
    .addHelpText('after', examples('rollback iris', 'rollback iris --to 3'))
    .action(action<[string, RollbackOptions]>(rollback));
}

function steps(text: string): ReturnType<typeof parseSteps> {
  try {
    return parseSteps(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  troupe ${line}\n`).join('')}`;
}

/** Shown with every command; the other settings only with the program's own help. */
const shownEverywhere: Readonly<Record<string, string>> = {
  natsUrl: 'address of NATS (default: NATS_URL, .troupe/cluster.json, nats://127.0.0.1:4222)',
  namespace: 'which Troupe on these servers (default: TROUPE_NAMESPACE, troupe)',
};

/** On every command, so that they may stand behind it as well as before it. */
function addGlobalOptions(command: Command): void {
  const inside = command.parent !== null;
  for (const { key, env, flag, text } of clientSettings) {
    if (flag === undefined) continue;
    const everywhere = shownEverywhere[key];
    command.addOption(
      new Option(flag, everywhere ?? `${text} (default: ${env})`).hideHelp(
        inside && everywhere === undefined,
      ),
    );
    if (key !== 'natsPassword') continue;
    command.addOption(
      new Option('--nats-password-file <file>', 'file with the password; - is standard input').hideHelp(
        inside,
      ),
    );
  }
  command
    .option('--json', 'one JSON value on standard output, errors as JSON on standard error')
    .addOption(new Option('--print-config', 'print how the cluster is found, and end').hideHelp(inside));
  for (const child of command.commands) addGlobalOptions(child);
}

/** The settings with their origins, in place of what the command does. */
async function printConfig(context: CommandContext): Promise<void> {
  const { shown } = await context.settings();
  context.print({ settings: shown }, () => `${describeSettings(shown)}\n`);
}

function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= min) return value;
    throw new InvalidArgumentError(`A whole number from ${min} on is wanted.`);
  };
}

function versionOrNone(text: string): number | null {
  return text === 'none' ? null : integer(1)(text);
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
