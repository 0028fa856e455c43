/**
 * The ways in which a running `npm start` can end, as tests that run on a stand-in and on the true cluster alike: each
 * must leave no process behind.
 */
import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { isAlive, sendSignal } from '../../deploy/local/processes.mjs';
import { waitUntil } from '../harness/wait-until.js';
import { type Launched, launchCluster } from './launched.js';

export interface EndsContext {
  /** The clone to start in. */
  readonly root: () => string;
  readonly readyMs: number;
  /** Within which nothing may be left, after a drain or after a sudden death. */
  readonly endMs: number;
  /** What else must hold when all is over. */
  readonly after?: (launched: Launched) => void;
}

/** Declares the tests. */
export function declareEnds(context: EndsContext): void {
  const run = (terminal: boolean, end: (launched: Launched) => void | Promise<void>) => async () => {
    const launched = await launchCluster({ cwd: context.root(), terminal, readyMs: context.readyMs });
    try {
      await end(launched);
      await launched.expectNothingLeft(context.endMs);
      context.after?.(launched);
    } finally {
      await launched.destroy();
    }
  };

  it(
    'SIGTERM to npm drains, and npm returns 0',
    run(false, async ({ npm, exitCode }) => {
      sendSignal(npm.pid, 'SIGTERM');
      expect(await exitCode).to.equal(0);
    }),
  );

  it(
    'SIGINT to npm alone drains, and npm returns 0',
    run(false, async ({ npm, exitCode }) => {
      sendSignal(npm.pid, 'SIGINT');
      expect(await exitCode).to.equal(0);
    }),
  );

  it(
    'one Ctrl-C on a terminal drains, and is taken for one',
    run(true, async ({ child, exitCode, output }) => {
      child.stdin?.write('\x03');
      expect(await exitCode).to.equal(0);
      expect(output()).to.include('Ending (SIGINT)').and.not.include('Asked again');
    }),
  );

  it(
    'a closed terminal drains',
    run(true, ({ child }) => {
      child.kill('SIGKILL');
    }),
  );

  it(
    'SIGKILL of npm drains',
    run(false, ({ npm }) => {
      sendSignal(npm.pid, 'SIGKILL');
    }),
  );

  it(
    'SIGKILL of the launcher drains, by the guard',
    run(false, ({ launcher }) => {
      sendSignal(launcher.pid, 'SIGKILL');
    }),
  );

  it(
    'SIGKILL of npm and the launcher together drains, by the guard',
    run(false, ({ npm, launcher }) => {
      sendSignal(npm.pid, 'SIGKILL');
      sendSignal(launcher.pid, 'SIGKILL');
    }),
  );
}

/** Declares what a killed guard may do no harm to. Leaves the clone without a running cluster. */
export function declareGuardEnds(context: EndsContext): void {
  const guardOf = (launched: Launched) => waitUntil('another guard', () => launched.currentGuard(), {});

  it('a killed guard is replaced, and the new one ends what the old one knew', async () => {
    const launched = await launchCluster({ cwd: context.root(), readyMs: context.readyMs });
    try {
      sendSignal(launched.guard.pid, 'SIGKILL');
      const guard = await guardOf(launched);
      sendSignal(launched.launcher.pid, 'SIGKILL');
      await launched.expectNothingLeft(context.endMs);
      await waitUntil('the new guard is gone', () => !isAlive(guard), { timeoutMs: context.endMs });
      context.after?.(launched);
    } finally {
      await launched.destroy();
    }
  });

  it('what a launcher and a guard killed at once leave behind is ended by the next start', async () => {
    const first = await launchCluster({ cwd: context.root(), readyMs: context.readyMs });
    try {
      sendSignal(first.guard.pid, 'SIGKILL');
      sendSignal(first.launcher.pid, 'SIGKILL');
      // The two are gone before the second start judges the lock.
      await waitUntil('both are gone', () => !isAlive(first.guard) && !isAlive(first.launcher));
      const second = await launchCluster({ cwd: context.root(), readyMs: context.readyMs });
      try {
        await first.expectNothingLeft(context.endMs);
        sendSignal(second.npm.pid, 'SIGTERM');
        await second.expectNothingLeft(context.endMs);
      } finally {
        await second.destroy();
      }
    } finally {
      await first.destroy();
      rmSync(`${context.root()}/.troupe/cluster.lock`, { force: true });
    }
  });
}
