/** connect(): what it says where there is nothing to connect to, and that a closed client lets its process end. */
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Signature, TroupeError } from '@troupe/shared';
import { connectNats, createRoutingPublisher } from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { freePort } from '../../../../test/harness/ports.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { connect } from '../../src/index.js';
import { expectReject } from '../expect-error.js';
import { type StandInCluster, startStandIn } from '../stand-in-cluster.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Runs a program as its users do; resolves when it has ended by itself, or fails after a minute. */
async function runProgram(
  args: readonly string[],
  variables: Record<string, string>,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@troupe/source', ...args], {
    cwd: root,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve(exitCode));
  });
  return { code, out, err };
}

describe('connect() where there is no cluster', () => {
  it('says which address was tried, where it came from, and how to start a cluster', async () => {
    const servers = `nats://127.0.0.1:${await freePort()}`;
    await expectReject(connect({ servers }), 'nats.unreachable', servers, 'the option servers', 'npm start');
  });

  it('shows no password', async () => {
    const port = await freePort();
    const error = await expectReject(
      connect({ servers: `nats://me:secret@127.0.0.1:${port}` }),
      'nats.unreachable',
    );
    expect(error.message).to.include(String(port)).and.not.to.include('secret');
  });

  it('gives up within its time at a server that says nothing', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    try {
      await expectReject(
        connect({ servers: `nats://127.0.0.1:${port}`, connectTimeoutMs: 200 }),
        'nats.unreachable',
      );
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  describe('but a NATS server', () => {
    let nats: NatsServer;
    afterEach(() => nats.stop());

    it('without JetStream is told apart by nats.no_jetstream', async () => {
      nats = await startNats({ jetstream: false });
      await expectReject(connect({ servers: nats.url }), 'nats.no_jetstream', nats.url, 'jetstream');
    });

    it('on which a cluster starts is waited for', async () => {
      nats = await startNats();
      const link = await connectNats({ servers: nats.url, name: 'test', namespace: 'troupe' });
      try {
        // As far as a coordinator has come in the middle of its start.
        const jsm = await link.connection.jetstreamManager();
        await jsm.streams.add({ name: link.subjects.eventStream, subjects: [link.subjects.eventsAll] });
        let looks = 0;
        link.connection.subscribe(`$JS.API.STREAM.INFO.KV_${link.subjects.routesBucket}`, {
          callback: () => {
            looks += 1;
          },
        });
        await link.connection.flush();
        const connecting = connect({ servers: nats.url });
        const outcome = connecting.then(
          () => 'connected',
          (error: TroupeError) => error.reason,
        );
        await waitUntil('it looks for the routes again', () => looks >= 2);
        await createRoutingPublisher(link).publish({
          epoch: 1,
          model: 'iris',
          labels: {},
          weights: [],
          versions: {},
        });
        expect(await outcome).to.equal('connected');
        await (await connecting).close();
      } finally {
        await link.close();
      }
    });

    it('without a Troupe is told apart by cluster.absent', async () => {
      nats = await startNats();
      await expectReject(
        connect({ servers: nats.url, namespace: 'nobody' }),
        'cluster.absent',
        nats.url,
        'nobody',
        'npm start',
      );
    });
  });
});

describe('a program with a client', () => {
  let cluster: StandInCluster;
  const iris: Signature = {
    inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 4] }],
    outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 3] }],
  };

  before(async () => {
    cluster = await startStandIn();
    await cluster.serve('iris', 1, iris, (request) => [
      {
        name: 'probabilities',
        datatype: 'FP32',
        shape: [request.inputs[0]?.shape[0] ?? 0, 3],
        data: new Uint8Array(Float32Array.of(0.75, 0.25, 0).buffer),
      },
    ]);
    await cluster.serve('hold', 1, iris, () => 'hold');
  });
  after(() => cluster?.stop());

  it('connects while all coordinators are down, as long as models are routed', async () => {
    const client = await connect({ servers: cluster.url });
    try {
      expect((await client.infer('iris', new Float32Array(4))).version).to.equal(1);
      await expectReject(client.models(), 'cluster.absent');
    } finally {
      await client.close();
    }
  });

  it('examples/ten-lines.mjs prints the answer and ends by itself', async () => {
    const { code, out, err } = await runProgram(['examples/ten-lines.mjs'], { NATS_URL: cluster.url });
    expect(err).to.equal('');
    expect(out).to.include('setosa').and.to.include('75');
    expect(code).to.equal(0);
  });

  it('ends by itself after close(), with requests open until then', async () => {
    const program = `
      import { connect } from '@troupe/client';
      const client = await connect();
      const open = [1, 2, 3].map(() => client.infer('hold', new Float32Array(4)).catch((error) => error.reason));
      const feed = client.events();
      const next = feed.next();
      await client.infer('iris', new Float32Array(4));
      await client.close();
      console.log((await Promise.all(open)).join(), (await next).done);`;
    const { code, out, err } = await runProgram(['--input-type=module', '-e', program], {
      NATS_URL: cluster.url,
    });
    expect(err).to.equal('');
    expect(out.trim()).to.equal('client.closed,client.closed,client.closed true');
    expect(code).to.equal(0);
  });

  it('ends by itself when connect() fails', async () => {
    const program = `
      import { connect } from '@troupe/client';
      await connect({ namespace: 'nobody' }).catch((error) => console.log(error.reason));`;
    const { code, out } = await runProgram(['--input-type=module', '-e', program], { NATS_URL: cluster.url });
    expect(out.trim()).to.equal('cluster.absent');
    expect(code).to.equal(0);
  });

  it('`await using` closes the client', async () => {
    let client: Awaited<ReturnType<typeof connect>>;
    {
      await using scoped = await connect({ servers: cluster.url });
      client = scoped;
    }
    await expectReject(client.infer('iris', new Float32Array(4)), 'client.closed');
  });
});
