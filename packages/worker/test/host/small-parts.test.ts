/** The small deciders of a host: signatures, devices and flags, trials, the lock, the outbox, what is held. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  asTroupeError,
  parseDevice,
  resolveConfiguration,
  type Signature,
  type TensorSpec,
  TroupeError,
} from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { lockDataFolder } from '../../src/host/data-lock.js';
import { EventOutbox } from '../../src/host/event-outbox.js';
import { isHeld, mayHandBack } from '../../src/host/held-messages.js';
import {
  defaultHostName,
  parseDevices,
  readHostArguments,
  resolveHostSettings,
} from '../../src/host/host-command-line.js';
import { LagWatch } from '../../src/host/lag-watch.js';
import { identifyProcess, isAlive } from '../../src/host/process-identity.js';
import { acceptsSignature } from '../../src/host/signature-accepts.js';
import { TrialQueue } from '../../src/host/trial-queue.js';

const spec = (
  name: string,
  shape: TensorSpec['shape'],
  datatype: TensorSpec['datatype'] = 'FP32',
): TensorSpec => ({
  name,
  datatype,
  shape,
});
const signature = (inputs: TensorSpec[], outputs: TensorSpec[]): Signature => ({ inputs, outputs });
const reasonOf = (act: () => unknown): string | undefined => {
  try {
    act();
    return undefined;
  } catch (thrown) {
    return thrown instanceof TroupeError ? thrown.reason : String(thrown);
  }
};

describe('fallback signature', () => {
  const own = signature([spec('x', [-1, 4])], [spec('y', [-1, 3])]);

  it('a version covers another with equal or wider inputs and the same outputs', () => {
    expect(acceptsSignature(own, own)).to.equal(true);
    const wider = signature([spec('x', [-1, -1])], [spec('y', [-1, 3]), spec('z', [1])]);
    expect(acceptsSignature(wider, own)).to.equal(true);
    expect(acceptsSignature(own, wider), 'not the other way round').to.equal(false);
  });

  it('a version with another name, datatype, rank, size or number of inputs covers nothing', () => {
    const others = [
      signature([spec('a', [-1, 4])], own.outputs as TensorSpec[]),
      signature([spec('x', [-1, 4], 'FP64')], own.outputs as TensorSpec[]),
      signature([spec('x', [-1, 4, 1])], own.outputs as TensorSpec[]),
      signature([spec('x', [-1, 5])], own.outputs as TensorSpec[]),
      signature([spec('x', [-1, 4]), spec('w', [1])], own.outputs as TensorSpec[]),
      signature(own.inputs as TensorSpec[], [spec('y', [-1, 2])]),
      signature(own.inputs as TensorSpec[], []),
    ];
    for (const other of others) expect(acceptsSignature(other, own)).to.equal(false);
  });
});

describe('host command line', () => {
  it('what is not given has its default, and flags of settings are passed on by their key', () => {
    const settle = (flags: Readonly<Record<string, string | undefined>>, variables = {}) =>
      resolveHostSettings(resolveConfiguration({ flags, variables, folder: '/nowhere' }));
    const none = readHostArguments([]);
    expect(none.printConfig).to.equal(false);
    expect(settle(none.flags).devices).to.deep.equal([parseDevice('cpu:0')]);
    const given = readHostArguments(
      '--nats nats://flag:1 --nats-user ann --devices cpu:0,cuda:1 --name box --slots 3'.split(' '),
    );
    const settled = settle(given.flags, { TROUPE_SLOTS: '9', TROUPE_DATA: '/data' });
    expect(settled).to.deep.include({ name: 'box', slots: 3, dataDir: '/data' });
    expect(given.flags).to.deep.include({ natsUrl: 'nats://flag:1', natsUser: 'ann', redisUrl: undefined });
    expect(settled.devices).to.deep.equal(['cpu:0', 'cuda:1'].map(parseDevice));
    expect(settle(readHostArguments(['--devices', 'auto']).flags).devices).to.equal('auto');
    expect(settle(given.flags).dataDir).to.equal(join('.troupe', 'host-box'));
  });

  it('devices, slots, name and folders may stand in the file of settings, and a wrong one is told by its place', () => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-host-settings-'));
    try {
      const settle = (content: object) => {
        writeFileSync(join(folder, 'troupe.config.json'), JSON.stringify(content));
        return resolveHostSettings(resolveConfiguration({ variables: {}, folder }));
      };
      const all = {
        hostName: 'gpu-7',
        devices: ['cpu:0', 'cpu:1'],
        slots: 12,
        dataFolder: 'd',
        watchFolder: 'w',
      };
      expect(settle(all)).to.deep.equal({
        name: 'gpu-7',
        devices: ['cpu:0', 'cpu:1'].map(parseDevice),
        slots: 12,
        dataDir: 'd',
        watch: 'w',
      });
      const wrong = { hostName: 'a b', devices: 'tpu:0', slots: 0 };
      for (const [key, value] of Object.entries(wrong)) {
        let message = '';
        try {
          settle({ [key]: value });
        } catch (thrown) {
          expect(asTroupeError(thrown).reason).to.equal('config.invalid');
          message = asTroupeError(thrown).message;
        }
        expect(message).to.include(`${key} in ${join(folder, 'troupe.config.json')}: `);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('unknown and doubled devices are refused by name', () => {
    for (const devices of ['tpu:0', 'cpu', 'cpu:-1', 'cpu:0,cpu:0', 'auto,cpu:0', '']) {
      expect(
        reasonOf(() => parseDevices(devices)),
        devices,
      ).to.equal('placement.no_device');
    }
  });

  it('whatever the machine is called, its name makes a host name', () => {
    fc.assert(
      fc.property(fc.string(), (machine) => {
        expect(defaultHostName(machine)).to.match(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/);
      }),
    );
    expect(defaultHostName('gpu-7.example.org')).to.equal('gpu-7-example-org');
  });
});

describe('trial queue', () => {
  it('trials run one at a time, in order, and a failed one holds up nothing', async () => {
    const queue = new TrialQueue();
    const order: string[] = [];
    const trial = (name: string, fails = false) =>
      queue.run(async () => {
        order.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${name} ends`);
        if (fails) throw new Error(name);
      });
    const results = await Promise.allSettled([trial('a', true), trial('b')]);
    expect(results.map(({ status }) => status)).to.deep.equal(['rejected', 'fulfilled']);
    expect(order).to.deep.equal(['a begins', 'a ends', 'b begins', 'b ends']);
    expect(queue.size).to.equal(0);
  });

  it('more than sixteen waiting are refused', async () => {
    const queue = new TrialQueue();
    let end: () => void = () => undefined;
    const blocker = queue.run(
      () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    );
    const waiting = Array.from({ length: 16 }, () => queue.run(async () => undefined));
    const fault = await queue.run(async () => undefined).catch((thrown: unknown) => thrown);
    expect(fault).to.be.instanceOf(TroupeError).with.property('reason', 'queue.full');
    end();
    await Promise.all([blocker, ...waiting]);
  });
});

describe('data folder lock', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-lock-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('a live holder keeps it; released, it is free and leaves nothing behind', () => {
    const lock = lockDataFolder(dir);
    expect(reasonOf(() => lockDataFolder(dir))).to.equal('config.invalid');
    lock.release();
    lock.release();
    expect(readdirSync(dir)).to.deep.equal([]);
    lockDataFolder(dir).release();
  });

  it('a dead holder’s lock is taken over, even where its pid is used again', () => {
    const me = identifyProcess(process.pid);
    const dead = [
      JSON.stringify({ ...me, startTicks: '1' }),
      JSON.stringify({ ...me, bootId: 'another boot' }),
      'not ours',
      '',
    ];
    for (const holder of dead) {
      writeFileSync(join(dir, 'lock'), holder);
      const lock = lockDataFolder(dir);
      expect(JSON.parse(readFileSync(join(dir, 'lock'), 'utf8'))).to.deep.equal(me);
      lock.release();
    }
  });

  it('a process is told from a later one of its pid', () => {
    const me = identifyProcess(process.pid);
    if (me === undefined) return;
    expect(isAlive(me)).to.equal(true);
    expect(isAlive({ ...me, startTicks: '1' })).to.equal(false);
    expect(identifyProcess(2 ** 22 + 1)).to.equal(undefined);
  });
});

describe('event outbox', () => {
  it('events leave in order, after the lease was told what they tell of', async () => {
    const seen: string[] = [];
    const outbox = new EventOutbox(
      async () => {
        seen.push('renewed');
      },
      ({ text }) => seen.push(text),
    );
    const event = (text: string) => ({ kind: 'worker.state' as const, source: 'host/h', text, data: {} });
    outbox.add(event('a'));
    outbox.add(event('b'));
    await outbox.drained();
    outbox.add(event('c'));
    await outbox.drained();
    expect(seen).to.deep.equal(['renewed', 'a', 'b', 'renewed', 'c']);
  });

  it('what happens while the lease is renewed is not in it, and waits for the next renewal', async () => {
    const seen: string[] = [];
    const event = (text: string) => ({ kind: 'worker.state' as const, source: 'host/h', text, data: {} });
    const outbox = new EventOutbox(
      async () => {
        seen.push('renewed');
        if (seen.length === 1) outbox.add(event('meanwhile'));
      },
      ({ text }) => seen.push(text),
    );
    outbox.add(event('before'));
    await outbox.drained();
    expect(seen).to.deep.equal(['renewed', 'before', 'renewed', 'meanwhile']);
  });
});

describe('whether a version on probation lags', () => {
  it('is told once as it begins, and once when there was no sign of it for two seconds', () => {
    const lag = new LagWatch();
    expect(lag.note(250, 0)).to.equal(undefined);
    expect(lag.note(251, 250)).to.equal('lags');
    expect(lag.note(0, 1_000)).to.equal(undefined);
    expect(lag.note(900, 2_000)).to.equal(undefined);
    expect(lag.note(0, 3_999)).to.equal(undefined);
    expect(lag.note(0, 4_000)).to.equal('keeps_up');
    expect(lag.note(0, 4_250)).to.equal(undefined);
    expect(lag.note(300, 4_500)).to.equal('lags');
  });
});

describe('held messages', () => {
  const booked = (streamSequence: number, heardAtMs: number) => ({
    message: { stream: 's', consumer: 'v1', streamSequence, consumerSequence: streamSequence, delivery: 1 },
    heardAtMs,
  });
  const sequencesOf = (messages: readonly { readonly streamSequence: number }[]) =>
    messages.map(({ streamSequence }) => streamSequence);

  it('only deliveries that are certainly still the runner’s are handed back', () => {
    const now = { ms: 2_000, ackWaitMs: 2_000, serverSinceMs: 0 };
    const all = [booked(3, 1_500), booked(1, 0), booked(2, 251)];
    expect(sequencesOf(mayHandBack(all, now, undefined))).to.deep.equal([2, 3]);
  });

  it('nothing of a NATS server that was replaced is handed back, and nothing where there is none', () => {
    const now = { ms: 1_000, ackWaitMs: 2_000, serverSinceMs: 500 };
    const all = [booked(1, 499), booked(2, 500)];
    expect(sequencesOf(mayHandBack(all, now, undefined))).to.deep.equal([2]);
    expect(mayHandBack(all, { ...now, serverSinceMs: undefined }, undefined)).to.deep.equal([]);
  });

  it('what was answered for the runner is not handed back', () => {
    const now = { ms: 1_000, ackWaitMs: 2_000, serverSinceMs: 0 };
    const all = [booked(1, 900), booked(2, 900)];
    expect(isHeld(all, { stream: 's', streamSequence: 2 })).to.equal(true);
    expect(isHeld(all, { stream: 't', streamSequence: 2 })).to.equal(false);
    const answered = { stream: 's', streamSequence: 2 };
    expect(sequencesOf(mayHandBack(all, now, answered))).to.deep.equal([1]);
  });
});
