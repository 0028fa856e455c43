/** Processes of ours end under load, in every way that they can: no request is lost, none is answered wrongly. */

import type { TroupeClient } from '@troupe/client';
import { expect } from 'chai';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { type IrisLoad, startIrisLoad, summarize } from '../harness/iris-load.js';
import { registerIris } from '../harness/iris-model.js';
import { waitUntil } from '../harness/wait-until.js';

/** The consumer's redelivery bound: what never left a dead process's socket waits for it. */
const ackWaitMs = 2_000;
/** Half of 64 requests in flight are answered within this by an idle machine of two cores; a slower one has more time. */
const usualMs = 20;

describe('under load', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let load: IrisLoad | undefined;

  beforeEach(async () => {
    cluster = await startCluster({ hosts: 2, devices: 'cpu:0' });
    client = await cluster.connect();
    await registerIris(client);
  });

  afterEach(async function () {
    printLogsOnFailure(() => cluster).call(this);
    await load?.stop();
    load = undefined;
    await client.close();
    await cluster.stop();
  });

  /** Starts a load and lets it come to speed. */
  async function loaded(deadlineMs?: number): Promise<IrisLoad> {
    const started = await startIrisLoad(client, {
      inFlight: 64,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
    load = started;
    await waitUntil('the load is under way', () => started.results.length > 500, { timeoutMs: 60_000 });
    return started;
  }

  /** How many times slower than usual the machine is just now; never less than 1. */
  function slowness({ results }: IrisLoad): number {
    const took = results.slice(-300).map(({ startedAt, endedAt }) => endedAt - startedAt);
    took.sort((a, b) => a - b);
    return Math.max(1, (took[Math.floor(took.length / 2)] ?? 0) / usualMs);
  }

  async function servingWorkers(count: number): Promise<void> {
    await waitUntil(
      `${count} workers serve`,
      async () => (await client.workers()).filter(({ state }) => state === 'serving').length >= count,
      { timeoutMs: 60_000 },
    );
  }

  it('a killed runner loses nothing: half of the affected requests are answered within 300 ms, all within ack_wait and a second', async () => {
    await servingWorkers(2);
    const running = await loaded();
    const victim = (await client.workers()).find(({ state }) => state === 'serving');
    expect(victim?.pid).to.be.a('number');
    const slow = slowness(running);
    process.kill(victim?.pid as number, 'SIGKILL');
    const killedAt = performance.now();
    const affectedStarts = new Set(running.openSince());
    await waitUntil(
      'a new runner serves',
      async () => {
        const again = (await client.workers()).find(({ host }) => host === victim?.host);
        return again?.state === 'serving' && again.pid !== victim?.pid;
      },
      { timeoutMs: 60_000 },
    );
    const results = await running.stop();
    expect(summarize(results)).to.deep.include({ wrong: 0, errors: [] });
    const delays = results
      .filter(({ startedAt, endedAt }) => startedAt <= killedAt && endedAt > killedAt)
      .map(({ endedAt }) => endedAt - killedAt)
      .sort((a, b) => a - b);
    expect(affectedStarts.size).to.be.greaterThan(0);
    // The promise of the architecture, not a measure of this machine: a bound that the broker's ack_wait sets.
    expect(delays[Math.floor(delays.length / 2)] ?? 0).to.be.at.most(300 * slow);
    expect(delays.at(-1) ?? 0).to.be.at.most(ackWaitMs + 1_000 * slow);
  });

  it('a killed host loses nothing, and none of its processes is alive three seconds later', async () => {
    await servingWorkers(2);
    const running = await loaded();
    const [first] = cluster.hosts;
    const runners = first?.runnerPids() ?? [];
    expect(runners).to.have.length.greaterThan(0);
    const slow = slowness(running);
    await first?.kill();
    await waitUntil(
      'no process of the dead host is alive',
      () => !cluster.living().some(({ pid }) => pid === first?.pid || runners.includes(pid)),
      { timeoutMs: 3_000 * slow },
    );
    const killedAt = running.results.length;
    await waitUntil('the other host serves on', () => running.results.length > killedAt + 500, {
      timeoutMs: 60_000,
    });
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
  });

  it('a host that is told to stop finishes what it holds: no error, exit code 0, no orphan', async () => {
    await servingWorkers(2);
    const running = await loaded();
    const [first] = cluster.hosts;
    const runners = first?.runnerPids() ?? [];
    expect(await first?.stop(30_000)).to.equal(0);
    expect(cluster.living().filter(({ pid }) => runners.includes(pid))).to.deep.equal([]);
    const stoppedAt = running.results.length;
    await waitUntil('the other host serves on', () => running.results.length > stoppedAt + 500, {
      timeoutMs: 60_000,
    });
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
  });

  it('a killed coordinator is not noticed', async () => {
    await servingWorkers(2);
    const running = await loaded();
    await cluster.coordinators[0]?.kill();
    const killedAt = running.results.length;
    await waitUntil('the load goes on', () => running.results.length > killedAt + 2_000, {
      timeoutMs: 60_000,
    });
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
    await cluster.startCoordinator();
    await waitUntil('the admin API is back', async () => (await client.hosts()).length === 2, {
      timeoutMs: 60_000,
    });
  });

  it('a frozen runner is replaced, and what it held is answered elsewhere', async () => {
    await servingWorkers(2);
    const running = await loaded();
    const victim = (await client.workers()).find(({ state }) => state === 'serving');
    process.kill(victim?.pid as number, 'SIGSTOP');
    await waitUntil('its host has ended it', () => !cluster.living().some(({ pid }) => pid === victim?.pid), {
      timeoutMs: 60_000,
    });
    await servingWorkers(2);
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
  });

  it('a restart of NATS, whose streams are in memory, costs no request within a deadline of 30 s', async () => {
    await servingWorkers(2);
    const running = await loaded(30_000);
    await cluster.nats.kill('SIGKILL');
    await cluster.nats.restart();
    const restartedAt = running.results.length;
    await waitUntil('the load goes on', () => running.results.length > restartedAt + 1_000, {
      timeoutMs: 60_000,
    });
    await servingWorkers(2);
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
  });

  it('Redis that is gone for a while is not noticed, and nobody is evicted when it is back', async () => {
    await servingWorkers(2);
    const running = await loaded();
    const pids = new Set((await client.workers()).map(({ pid }) => pid));
    await cluster.redis.kill('SIGKILL');
    const goneAt = running.results.length;
    await waitUntil('the load goes on', () => running.results.length > goneAt + 2_000, { timeoutMs: 60_000 });
    await cluster.redis.restart();
    await waitUntil('the hosts are listed again', async () => (await client.hosts()).length === 2, {
      timeoutMs: 60_000,
    });
    expect(new Set((await client.workers()).map(({ pid }) => pid))).to.deep.equal(pids);
    expect(summarize(await running.stop())).to.deep.include({ wrong: 0, errors: [] });
  });
});
