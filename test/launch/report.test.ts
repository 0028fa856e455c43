import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { computeFigures, labelOf, parseFlowers, quantile } from '../../deploy/local/figures.mjs';
import { formatDoors, formatJson, formatReport, proofFault, shellWord } from '../../deploy/local/report.mjs';

const proof = {
  model: 'iris',
  requests: 150,
  answered: 150,
  accuracy: 0.98,
  heldOutAccuracy: 0.96,
  heldOutCount: 50,
  p50Ms: 1.23456,
  p99Ms: 12.3456,
  batches: 20,
  inFlight: 64,
  rows: 150,
};
const facts = {
  root: "/home/u/my troupe's",
  addresses: { nats: 'nats://127.0.0.1:4223', redis: 'redis://127.0.0.1:6379', namespace: 'troupe' },
  natsIsOurs: true,
  redisIsOurs: true,
  hasNatsCli: false,
  hostName: 'box-1',
  devices: 'cpu:0,cpu:1',
  proof,
};

describe('the report of a start', () => {
  it('the line of --json has just the promised fields', () => {
    expect(formatJson(facts)).to.equal(
      '{"ready":true,"nats":"nats://127.0.0.1:4223","redis":"redis://127.0.0.1:6379","proof":{"model":"iris",' +
        '"requests":150,"accuracy":0.98,"held_out_accuracy":0.96,"p50_ms":1.235,"p99_ms":12.346}}',
    );
  });

  it('fits a terminal of 80 columns', () => {
    for (const line of formatReport(facts).split('\n')) expect(line.length).to.be.at.most(80);
  });

  it('names the devices', () => {
    expect(formatReport(facts)).to.include('box-1 with cpu:0 and cpu:1\n');
    expect(formatReport({ ...facts, devices: 'cuda:0' })).to.include('box-1 with cuda:0\n');
  });

  it('the proof fails for a missing answer or an accuracy below 0.95, and says which', () => {
    expect(proofFault(proof)).to.equal(undefined);
    expect(proofFault({ ...proof, accuracy: 0.9 })).to.equal(
      'the proof failed: accuracy 0.900 is below 0.95',
    );
    expect(proofFault({ ...proof, answered: 149, firstFault: 'TroupeError: why' })).to.equal(
      'the proof failed: 1 of 150 requests got no answer; the first fault: TroupeError: why',
    );
  });

  it('shows no password', () => {
    const addresses = { ...facts.addresses, nats: 'nats://u:secret@far:4222' };
    const text = formatReport({ ...facts, addresses }) + formatDoors({ ...facts, addresses });
    expect(text).to.not.include('secret');
    expect(text).to.include('--server "$NATS_URL"');
  });

  it('every request to copy is one line that a shell can parse, wherever the clone lies', () => {
    const doors = formatDoors(facts)
      .split('\n')
      .filter((line) => line.startsWith('    '));
    expect(doors.length).to.equal(4);
    for (const door of doors) execFileSync('/bin/sh', ['-n', '-c', door]);
    expect(
      execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(facts.root)}`], { encoding: 'utf8' }),
    ).to.equal(facts.root);
  });
});

describe('the figures of the proof', () => {
  const answer = (row: number, label: string, given: string | undefined, ms: number) => ({
    row,
    label,
    answer: given,
    ms,
  });

  it('count a missing answer as a wrong one, and held-out rows apart', () => {
    const answers = [
      answer(0, 'a', 'a', 1),
      answer(1, 'a', 'b', 2),
      answer(2, 'b', undefined, 99),
      answer(3, 'b', 'b', 3),
    ];
    const figures = computeFigures('m', answers, [2, 3]);
    expect(figures).to.deep.equal({
      model: 'm',
      requests: 4,
      answered: 3,
      accuracy: 0.5,
      heldOutAccuracy: 0.5,
      heldOutCount: 2,
      p50Ms: 2,
      p99Ms: 3,
    });
  });

  it('take quantiles by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([
      quantile(values, 0.5),
      quantile(values, 0.99),
      quantile([7], 0.99),
      quantile([], 0.5),
    ]).to.deep.equal([50, 99, 7, 0]);
  });

  it('take the largest output for the answer, and none for outputs of another length', () => {
    expect(labelOf([0.1, 0.7, 0.2], ['x', 'y', 'z'])).to.equal('y');
    expect(labelOf([], ['x'])).to.equal(undefined);
  });

  it('are over the 150 flowers of the bundled file', () => {
    const flowers = parseFlowers(readFileSync('deploy/models/iris/iris.csv', 'utf8'));
    expect(flowers.length).to.equal(150);
    expect(flowers[0]).to.deep.equal({ row: 0, features: [5.1, 3.5, 1.4, 0.2], label: 'setosa' });
    expect(new Set(flowers.map(({ label }) => label)).size).to.equal(3);
  });
});
