/** The true `npm start` of this clone. It needs the build, which `npm test` has made before it runs any test. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { declareEnds, type EndsContext } from './ends.js';
import { innerEnvironment, launchCluster } from './launched.js';

const root = resolve('.');
const sh = promisify(execFile);

describe('npm start', function () {
  this.timeout(240_000);

  before(function () {
    // Somebody's own cluster is running in this clone: its data is not ours to start on.
    if (existsSync('.troupe/cluster.json')) this.skip();
  });

  const context: EndsContext = { root: () => root, readyMs: 120_000, endMs: 45_000 };

  describe('leaves no process behind', () => {
    declareEnds(context);
  });

  it('prints a request for each door that works when pasted into another terminal', async () => {
    const launched = await launchCluster({ cwd: root, readyMs: context.readyMs });
    try {
      const doors = launched
        .output()
        .split('\n')
        .filter((line) => line.startsWith('    ') && !line.trimStart().startsWith('nats '));
      expect(doors.length).to.be.at.least(2);
      for (const door of doors) {
        const { stdout } = await sh('/bin/sh', ['-c', door], {
          cwd: '/',
          env: innerEnvironment(),
          timeout: 120_000,
        }).catch((error: object) => expect.fail(`${door}: ${JSON.stringify(error)}`));
        expect(stdout).to.match(/probabilities[\s\S]*0\.999/);
      }
    } finally {
      await launched.destroy();
    }
  });

  it('with --once --json prints exactly one line on standard output, and exits 0 after the proof', async () => {
    const child = spawn('npm', ['start', '--silent', '--', '--json', '--once'], {
      cwd: root,
      env: innerEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    const code = await new Promise((done) => child.once('close', done));
    expect(code).to.equal(0);
    expect(output.split('\n').length).to.equal(2);
    const line = JSON.parse(output);
    expect(Object.keys(line)).to.deep.equal(['ready', 'nats', 'redis', 'proof']);
    expect(line.proof).to.include({ model: 'iris', requests: 150 });
    expect(line.proof.accuracy).to.be.at.least(0.95);
    expect(existsSync('.troupe/cluster.json')).to.equal(false);
  });

  it('keeps the logs of its processes in the clone', () => {
    for (const name of ['nats', 'redis', 'coordinator', 'host'])
      expect(readFileSync(`.troupe/logs/${name}.log`, 'utf8')).to.be.a('string');
  });
});
