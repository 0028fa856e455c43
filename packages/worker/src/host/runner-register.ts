/**
 * The list of this host's runner processes on disk, so that a starting host ends those of its predecessor. A runner
 * normally dies with its host, by its IPC channel; this is for those that could not (stopped, or stuck).
 *
 * A new runner is on the disk before anything else happens. One that has ended may stand there for a while: a pid counts
 * only with the start time of its process, and as a runner dies its host has better things to do than to write files.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '@troupe/shared';
import { identifyProcess, isAlive, type ProcessIdentity, parseIdentity } from './process-identity.js';

/** For what has ended to be written, in milliseconds. */
const removeAfterMs = 1_000;

/** Register of living runners. Writes are small and synchronous: none may be lost between fork and record. */
export interface RunnerRegister {
  add(pid: number): void;
  remove(pid: number): void;
  /** Ends the runners that a former host left behind; returns how many. */
  endPredecessors(): number;
}

function readRecords(path: string): ProcessIdentity[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return []; // no file, or one that a crash left unfinished: it was renamed into place, so there is none
  }
  if (!Array.isArray(parsed)) return [];
  return parsed.map(parseIdentity).filter((record) => record !== undefined);
}

/** Opens the register in the host's data folder, which the host has locked. */
export function createRunnerRegister(dir: string, log: Log): RunnerRegister {
  const path = join(dir, 'runners.json');
  const records = new Map<number, ProcessIdentity>();
  let removing: NodeJS.Timeout | undefined;
  const write = () => {
    clearTimeout(removing);
    removing = undefined;
    try {
      const draft = `${path}.new`;
      writeFileSync(draft, JSON.stringify([...records.values()]));
      renameSync(draft, path);
    } catch (error) {
      log.error({ err: error }, 'the list of runners could not be written');
    }
  };
  return {
    add: (pid) => {
      const identity = identifyProcess(pid);
      if (identity === undefined) return; // ended already, or no Linux
      records.set(pid, identity);
      write();
    },
    remove: (pid) => {
      if (!records.delete(pid)) return;
      if (records.size === 0) write();
      else removing ??= setTimeout(write, removeAfterMs).unref();
    },
    endPredecessors: () => {
      let ended = 0;
      for (const record of readRecords(path)) {
        if (!isAlive(record)) continue;
        try {
          process.kill(record.pid, 'SIGKILL');
          ended += 1;
          log.warn({ runnerPid: record.pid }, 'ended a runner of a former host');
        } catch {
          // It ended between the look and the kill.
        }
      }
      records.clear();
      write();
      return ended;
    },
  };
}
