/** Runs of the command line: exit codes, text and JSON, with and without a cluster. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Signature, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { freePort } from '../../../../test/harness/ports.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { runCli } from '../../src/cli/run-cli.js';
import { type StandInCluster, type StandInRunner, startStandIn } from '../stand-in-cluster.js';
import { npy } from './npy-file.js';

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], stdin?: string): Promise<Run> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
    ...(stdin === undefined ? {} : { stdin: Readable.from([Buffer.from(stdin)]) }),
    stdout: {
      write: (text) => {
        out += text;
      },
    },
    stderr: {
      write: (text) => {
        err += text;
      },
    },
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

const signature: Signature = {
  inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }],
  outputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }],
};
const digest = 'ab'.repeat(32);
const version = {
  version: 1,
  state: 'ready',
  serving: 2,
  wanted: 2,
  batchable: true,
  digest,
  sizeBytes: 4_000_000,
};
const worker = {
  model: 'ints',
  version: 1,
  device: 'cpu:0',
  state: 'serving',
  credits: 128,
  inFlight: 3,
  natsConnected: true,
  completed: 1_234_567,
  failed: 0,
  batches: 5,
  rows: 10,
  p50Ms: 1.25,
  p99Ms: 12.5,
  crashes: 0,
};
const report = {
  host: 'host-1',
  startedAt: '2026-11-20T00:00:00.000Z',
  pid: 4_242,
  slots: 16,
  workers: [worker],
  epoch: 1,
  stopping: false,
  devices: [
    { name: 'cpu:0', kind: 'cpu' },
    { name: 'cpu:1', kind: 'cpu' },
  ],
  nodeVersion: 'v20',
  runtimeVersion: '1',
  troupeVersion: '0.1.0',
};

describe('the command line without a cluster', () => {
  it('what cannot be meant exits 2, with a hint and without a stack', async () => {
    const wrong: readonly (readonly string[])[] = [
      ['nope'],
      ['infer'],
      ['infer', 'm', '--version', '0'],
      ['infer', 'm', '--version', '1', '--label', 'stable'],
      ['infer', 'm', '--input', 'x=[1'],
      ['infer', 'm', '--input', '[1]', '--file', 'body.json'],
      ['infer', 'm', '--input', '@-'],
      ['scale', 'host-1', 'many'],
      ['models', 'push', 'x.v1.onnx'],
      ['models', 'label', 'm', 'stable', 'latest'],
      ['hosts', '--colour'],
    ];
    for (const args of wrong) {
      const { code, out, err } = await run(args);
      expect(code, args.join(' ')).to.equal(2);
      expect(out).to.equal('');
      expect(err)
        .to.match(/^troupe: .+\n$/)
        .and.not.to.include('    at ');
      const json = await run([...args, '--json']);
      expect(json.code).to.equal(2);
      expect(JSON.parse(json.err)).to.have.nested.property('error.reason', 'request.arguments');
    }
  });

  it('models push of a file whose name no model may bear suggests one', async () => {
    expect((await run(['models', 'push', 'x.v1.onnx'])).err).to.include('--name x-v1');
  });

  it('without a command it shows its help and exits 2; asked for help it exits 0', async () => {
    expect(await run([])).to.include({ code: 2, out: '' });
    expect((await run([])).err).to.include('Usage: troupe');
    const help = await run(['models', 'push', '--help']);
    expect(help).to.include({ code: 0, err: '' });
    expect(help.out).to.include('Examples:\n  troupe models push');
    expect(help.out).to.include('--max-batch <rows>').and.to.include('--json');
    for (const line of help.out.split('\n')) expect(line.length).to.be.at.most(80);
    expect((await run(['--version'])).out).to.match(/^\d+\.\d+\.\d+\n$/);
    expect(JSON.parse((await run(['--json'])).err)).to.have.nested.property(
      'error.message',
      'a command is missing',
    );
  });

  it('nothing reached exits 3 and says which address was tried', async () => {
    const address = `nats://127.0.0.1:${await freePort()}`;
    const { code, err } = await run(['hosts', '--nats', address]);
    expect(code).to.equal(3);
    expect(err).to.include(address).and.to.include('[nats.unreachable]');
    const json = await run(['--nats', address, '--json', 'hosts']);
    expect(json).to.include({ code: 3, out: '' });
    expect(JSON.parse(json.err)).to.have.nested.property('error.class', 'unavailable');
  });
});

describe('the command line with a cluster', () => {
  let cluster: StandInCluster;
  let holder: StandInRunner;
  let folder: string;
  const calls: [string, unknown][] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-cli-'));
    cluster = await startStandIn();
    await cluster.serve('ints', 1, signature);
    holder = await cluster.serve('hold', 1, signature, () => 'hold');
    const noted = (name: string, result: unknown) => async (args: unknown) => {
      calls.push([name, args]);
      return result;
    };
    const reason =
      'all 16 slots of the hosts are taken by other models; scale one of them, or label fewer versions';
    await cluster.serveAdmin({
      'models.list': noted('models.list', {
        models: [
          {
            name: 'ints',
            labels: { stable: 1, canary: 2 },
            replicas: 2,
            versions: [version, { ...version, version: 2, state: 'unplaced', serving: 0, reason }],
          },
        ],
      }),
      'models.show': async ({ model }) => {
        if (model !== 'ints') throw new TroupeError('model.unknown', `no model is called "${String(model)}"`);
        return {
          name: 'ints',
          labels: { stable: 1 },
          replicas: 2,
          versions: [{ ...version, signature, golden: [], batching: { maxBatchSize: 32, maxDelayMs: 0 } }],
        };
      },
      'models.register': noted('models.register', { model: 'pushed', version: 1, created: true }),
      'models.label': noted('models.label', {}),
      'models.delete': noted('models.delete', {}),
      'models.residency': noted('models.residency', {}),
      'hosts.list': noted('hosts.list', {
        hosts: [{ host: 'host-1', token: 1, remainingMs: 2_500, report }],
      }),
      'workers.list': noted('workers.list', { workers: [{ host: 'host-1', ...worker }] }),
      'hosts.scale': noted('hosts.scale', {}),
      'dead.list': noted('dead.list', {
        letters: [
          {
            ...{ sequence: 12, model: 'ints', version: 1, at: '2026-11-20T10:11:12.345Z', requestId: 'r' },
            ...{ reason: 'request.poison', text: 'the request ended 3 runners', sizeBytes: 4_096 },
          },
        ],
      }),
      'dead.replay': async (args) => {
        if (args.sequence !== 12) throw new TroupeError('admin.not_found', 'there is no dead letter');
        calls.push(['dead.replay', args]);
        return { ...args, model: 'ints', version: 1, requestId: 'r', replayed: true };
      },
      'dead.drop': async (args) => ({ ...args, model: 'ints', version: 1, requestId: 'r', dropped: true }),
    });
  });
  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const on = (...args: string[]) => run([...args, '--nats', cluster.url]);

  it('infer prints the outputs, in JSON without loss', async () => {
    const text = await on('infer', 'ints', '--input', '[1,9223372036854775807]');
    expect(text).to.include({ code: 0, err: '' });
    expect(text.out)
      .to.match(/^ints version 1, [\d.]+ ms\n/)
      .and.to.include('[1, 9223372036854775807]');
    const json = await on('infer', 'ints', '--input', 'x=[9223372036854775807]', '--id', 'mine', '--json');
    expect(json.out).to.equal(
      '{"model":"ints","version":1,"degraded":false,"id":"mine","outputs":{"x":{"datatype":"INT64","shape":[1],"data":[9223372036854775807]}}}\n',
    );
    expect((await on('infer', 'ints', '--input', '[1]', '--label', 'stable')).code).to.equal(0);
    expect((await on('infer', 'ints', '--input', '[1]', '--version', '1')).code).to.equal(0);
  });

  it('infer takes inputs from files and standard input, and whole requests', async () => {
    const values = join(folder, 'values.json');
    writeFileSync(values, '[9223372036854775807]');
    expect((await on('infer', 'ints', '--input', `x=@${values}`)).out).to.include('[9223372036854775807]');
    const array = join(folder, 'values.npy');
    writeFileSync(array, npy('<i8', '(2,)', Buffer.from(BigInt64Array.of(5n, -6n).buffer)));
    expect((await on('infer', 'ints', '--input', `@${array}`)).out).to.include('[5, -6]');
    writeFileSync(array, npy('<f4', '(2,)', Buffer.alloc(8)));
    expect(await on('infer', 'ints', '--input', `@${array}`))
      .to.include({ code: 1 })
      .and.have.property('err')
      .that.includes('wants INT64, got FP32');

    const body =
      '{"id":"from-body","inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9007199254740993]}],"outputs":[{"name":"x"}]}';
    const path = join(folder, 'body.json');
    writeFileSync(path, body);
    const sent = await on('infer', 'ints', '--file', path, '--json');
    expect(sent.out).to.include('"id":"from-body"').and.to.include('[9007199254740993]');
    const renamed = await on('infer', 'ints', '--file', path, '--id', 'mine', '--json');
    expect(renamed.out).to.include('"id":"mine"');
    const server = ['--nats', cluster.url];
    expect((await run(['infer', 'ints', '--file', '-', ...server], body)).out).to.include('9007199254740993');
    expect((await run(['infer', 'ints', '--input', '@-', ...server], '[7]')).out).to.include('[7]');

    const wrong: [args: string[], says: string][] = [
      [['--input', `@${join(folder, 'none.json')}`], 'there is no such file'],
      [['--input', `@${folder}`], 'it is a folder'],
      [['--input', `@${path}.npy`], 'there is no such file'],
      [['--file', values], 'request.shape'],
    ];
    for (const [args, says] of wrong) {
      const { code, err } = await on('infer', 'ints', ...args);
      expect(code).to.equal(1);
      expect(err).to.include(says);
    }
    expect((await run(['infer', 'ints', '--input', '@-', ...server], '[7')).err).to.include('holds no JSON');
  });

  it('a refused request exits 1, in JSON with class and reason', async () => {
    const text = await on('infer', 'ints', '--input', '[[1]]');
    expect(text).to.include({ code: 1, out: '' });
    expect(text.err).to.match(/^troupe: input "x" .*\[1\].* \[request\.tensor_shape\]\n$/);
    const json = await on('infer', 'itns', '--json');
    expect(JSON.parse(json.err)).to.deep.equal({
      error: {
        class: 'not_found',
        reason: 'model.unknown',
        message: 'no model is called "itns": did you mean "ints"?',
      },
    });
    expect((await on('infer', 'hold', '--input', '[1]', '--deadline-ms', '50')).code).to.equal(1);
    expect((await on('models', 'show', 'nobody')).code).to.equal(1);
  });

  it('lists are tables of at most 80 columns, and one JSON value with --json', async () => {
    const commands = [['models', 'list'], ['models', 'show', 'ints'], ['hosts'], ['workers'], ['events']];
    for (const command of commands) {
      const text = await on(...command);
      expect(text, text.err).to.include({ code: 0, err: '' });
      for (const line of text.out.split('\n')) expect(line.length, line).to.be.at.most(80);
      const json = await on(...command, '--json');
      expect(json.out.split('\n')).to.have.lengthOf(2);
      expect(JSON.parse(json.out)).to.be.an('object');
    }
    const { out } = await on('models', 'list');
    expect(out).to.match(/^MODEL +VERSION +LABELS +STATE/);
    expect(out)
      .to.include('canary')
      .and.to.include('unplaced')
      .and.to.include('0 of 2')
      .and.to.include('4.0 MB');
    expect(out.replace(/\s+/g, ' ')).to.include('slots');
    expect((await on('workers')).out)
      .to.include('ints v1')
      .and.to.include('host-1 cpu:0')
      .and.to.include('3/128');
    expect((await on('hosts')).out)
      .to.include('1 of 16')
      .and.to.include('cpu:0 cpu:1')
      .and.to.include('2.5 s');
    expect((await on('models', 'show', 'ints')).out)
      .to.include("ask it:\n  npx troupe infer ints --input '[0]' --nats")
      .and.to.include('[-1]')
      .and.to.include('INT64');
  });

  it('models push registers the file with its golden cases, and says nothing on the way where it is quick', async () => {
    const file = join(folder, 'pushed.onnx');
    const golden = join(folder, 'golden.json');
    writeFileSync(file, 'bytes');
    writeFileSync(
      golden,
      '{"cases":[{"name":"g","inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9223372036854775807]}],"outputs":[]}]}',
    );
    calls.length = 0;
    const text = await on(
      'models',
      'push',
      file,
      '--golden',
      golden,
      '--max-batch',
      '1',
      '--max-delay-ms',
      '0',
      '--replicas',
      '1',
    );
    expect(text.code, text.err).to.equal(0);
    expect(text.out).to.match(/^pushed version 1 is registered/);
    expect(text.err).to.equal('');
    expect(calls[0]?.[1]).to.deep.include({
      name: 'pushed',
      batching: { maxBatchSize: 1, maxDelayMs: 0 },
      replicas: 1,
    });
    expect(JSON.stringify(calls[0]?.[1])).to.include('"9223372036854775807"');
    const json = await on('models', 'push', file, '--name', 'other', '--json');
    expect(json.err).to.equal('');
    expect(JSON.parse(json.out)).to.include({ model: 'pushed', created: true, sizeBytes: 5 });
    expect((await on('models', 'push', join(folder, 'none.onnx'))).code).to.equal(1);
    expect((await on('models', 'push', file, '--golden', file)).code).to.equal(1);
  });

  it('models push takes settings from a file, flags win, and prints what puts the version live', async () => {
    const file = join(folder, 'pushed.onnx');
    const config = join(folder, 'model.json');
    const golden = [{ name: 'g', inputs: [], outputs: [] }];
    writeFileSync(file, 'bytes');
    writeFileSync(join(folder, 'cases.json'), JSON.stringify(golden));
    const write = (settings: unknown) => writeFileSync(config, JSON.stringify(settings));
    const push = (...args: string[]) => on('models', 'push', file, '--config', config, ...args);

    calls.length = 0;
    write({
      maxBatchSize: 8,
      maxDelayMs: 5,
      replicas: 3,
      limits: { runLimitMs: 500 },
      golden: { cases: golden },
    });
    const first = await push('--max-batch', '4', '--replicas', '1');
    expect(first.code, first.err).to.equal(0);
    expect(first.out).to.include(`  npx troupe rollout start pushed 1 --nats ${cluster.url}\n`);
    expect(calls[0]?.[1]).to.deep.include({
      ...{ batching: { maxBatchSize: 4, maxDelayMs: 5 }, replicas: 1, limits: { runLimitMs: 500 }, golden },
    });
    for (const cases of [golden, 'cases.json']) {
      write({ golden: cases });
      calls.length = 0;
      expect((await push()).code).to.equal(0);
      expect(calls[0]?.[1])
        .to.deep.include({ golden })
        .and.not.have.any.keys('batching', 'replicas', 'limits');
    }

    const wrong: [settings: unknown, says: string][] = [
      [{ replica: 8 }, '"replica" is no setting (did you mean replicas?)'],
      [{ limits: { timeout: 8 } }, 'limits: "timeout" is no setting (known are runLimitMs, queueLimit)'],
      [{ limits: 3 }, 'limits: an object with'],
      [[], 'a JSON object of settings is wanted'],
      [{ golden: {} }, 'holds no golden cases'],
      [{ golden: 'none.json' }, 'there is no such file'],
      [{ maxBatchSize: 'many' }, 'maxBatchSize is the string "many"'],
    ];
    calls.length = 0;
    for (const [settings, says] of wrong) {
      write(settings);
      const { code, err } = await push();
      expect(code, says).to.equal(1);
      expect(err).to.include(says).and.to.include('[request.arguments]');
    }
    expect(calls).to.deep.equal([]);
  });

  it('label, delete and scale say what they did', async () => {
    calls.length = 0;
    expect((await on('models', 'label', 'ints', 'canary', '2')).out).to.equal(
      'label canary of ints is on version 2\n',
    );
    expect((await on('models', 'label', 'ints', 'canary', 'none')).out).to.include('taken away');
    expect((await on('models', 'delete', 'ints', '2')).out).to.include('version 2 is deleted');
    expect((await on('models', 'delete', 'ints', '--json')).out).to.equal(
      '{"model":"ints","deleted":true}\n',
    );
    expect((await on('scale', 'host-1', '4', '--json')).out).to.equal('{"host":"host-1","slots":4}\n');
    expect(calls.map(([name]) => name)).to.deep.equal([
      'models.label',
      'models.label',
      'models.delete',
      'models.delete',
      'hosts.scale',
    ]);
  });

  it('residency, pin and unpin say what becomes of a model, and refuse a word that is none', async () => {
    calls.length = 0;
    const demand = await on('models', 'residency', 'ints', 'on-demand', '--idle-ms', '60000');
    expect(demand.out).to.equal('ints is loaded when somebody asks for it\n');
    expect((await on('models', 'pin', 'ints')).out).to.include('never gives way');
    expect((await on('models', 'unpin', 'ints', '--json')).out).to.equal(
      '{"model":"ints","residency":"always"}\n',
    );
    expect((await on('models', 'residency', 'ints', 'sometimes')).code).to.equal(2);
    expect(calls).to.deep.equal([
      ['models.residency', { model: 'ints', residency: 'on_demand', idleMs: 60_000 }],
      ['models.residency', { model: 'ints', residency: 'pinned' }],
      ['models.residency', { model: 'ints', residency: 'always' }],
    ]);
  });

  it('dead lists what was given up, and says what was replayed and dropped', async () => {
    calls.length = 0;
    const list = await on('dead', 'list', '--model', 'ints', '--count', '5');
    expect(list).to.include({ code: 0, err: '' });
    expect(list.out.replace(/\s+/g, ' ')).to.include(
      '12 2026-11-20 10:11:12Z ints v1 4.1 kB request.poison: the request ended',
    );
    for (const line of list.out.split('\n')) expect(line.length, line).to.be.at.most(80);
    const json = await on('dead', 'list', '--json');
    expect(JSON.parse(json.out)).to.have.nested.property('letters[0].sequence', 12);
    expect((await on('dead', 'replay', '12')).out).to.equal(
      'dead letter 12 was sent to ints version 1 once more\n',
    );
    expect((await on('dead', 'drop', '12', '--json')).out).to.equal(
      '{"sequence":12,"model":"ints","version":1,"requestId":"r","dropped":true}\n',
    );
    const missing = await on('dead', 'replay', '13');
    expect(missing).to.include({ code: 1, out: '' });
    expect(missing.err).to.include('[admin.not_found]');
    expect((await on('dead', 'drop', 'all')).code).to.equal(2);
    expect(calls).to.deep.equal([
      ['dead.list', { count: 5, model: 'ints' }],
      ['dead.list', { count: 20 }],
      ['dead.replay', { sequence: 12 }],
    ]);
  });

  it('events looks back; with --follow it goes on, a JSON value a line, until it is ended', async () => {
    cluster.emit('first');
    await waitUntil('it is kept', async () =>
      (await on('events', '--count', '1')).out.includes('host/test: first'),
    );
    const ending = new AbortController();
    let out = '';
    const following = runCli(['events', '--follow', '--json', '--nats', cluster.url], {
      stdout: {
        write: (text) => {
          out += text;
        },
      },
      stderr: { write: () => undefined },
      signal: ending.signal,
    });
    await waitUntil('it has looked back', () => out.includes('first'));
    cluster.emit('second');
    await waitUntil('it follows', () => out.includes('second'));
    ending.abort();
    expect(await following).to.equal(130);
    const texts = out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text);
    expect(texts.filter((text) => text === 'first')).to.have.lengthOf(1);
    expect(texts.filter((text) => text === 'second')).to.have.lengthOf(1);
  });

  describe('as a process', () => {
    const root = fileURLToPath(new URL('../../../../', import.meta.url));
    const start = (args: readonly string[]) =>
      spawn(
        process.execPath,
        [
          ...['--import', 'tsx', '--conditions=@troupe/source'],
          join(root, 'packages/client/test/cli/main-process.ts'),
          ...args,
          ...(args.includes('--nats') ? [] : ['--nats', cluster.url]),
        ],
        { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000, killSignal: 'SIGKILL' },
      );

    it('Ctrl-C in the middle of a request exits 130 and says nothing', async () => {
      holder.dropHeld();
      const child = start(['infer', 'hold', '--input', '[1]', '--deadline-ms', '60000']);
      let said = '';
      child.stdout.on('data', (text) => {
        said += String(text);
      });
      child.stderr.on('data', (text) => {
        said += String(text);
      });
      const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
      await waitUntil('the runner holds it', () => holder.heldCount > 0);
      child.kill('SIGINT');
      expect(await ended).to.equal(130);
      expect(said).to.equal('');
      await waitUntil('the runner has dropped it', () => holder.heldCount === 0);
    });

    it('a server that never speaks does not keep it: it exits 3', async () => {
      const sockets = new Set<Socket>();
      const silent = createServer((socket) => sockets.add(socket));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const address = silent.address();
      const port = typeof address === 'object' ? address?.port : 0;
      try {
        const child = start(['hosts', '--nats', `nats://127.0.0.1:${port}`]);
        const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
        expect(await ended).to.equal(3);
      } finally {
        for (const socket of sockets) socket.destroy();
        silent.close();
      }
    });

    it('a reader that goes away ends it without a word', async () => {
      const child = start(['events', '--follow', '--json']);
      let said = '';
      child.stderr.on('data', (text) => {
        said += String(text);
      });
      const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      child.stdout.destroy();
      await waitUntil('it has noticed', () => {
        cluster.emit('to nobody');
        return child.exitCode !== null;
      });
      expect(await ended).to.equal(0);
      expect(said).to.equal('');
    });
  });
});

describe('bin/troupe.js', () => {
  it('says in one line what to do where nothing was built', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-bin-'));
    try {
      const source = fileURLToPath(new URL('../../bin/troupe.js', import.meta.url));
      const { mkdirSync, copyFileSync } = await import('node:fs');
      mkdirSync(join(folder, 'bin'));
      writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
      copyFileSync(source, join(folder, 'bin/troupe.js'));
      const child = spawn(process.execPath, [join(folder, 'bin/troupe.js'), 'hosts'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let err = '';
      child.stderr.on('data', (text) => {
        err += String(text);
      });
      const code = await new Promise<number | null>((resolve) =>
        child.once('close', (exitCode) => resolve(exitCode)),
      );
      expect(err).to.equal('troupe: not built yet: run npm start (or npm run build) first\n');
      expect(code).to.equal(1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
