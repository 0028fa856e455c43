import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SetupFault } from '../../deploy/local/fault.mjs';
import { natsConfig } from '../../deploy/local/nats-process.mjs';
import { findServer, isAtLeast, parseServerVersion, searchFolders } from '../../deploy/local/servers.mjs';
import { ensureServers } from '../../deploy/local/setup.mjs';
import { quietContext } from './set-up-context.js';

describe('finding the servers', () => {
  let folder: string;
  let bin: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-servers-'));
    bin = join(folder, 'bin');
    mkdirSync(bin);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** A program on the PATH. `tools`: programs that it may use itself. */
  const program = (name: string, script: string, where = bin) => {
    mkdirSync(where, { recursive: true });
    writeFileSync(join(where, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(where, name), 0o755);
  };
  const tools = (...names: string[]) => {
    for (const name of names) symlinkSync(`/bin/${name}`, join(bin, name));
  };
  const faultOf = async (work: Promise<unknown>) => {
    try {
      await work;
    } catch (error) {
      if (error instanceof SetupFault) return error;
      throw error;
    }
    throw new Error('there was no fault');
  };

  it('reads the versions that they print', () => {
    expect(parseServerVersion('nats-server', 'nats-server: v2.9.10\n')).to.equal('2.9.10');
    expect(parseServerVersion('nats-server', 'nats-server: v2.12.0-RC.2\n')).to.equal('2.12.0');
    const redis = 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n';
    expect(parseServerVersion('redis-server', redis)).to.equal('7.0.15');
    expect(parseServerVersion('redis-server', 'Illegal instruction')).to.equal(undefined);
  });

  it('compares versions by number, not by letter', () => {
    expect(isAtLeast('2.10.0', '2.9.10')).to.equal(true);
    expect(isAtLeast('2.9.9', '2.9.10')).to.equal(false);
    expect(isAtLeast('7.0.0', '7.0.0')).to.equal(true);
    expect(isAtLeast('6.2.99', '7.0.0')).to.equal(false);
  });

  it("looks on the PATH and in each bin's sbin, and nowhere else", () => {
    expect(searchFolders('/a/bin:/b:relative::/a/bin')).to.deep.equal(['/a/bin', '/b', '/a/sbin']);
  });

  it('takes the first one that is new enough', async () => {
    program('nats-server', 'echo nats-server: v2.2.0');
    program('nats-server', 'echo nats-server: v2.11.1', join(folder, 'sbin'));
    const found = await findServer('nats-server', searchFolders(bin), quietContext());
    expect(found).to.deep.equal({
      found: { name: 'nats-server', path: join(folder, 'sbin/nats-server'), version: '2.11.1' },
    });
  });

  it('a PATH that hides both, and no right to install, gets the one line that says what to do', async () => {
    const fault = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...quietContext(), path: bin, isRoot: false }),
    );
    expect(fault.message).to.equal(
      'nats-server (2.9.10 or newer) and redis-server (7.0.0 or newer) missing, and there is no right to install ' +
        'here: run `sudo apt-get install nats-server redis-server`, or set NATS_URL and REDIS_URL to servers of your own',
    );
    expect(fault.detail).to.equal(undefined);
  });

  it('a sudo that would ask for a password counts as no right', async () => {
    program('redis-server', 'echo "Redis server v=7.2.1 sha=0"');
    program('apt-get', 'exit 99');
    program('sudo', '[ "$1" = -n ] || exit 9; echo sudo: a password is required >&2; exit 1');
    const fault = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...quietContext(), path: bin, isRoot: false }),
    );
    expect(fault.message).to.equal(
      'nats-server (2.9.10 or newer) missing, and there is no right to install here: run ' +
        '`sudo apt-get install nats-server`, or set NATS_URL to a server of your own',
    );
  });

  it('one that is too old is named with its version', async () => {
    program('nats-server', 'echo nats-server: v2.2.0');
    const fault = await faultOf(
      ensureServers(['nats-server'], { ...quietContext(), path: bin, isRoot: false }),
    );
    expect(fault.message).to.include(`nats-server (2.9.10 or newer; ${bin}/nats-server is 2.2.0) missing`);
  });

  it('apt-get installs what is missing, starts no service by it, and leaves no trace of that', async () => {
    tools('chmod', 'rm', 'cat');
    const installed = join(folder, 'installed');
    const policy = join(folder, 'policy-rc.d');
    // Fails until the lists were updated, as on a fresh machine; notes what it was asked and what the policy says.
    program(
      'apt-get',
      `echo "$@" >> ${folder}/asked
if [ "$1" = update ]; then : > ${folder}/lists; exit 0; fi
[ -e ${folder}/lists ] || { echo 'E: Unable to locate package nats-server'; exit 100; }
cat ${policy} > ${folder}/policy-then
echo '#!/bin/sh
echo nats-server: v2.9.10' > ${installed}/nats-server; chmod 755 ${installed}/nats-server`,
    );
    mkdirSync(installed);
    const servers = await ensureServers(['nats-server'], {
      ...quietContext(),
      path: bin,
      aptFolders: [installed],
      isRoot: true,
      policyPath: policy,
    });
    expect(servers['nats-server']).to.deep.equal({
      name: 'nats-server',
      path: join(installed, 'nats-server'),
      version: '2.9.10',
    });
    const asked = readFileSync(join(folder, 'asked'), 'utf8').trimEnd().split('\n');
    expect(asked.map((line) => line.split(' ')[0])).to.deep.equal(['install', 'update', 'install']);
    expect(asked.at(-1)).to.match(/ nats-server$/);
    expect(readFileSync(join(folder, 'policy-then'), 'utf8')).to.include('exit 101');
    expect(existsSync(policy)).to.equal(false);
  });

  it("a policy of the machine's own is obeyed and kept", async () => {
    tools('chmod', 'rm');
    const policy = join(folder, 'policy-rc.d');
    writeFileSync(policy, 'its own');
    program('apt-get', 'exit 0');
    await faultOf(
      ensureServers(['nats-server'], {
        ...quietContext(),
        path: bin,
        aptFolders: [],
        isRoot: true,
        policyPath: policy,
      }),
    );
    expect(readFileSync(policy, 'utf8')).to.equal('its own');
  });

  it("an install that fails says so in one line, with apt-get's own reason", async () => {
    tools('chmod', 'rm');
    program(
      'apt-get',
      "echo 'Reading lists'; echo 'E: Failed to fetch it: Temporary failure resolving'; exit 100",
    );
    const policyPath = join(folder, 'policy-rc.d');
    const fault = await faultOf(
      ensureServers(['redis-server'], { ...quietContext(), path: bin, isRoot: true, policyPath }),
    );
    expect(fault.message).to.equal(
      'redis-server (7.0.0 or newer) missing, and apt-get could not install: Failed to fetch it: Temporary failure ' +
        'resolving; install by hand, or set REDIS_URL to a server of your own',
    );
    expect(fault.detail).to.include('Reading lists');
    expect(existsSync(policyPath)).to.equal(false);
  });

  it('by sudo, apt-get runs without a question and with its settings on the command line', async () => {
    tools('chmod', 'rm', 'env');
    program('sudo', `[ "$1" = -n ] || exit 9; shift; echo "$@" >> ${folder}/sudo; exec "$@"`);
    program('apt-get', `echo "$DEBIAN_FRONTEND" >> ${folder}/frontend; exit 0`);
    const policyPath = join(folder, 'policy-rc.d');
    const fault = await faultOf(
      ensureServers(['nats-server'], {
        ...quietContext(),
        path: bin,
        aptFolders: [],
        isRoot: false,
        policyPath,
      }),
    );
    expect(fault.message).to.include("this system's packages are too old");
    expect(readFileSync(join(folder, 'frontend'), 'utf8')).to.equal('noninteractive\n');
    expect(readFileSync(join(folder, 'sudo'), 'utf8')).to.include('env DEBIAN_FRONTEND=noninteractive');
  });

  it('fsyncs every message where the server can be told to, and only there', () => {
    const settings = { port: 4222, dataFolder: '/a "b"', serverName: 'x' };
    expect(natsConfig({ ...settings, version: '2.9.10' })).to.not.include('sync_interval');
    expect(natsConfig({ ...settings, version: '2.10.0' })).to.include('sync_interval: always');
    expect(natsConfig({ ...settings, version: '2.10.0' })).to.include('store_dir: "/a \\"b\\""');
  });
});
