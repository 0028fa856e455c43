/** `troupe doctor` and `client.doctor()`: what a client finds itself, what the cluster adds, and the exit code of it. */
import type { Finding } from '@troupe/shared';
import { expect } from 'chai';
import { freePort } from '../../../../test/harness/ports.js';
import { runCli } from '../../src/cli/run-cli.js';
import { connect } from '../../src/index.js';
import { type StandInCluster, startStandIn } from '../stand-in-cluster.js';

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: '', err: '' };
  const writer = (name: 'out' | 'err') => ({
    write: (text: string) => {
      texts[name] += text;
    },
  });
  const { signal } = new AbortController();
  const code = await runCli(['doctor', ...args], { stdout: writer('out'), stderr: writer('err'), signal });
  return { code, ...texts };
}

describe('troupe doctor', () => {
  let cluster: StandInCluster;
  let findings: unknown;
  before(async () => {
    cluster = await startStandIn();
    await cluster.serveAdmin({
      'cluster.info': () => Promise.resolve({}),
      'cluster.doctor': () => Promise.resolve({ findings }),
    });
  });
  after(() => cluster?.stop());
  const well: Finding = { check: 'redis.version', state: 'ok', found: 'Redis 7.0.15' };
  const fault: Finding = {
    check: 'redis.eviction',
    state: 'fault',
    found: `maxmemory-policy is allkeys-lru: ${'under pressure leases go '.repeat(4)}\u001b[2J`,
    advice: 'set it to noeviction',
  };

  it('shows its own findings and those of the cluster within 80 columns, and ends with 0 where none is a fault', async () => {
    findings = [well, { ...fault, state: 'warning' }];
    const { code, out, err } = await run('--nats', cluster.url);
    expect(code, err).to.equal(0);
    expect(err).to.equal('');
    const lines = out.split('\n');
    for (const line of lines) expect(line.length, line).to.be.at.most(80);
    expect(out).to.contain(cluster.url).and.to.contain('(from --nats)');
    expect(out).to.match(/client\.round_trip +ok/);
    expect(out).to.match(/client\.jetstream +ok/);
    expect(out).to.match(/redis\.version +ok +Redis 7/);
    expect(out).to.contain('-> set it to noeviction').and.to.contain('0 faults, 1 warning, 5 in order');
    expect(out).not.to.contain('\u001b');
  });

  it('ends with 1 where there is a fault; with --json the findings are one value', async () => {
    findings = [well, fault];
    const { code, out, err } = await run('--json', '--nats', cluster.url);
    expect(code).to.equal(1);
    expect(err).to.equal('');
    const answer = JSON.parse(out) as { findings: Finding[] };
    expect(answer.findings.map(({ check }) => check)).to.deep.equal([
      'client.address',
      'client.round_trip',
      'client.jetstream',
      'client.permissions',
      'redis.version',
      'redis.eviction',
    ]);
    expect(answer.findings.at(-1)).to.deep.equal(fault);
  });

  it('makes a finding of an answer that it does not know', async () => {
    findings = [{ check: 1 }];
    const { code, out } = await run('--nats', cluster.url);
    expect(code).to.equal(1);
    expect(out).to.match(/client\.coordinator +fault/);
  });

  it('ends with 3 where no coordinator listens, and tells what it saw on the way', async () => {
    const { code, out } = await run('--nats', cluster.url, '--namespace', 'other');
    expect(code).to.equal(3);
    expect(out).to.match(/client\.jetstream +ok/);
    expect(out).to.match(/client\.coordinator +fault/);
    expect(out).to.contain('"other"');
  });

  it('ends with 3 and one line where nothing answers', async () => {
    const url = `nats://127.0.0.1:${await freePort()}`;
    const { code, out, err } = await run('--nats', url);
    expect(code).to.equal(3);
    expect(out).to.equal('');
    expect(err).to.contain(url).and.to.contain('[nats.unreachable]');
  });

  it('stops at a server that says nothing any more, and tells so', async () => {
    const client = await connect({ servers: cluster.url });
    cluster.nats.freeze();
    try {
      const report = await client.doctor();
      expect(report.reached).to.equal(false);
      expect(report.findings.map(({ check, state }) => `${check} ${state}`)).to.deep.equal([
        'client.address ok',
        'client.round_trip fault',
      ]);
    } finally {
      cluster.nats.thaw();
      await client.close();
    }
  });

  it('is a method of the client as well', async () => {
    findings = [well];
    const client = await connect({ servers: cluster.url });
    try {
      const report = await client.doctor();
      expect(report.reached).to.equal(true);
      expect(report.findings.at(-1)).to.deep.equal(well);
    } finally {
      await client.close();
    }
  });
});
