import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Lock, type LockRecord, tryLock, waitForLock } from '../../deploy/local/lock.mjs';
import { identify } from '../../deploy/local/processes.mjs';

describe('the lock of a clone', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-lock-'));
    path = join(folder, 'deep/a.lock');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const taken = (outcome: ReturnType<typeof tryLock>): { lock: Lock; previous: LockRecord | undefined } => {
    if ('lock' in outcome) return outcome;
    throw new Error(`held by ${outcome.holder.pid}`);
  };

  it('is held by one, who is named to the next', () => {
    const { lock } = taken(tryLock(path, { facts: { runId: 'one' } }));
    const second = tryLock(path);
    expect(second).to.deep.include({ holder: { ...identify(process.pid), runId: 'one' } });
    lock.release();
    taken(tryLock(path)).lock.release();
    expect(readdirSync(join(folder, 'deep'))).to.deep.equal([]);
  });

  it('of a dead process is taken over, and what the dead one noted is handed on', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    const dead = identify(child.pid ?? 0);
    await once(child, 'exit');
    taken(tryLock(path)).lock.release();
    writeFileSync(path, JSON.stringify({ ...dead, runId: 'dead' }));
    const { lock, previous } = taken(tryLock(path));
    expect(previous).to.deep.include({ runId: 'dead' });
    lock.release();
  });

  it('of a process whose pid is used again by another is taken over', () => {
    taken(tryLock(path)).lock.release();
    writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: '1' }));
    taken(tryLock(path)).lock.release();
  });

  it('that is torn or empty is taken over', () => {
    for (const text of ['', '{"pid":', 'null', '[]']) {
      taken(tryLock(path)).lock.release();
      writeFileSync(path, text);
      taken(tryLock(path)).lock.release();
    }
  });

  it('is not released by one who has lost it', () => {
    const { lock } = taken(tryLock(path));
    writeFileSync(path, 'somebody else');
    lock.release();
    lock.update({ more: 1 });
    expect(readFileSync(path, 'utf8')).to.equal('somebody else');
  });

  it('keeps what its holder adds', () => {
    const { lock } = taken(tryLock(path, { facts: { runId: 'one' } }));
    lock.update({ guard: { pid: 7 } });
    expect(JSON.parse(readFileSync(path, 'utf8'))).to.deep.include({ runId: 'one', guard: { pid: 7 } });
    lock.release();
    expect(readdirSync(join(folder, 'deep'))).to.deep.equal([]);
  });

  it('lets one in at a time, of many that find a dead holder at once', async () => {
    taken(tryLock(path)).lock.release();
    writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: '1' }));
    const script = `
      import { appendFileSync } from 'node:fs';
      import { setTimeout as delay } from 'node:timers/promises';
      import { waitForLock } from '${new URL('../../deploy/local/lock.mjs', import.meta.url).href}';
      for (let i = 0; i < 5; i += 1) {
        const lock = await waitForLock(process.argv[1], { pollMs: 2 });
        appendFileSync(process.argv[2], '(');
        await delay(5);
        appendFileSync(process.argv[2], ')');
        lock.release();
      }`;
    const trace = join(folder, 'trace');
    const children = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script, path, trace], { stdio: 'inherit' }),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
    expect(codes).to.deep.equal(children.map(() => 0));
    expect(readFileSync(trace, 'utf8')).to.equal('()'.repeat(30));
  });

  it('is given up waiting for when the end is asked for', async () => {
    const { lock } = taken(tryLock(path));
    const controller = new AbortController();
    const waiting = waitForLock(path, {
      signal: controller.signal,
      onWait: () => controller.abort('SIGINT'),
    });
    await waiting.then(
      () => expect.fail('took a held lock'),
      (error: Error) => expect(error.message).to.equal('interrupted (SIGINT)'),
    );
    lock.release();
  });
});
