/** How the command line finds its cluster and logs in: which source goes first, and what is shown of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { asTroupeError, type Variables } from '@troupe/shared';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';
import { type ClusterFlags, resolveClusterSettings } from '../../src/cli/cluster-settings.js';
import { runCli } from '../../src/cli/run-cli.js';

describe('the settings of the command line', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryDirectory('cli-settings');
  });
  afterEach(() => removeDirectory(folder));

  const write = (path: string, content: object) => {
    mkdirSync(join(folder, '.troupe'), { recursive: true });
    writeFileSync(join(folder, path), JSON.stringify(content));
  };
  const nothing = async () => new Uint8Array();
  const resolve = (flags: ClusterFlags = {}, variables: Variables = {}, read = nothing) =>
    resolveClusterSettings(flags, folder, read, variables);

  it('a flag goes before the environment, that before troupe.config.json, cluster.json and default', async () => {
    const seen: [string, string][] = [];
    const note = async (flags: ClusterFlags = {}, variables: Variables = {}) => {
      const { connection } = await resolve(flags, variables);
      seen.push([connection.servers.join(','), connection.namespace]);
    };
    await note();
    write('.troupe/cluster.json', { nats: 'nats://local:1', redis: 'redis://x', namespace: 'local' });
    await note();
    write('troupe.config.json', { natsUrl: ['nats://file:1', 'nats://file:2'], namespace: 'file' });
    await note();
    const variables = { NATS_URL: 'nats://environment:1', TROUPE_NAMESPACE: 'environment' };
    await note({}, variables);
    await note({ nats: 'nats://flag:1', namespace: 'flag' }, variables);
    expect(seen).to.deep.equal([
      ['nats://127.0.0.1:4222', 'troupe'],
      ['nats://local:1', 'local'],
      ['nats://file:1,nats://file:2', 'file'],
      ['nats://environment:1', 'environment'],
      ['nats://flag:1', 'flag'],
    ]);
  });

  it('each is shown with its origin, and no secret', async () => {
    write('.troupe/cluster.json', { nats: 'nats://local:1', namespace: 'local' });
    const { shown } = await resolve({ natsUser: 'ann' }, { NATS_PASSWORD: 'hidden' });
    const file = join(folder, '.troupe/cluster.json');
    expect(shown).to.deep.equal([
      { key: 'natsUrl', value: 'nats://local:1', origin: file },
      { key: 'natsUser', value: 'ann', origin: 'flag --nats-user' },
      { key: 'natsPassword', value: '********', origin: 'environment NATS_PASSWORD' },
      { key: 'natsToken' },
      { key: 'natsCreds' },
      { key: 'natsCa' },
      { key: 'namespace', value: 'local', origin: file },
    ]);
  });

  it('credentials come from all sources alike, and the password from a file or standard input', async () => {
    write('troupe.config.json', { natsUser: 'ann', natsCa: '/ca.pem' });
    const read = async () => Buffer.from('of the file\n');
    const { connection } = await resolve({ natsPasswordFile: '-' }, { NATS_PASSWORD: 'unused' }, read);
    expect(connection.access).to.deep.equal({ user: 'ann', password: 'of the file', caFile: '/ca.pem' });
    const two = await resolve({ natsToken: 't' }).catch(asTroupeError);
    expect(two)
      .to.have.property('message')
      .that.matches(/natsUser in .* and --nats-token are given/);
    const empty = await resolve({ natsPasswordFile: 'x' }).catch((thrown: Error) => thrown.message);
    expect(empty).to.include('"x" holds no password');
  });
});

describe('the command line at a server with users', () => {
  let nats: NatsServer;
  before(async () => {
    nats = await startNats({ config: 'authorization { user: ann, password: "of the test" }' });
  });
  after(() => nats.stop());

  async function run(args: readonly string[], stdin?: string) {
    let out = '';
    let err = '';
    const code = await runCli([...args, '--nats', nats.url], {
      ...(stdin === undefined ? {} : { stdin: Readable.from([Buffer.from(stdin)]) }),
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      signal: new AbortController().signal,
    });
    return { code, out, err };
  }

  it('logs in by user and password, whichever way the password is given', async () => {
    expect((await run(['doctor'])).err).to.include('[nats.unauthorized]');
    const ways: [string[], string?][] = [
      [['--nats-password', 'of the test']],
      [['--nats-password-file', '-'], 'of the test\n'],
    ];
    for (const [flags, stdin] of ways) {
      const { out, err } = await run(['doctor', '--nats-user', 'ann', ...flags], stdin);
      expect(err).to.equal('');
      expect(out).to.match(/client\.permissions +ok/);
    }
  });

  it('--print-config shows what would be used, behind a command and alone, and connects to nothing', async () => {
    for (const command of [['hosts'], []]) {
      const { code, out, err } = await run([...command, '--print-config', '--nats-token', 'hidden']);
      expect(err).to.equal('');
      expect(code).to.equal(0);
      expect(out)
        .to.include(`natsUrl = ${nats.url}  (flag --nats)\n`)
        .and.include('natsToken = ********  (flag --nats-token)\n');
    }
    const { out } = await run(['--print-config', '--json']);
    expect((JSON.parse(out) as { settings: object[] }).settings[0]).to.deep.equal({
      key: 'natsUrl',
      value: nats.url,
      origin: 'flag --nats',
    });
    expect((await run(['nonsense', '--print-config'])).code).to.equal(2);
  });

  it("the program's help names all settings, that of a command the most important ones", async () => {
    const [all, one] = [(await run(['--help'])).out, (await run(['hosts', '--help'])).out];
    for (const flag of ['--nats-user', '--nats-password-file', '--nats-creds', '--print-config']) {
      expect(all).to.include(flag);
      expect(one).to.not.include(flag);
    }
    expect(one).to.include('--nats <url>').and.include('--namespace');
  });
});
