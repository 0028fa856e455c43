/** The snapshot store, with the power cut at every step that it writes. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createLog, type ModelVersion, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { createSnapshotStore, type SnapshotStore } from '../../src/host/snapshot-store.js';
import { realStoreFiles, type StoreFiles } from '../../src/host/store-files.js';
import { version } from '../machine/timed-worker.js';

const log = createLog('test', 'silent');
const contents = new Map<string, string>();

function made(number: number): ModelVersion {
  const text = `artifact of version ${number}`;
  const digest = createHash('sha256').update(text).digest('hex');
  contents.set(digest, text);
  return { ...version(number), digest, sizeBytes: text.length };
}
const first = made(1);
const second = made(2);

const writes = ['makeDir', 'writeSynced', 'sync', 'rename', 'link', 'remove', 'touch'] as const;

class PowerCut extends Error {}

/** Files that stop working at the n-th write; the write that is cut leaves half of its content behind. */
function cutAt(step: number): StoreFiles & { readonly steps: number } {
  let done = 0;
  const files: Record<string, unknown> = { ...realStoreFiles };
  for (const name of writes) {
    const real = realStoreFiles[name] as (...args: string[]) => Promise<void>;
    files[name] = async (...args: string[]) => {
      done += 1;
      if (done > step) throw new PowerCut();
      if (done === step) {
        if (name === 'writeSynced') writeFileSync(args[0] ?? '', (args[1] ?? '').slice(0, 10));
        throw new PowerCut();
      }
      await real(...args);
    };
  }
  return Object.defineProperty(files, 'steps', { get: () => done }) as unknown as StoreFiles & {
    steps: number;
  };
}

describe('snapshot store', () => {
  let dir: string;
  let fetches: string[];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-store-'));
    fetches = [];
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function open(
    options: { files?: StoreFiles; unreachable?: boolean; cut?: boolean } = {},
  ): Promise<SnapshotStore> {
    const store = createSnapshotStore({
      dir,
      log,
      ...(options.files === undefined ? {} : { files: options.files }),
      fetchTo: async (digest, path) => {
        if (options.unreachable) throw new TroupeError('artifact.unreachable', 'the artifact store is gone');
        fetches.push(digest);
        writeFileSync(path, contents.get(digest) ?? '');
      },
    });
    await store.open();
    return store;
  }

  it('an artifact is fetched once, whoever asks at the same time', async () => {
    const store = await open();
    const paths = await Promise.all([store.ensure('iris', first), store.ensure('iris', first)]);
    expect(new Set(paths)).to.deep.equal(new Set([join(dir, 'models/iris/1/model.onnx')]));
    expect(fetches).to.deep.equal([first.digest]);
    expect(statSync(paths[0] ?? '').nlink).to.equal(2);
  });

  it('an artifact that was damaged on disk is found at the first use of every life, and fetched again', async () => {
    await (await open()).ensure('iris', first);
    writeFileSync(join(dir, 'blobs/sha256', first.digest), 'artifact of version X');
    const path = await (await open()).ensure('iris', first);
    expect(readFileSync(path, 'utf8')).to.equal(contents.get(first.digest));
    expect(fetches).to.have.length(2);
  });

  it('an artifact of another size than registered is refused', async () => {
    const store = await open();
    const fault = await store.ensure('iris', { ...first, sizeBytes: 3 }).catch((thrown: unknown) => thrown);
    expect(fault).to.be.instanceOf(TroupeError).with.property('reason', 'model.digest');
  });

  it('a name that is no model name never becomes a path', async () => {
    const store = await open();
    const fault = await store.ensure('../../etc', first).catch((thrown: unknown) => thrown);
    expect(fault).to.be.instanceOf(TroupeError).with.property('reason', 'model.name');
  });

  it('the last stable version comes back with the artifact store gone', async () => {
    await (await open()).recordStable('iris', first);
    const store = await open({ unreachable: true });
    expect(store.stable('iris')).to.deep.equal(first);
    expect(readFileSync(await store.ensure('iris', first), 'utf8')).to.equal(contents.get(first.digest));
  });

  it('a version that is withdrawn gives its place back to the one before it, whose artifact is still there', async () => {
    const store = await open();
    await store.recordStable('iris', first);
    await store.recordStable('iris', second);
    await store.recordStable('iris', second);
    await store.withdrawStable('iris', first.version);
    expect(store.stable('iris'), 'another one is stable').to.deep.equal(second);
    expect(await store.collect(new Set(), -1)).to.equal(0);
    await (await open()).withdrawStable('iris', second.version);
    const later = await open({ unreachable: true });
    expect(later.stable('iris')).to.deep.equal(first);
    const path = await later.ensure('iris', first);
    expect(readFileSync(path, 'utf8')).to.equal(contents.get(first.digest));
    await later.withdrawStable('iris', first.version);
    expect(later.stable('iris')).to.equal(undefined);
    expect((await open()).stable('iris')).to.equal(undefined);
  });

  it('a power cut at any write of a withdrawal leaves one of the two, complete', async () => {
    for (let step = 1; ; step += 1) {
      const whole = await open();
      await whole.recordStable('iris', first);
      await whole.recordStable('iris', second);
      const uncut = cutAt(1_000);
      await open({ files: uncut });
      const store = await open({ files: cutAt(uncut.steps + step) });
      const fault = await store.withdrawStable('iris', second.version).catch((thrown: unknown) => thrown);
      const found = (await open()).stable('iris');
      expect([first, second]).to.deep.include(found);
      if (fault === undefined) {
        expect(found).to.deep.equal(first);
        return;
      }
      expect(fault).to.be.instanceOf(PowerCut);
    }
  });

  it('a power cut at any write leaves the old stable version or the new one, each complete', async () => {
    await (await open()).recordStable('iris', first);
    const found = new Set<number>();
    for (let step = 1; ; step += 1) {
      const files = cutAt(step);
      let cut = false;
      try {
        const store = await open({ files });
        await store.recordStable('iris', second);
      } catch {
        cut = true;
      }
      const after = await open({ unreachable: true });
      const stable = after.stable('iris');
      expect(stable, `after a cut at write ${step}`).to.not.equal(undefined);
      if (stable === undefined) return;
      found.add(stable.version);
      const path = await after.ensure('iris', stable);
      expect(readFileSync(path, 'utf8')).to.equal(contents.get(stable.digest));
      expect(readdirSync(join(dir, 'models/iris')).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
      if (!cut) {
        expect(step).to.be.greaterThan(8);
        break;
      }
      // From the first version again.
      rmSync(dir, { recursive: true, force: true });
      await (await open()).recordStable('iris', first);
    }
    expect(found).to.deep.equal(new Set([1, 2]));
  });

  it('a process killed at any write, before, amid or after it, leaves one whole snapshot', async function () {
    this.timeout(120_000);
    const script = fileURLToPath(new URL('cut-store.mjs', import.meta.url));
    const runTo = (folder: string, cut: number, when: string) =>
      promisify(execFile)(
        process.execPath,
        [...[script, folder, String(cut), when, JSON.stringify(second), contents.get(second.digest) ?? '']],
        { timeout: 30_000 },
      );
    await (await open()).recordStable('iris', first);
    const names = JSON.parse((await runTo(dir, 0, 'never')).stdout) as string[];
    expect(names).to.include.members(['fetch', 'link', 'writeSynced', 'rename', 'sync']);

    const found = new Set<number>();
    // Before a write is after the one before it; only content can be half written.
    const moments = names.flatMap((name, index) => [
      ...(index === 0 ? [{ cut: 1, when: 'before' }] : []),
      ...(name === 'fetch' || name === 'writeSynced' ? [{ cut: index + 1, when: 'half' }] : []),
      { cut: index + 1, when: 'after' },
    ]);
    for (const { cut, when } of moments) {
      rmSync(dir, { recursive: true, force: true });
      await (await open()).recordStable('iris', first);
      const died = await runTo(dir, cut, when).then(
        () => 'no signal',
        (thrown: { signal?: string }) => thrown.signal,
      );
      expect(died, `${when} write ${cut}`).to.equal('SIGKILL');
      const after = await open({ unreachable: true });
      const stable = after.stable('iris');
      expect(stable?.version, `${when} write ${cut}`).to.be.oneOf([1, 2]);
      if (stable === undefined) return;
      expect(stable).to.deep.equal(stable.version === 1 ? first : second);
      found.add(stable.version);
      expect(readFileSync(await after.ensure('iris', stable), 'utf8')).to.equal(contents.get(stable.digest));
      expect(readdirSync(join(dir, 'models/iris')).filter((name) => name.endsWith('.new'))).to.deep.equal([]);
    }
    expect(found).to.deep.equal(new Set([1, 2]));
  });

  it('what a cut-off fetch left behind is removed at the next start', async () => {
    await open();
    const rest = join(dir, 'blobs/sha256', `${first.digest}.123.part`);
    writeFileSync(rest, 'half');
    await open();
    expect(existsSync(rest)).to.equal(false);
  });

  it('artifacts that nobody uses are collected; those of workers and stable versions stay', async () => {
    const third = made(3);
    const store = await open();
    await store.recordStable('iris', first);
    await store.ensure('iris', second);
    await store.ensure('iris', third);
    expect(await store.collect(new Set([second.digest]), -1_000)).to.equal(1);
    expect(readdirSync(join(dir, 'blobs/sha256')).sort()).to.deep.equal([first.digest, second.digest].sort());
    expect(existsSync(join(dir, 'models/iris/3'))).to.equal(false);
    expect(await store.collect(new Set(), 3_600_000), 'used a moment ago').to.equal(0);
  });
});
