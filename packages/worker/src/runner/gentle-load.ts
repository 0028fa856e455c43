/**
 * Takes from a process what others need of the processor, and gives it back. A host does so to a runner that it starts,
 * the runner and its host give it back. Three settings of Linux, since none is enough (sched(7)):
 *
 * - `SCHED_IDLE`, for every thread: whoever wakes up takes the core at once, and the scheduler counts it as free. A nice
 *   value alone lets a woken thread wait for some milliseconds. Set by `chrt`, since Node cannot.
 * - The nice value where there is no `chrt`.
 * - The share of the session (`autogroup`): where the kernel shares the processor among sessions first, as it does unless a
 *   control group says otherwise, neither weighs anything against other sessions, and each runner is a session of its
 *   own. It may be given back without any rights.
 */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { promisify } from 'node:util';

/** What is set beside the session's share: what this system lets a process take back again. */
export type GentleLoad =
  | { readonly by: 'idle_policy' }
  | { readonly by: 'nice'; readonly thenPriority: number }
  | { readonly by: 'session' };

const chrtLimitMs = 5_000;
/** Without the rights of an administrator one session in the whole system may be set in 100 ms. */
const sessionRetryMs = 110;
const sessionTries = 50;

/** How a command is started that is to take little from its first moment. */
export function gentleCommand(
  { by }: GentleLoad,
  command: string,
  args: readonly string[],
): { readonly command: string; readonly args: readonly string[] } {
  return by === 'idle_policy'
    ? { command: 'chrt', args: ['--idle', '0', command, ...args] }
    : { command, args };
}

/** Right after its start. Threads and processes that start from here on inherit it. */
export function takeLittle(pid: number, gentle: GentleLoad): void {
  if (gentle.by === 'nice') setThreads(pid, constants.priority.PRIORITY_LOW);
  setSession(pid, constants.priority.PRIORITY_LOW);
}

/** As any other process from here on. Rejects where the system does not let it. */
export async function takeUsualShare(pid: number, gentle: GentleLoad): Promise<void> {
  giveSessionBack(pid, sessionTries);
  if (gentle.by === 'nice') setThreads(pid, gentle.thenPriority);
  if (gentle.by === 'idle_policy') {
    await promisify(execFile)('chrt', ['--all-tasks', '--other', '--pid', '0', String(pid)], {
      timeout: chrtLimitMs,
      killSignal: 'SIGKILL',
    });
  }
}

function setThreads(pid: number, priority: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      setPriority(Number(thread), priority);
    } catch (error) {
      // A thread that has ended meanwhile; whatever else is wrong shows in raising.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
    }
  }
}

/** False where another session was set a moment ago. */
function setSession(pid: number, share: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(share));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EAGAIN'; // else: no such kernel, or the process has ended
  }
}

function giveSessionBack(pid: number, tries: number): void {
  if (setSession(pid, 0) || tries <= 1) return;
  setTimeout(() => giveSessionBack(pid, tries - 1), sessionRetryMs).unref();
}
