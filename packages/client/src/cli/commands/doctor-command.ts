/** `troupe doctor`: examines the cluster and its servers, and says how to mend what is found. */
import type { Finding, FindingState } from '@troupe/shared';
import { examineCluster } from '../../sdk/examine-cluster.js';
import type { CommandContext } from '../command-context.js';
import { AlreadyTold, ExitCode } from '../exit-code.js';

/** Prints the findings; exits 1 where one is a fault, 3 where no coordinator answered. */
export async function examine(context: CommandContext): Promise<void> {
  const { reached, findings } = await examineCluster(await context.connection(), context.signal);
  context.print({ findings }, () => `${findingsTable(context, findings)}\n${summarize(findings)}\n`);
  if (!reached) throw new AlreadyTold(ExitCode.Unreached);
  if (findings.some(({ state }) => state === 'fault')) throw new AlreadyTold(ExitCode.Failed);
}

function findingsTable(context: CommandContext, findings: readonly Finding[]): string {
  const rows = findings.flatMap(({ check, state, found, advice }) => [
    [check, state, found],
    // Under what was found, and set off, so that the eye finds it.
    ...(advice === undefined ? [] : [['', '', `-> ${advice}`]]),
  ]);
  return context.table(['CHECK', 'STATE', 'FOUND'], rows);
}

function summarize(findings: readonly Finding[]): string {
  const count = (state: FindingState) => findings.filter((one) => one.state === state).length;
  const some = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
  return `${some(count('fault'), 'fault')}, ${some(count('warning'), 'warning')}, ${count('ok')} in order`;
}
