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
import { parseCandidate } from '../../deploy/local/apt.mjs';
import { SetupFault } from '../../deploy/local/fault.mjs';
import { natsConfig, natsEnvironment } from '../../deploy/local/nats-process.mjs';
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
  const onLinux = () => ({ ...quietContext(), path: bin, platform: 'linux' });
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
      ensureServers(['nats-server', 'redis-server'], { ...onLinux(), isRoot: false }),
    );
    const what = 'nats-server (2.9.10 or newer) and redis-server (7.0.0 or newer) missing';
    const own = 'or set NATS_URL and REDIS_URL to servers of your own';
    expect(fault.message).to.equal(
      `${what}, and there is no apt-get here: install them by your system's packages, ${own}`,
    );
    expect(fault.detail).to.equal(undefined);
    program('apt-get', 'exit 99');
    const without = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...onLinux(), isRoot: false }),
    );
    expect(without.message).to.equal(
      `${what}, and there is no right to install here: run \`sudo apt-get install nats-server redis-server\`, ${own}`,
    );
  });

  it('without a terminal and without --yes, sudo is not even tried', async () => {
    program('apt-get', 'exit 99');
    program('sudo', `: > ${folder}/sudo`);
    const fault = await faultOf(ensureServers(['nats-server'], { ...onLinux(), isRoot: false }));
    expect(fault.message).to.equal(
      'nats-server (2.9.10 or newer) missing, and nobody is here to be asked: run `sudo apt-get install ' +
        'nats-server`, start with --yes, or set NATS_URL to a server of your own',
    );
    expect(existsSync(join(folder, 'sudo'))).to.equal(false);
  });

  it('on a terminal the user is asked first, and a no is a no', async () => {
    program('apt-get', 'exit 99');
    program('sudo', `: > ${folder}/sudo`);
    const questions: string[] = [];
    const ask = async (question: string) => {
      questions.push(question);
      return false;
    };
    const fault = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...onLinux(), isRoot: false, ask }),
    );
    expect(questions).to.deep.equal(['Install nats-server and redis-server by sudo apt-get?']);
    expect(fault.message).to.include('missing: run `sudo apt-get install nats-server redis-server` yourself');
    expect(existsSync(join(folder, 'sudo'))).to.equal(false);
  });

  it('after a yes, sudo asks for its password on the terminal, once', async () => {
    tools('chmod', 'rm', 'env');
    // Knows the user only once it has asked him.
    program(
      'sudo',
      `printf "%s\\n" "$1" >> ${folder}/sudo
[ "$1" = -v ] && : > ${folder}/known && exit 0
[ -e ${folder}/known ] || exit 1
shift; exec "$@"`,
    );
    program('apt-get', `echo "$@" >> ${folder}/asked; exit 0`);
    const fault = await faultOf(
      ensureServers(['nats-server'], {
        ...onLinux(),
        isRoot: false,
        aptFolders: [],
        policyPath: join(folder, 'policy-rc.d'),
        ask: async () => true,
      }),
    );
    expect(fault.message).to.include("this system's packages are too old");
    expect(readFileSync(join(folder, 'sudo'), 'utf8')).to.match(/^-n\n-v\n-n\n/);
    expect(readFileSync(join(folder, 'asked'), 'utf8')).to.include('install -y');
  });

  const policy = (name: string, candidate: string) =>
    `${name}:\n  Installed: (none)\n  Candidate: ${candidate}\n  Version table:\n     ${candidate} 500`;

  it('a package that is too old, or that does not exist, is named before anything is installed', async () => {
    program('apt-get', `echo "$@" >> ${folder}/asked; exit 0`);
    program(
      'apt-cache',
      `[ "$1" = policy ] || exit 9; echo '${policy('nats-server', '2.9.10-1+b5')}
${policy('redis-server', '5:6.0.16-1ubuntu1')}'`,
    );
    const fault = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...onLinux(), isRoot: true }),
    );
    expect(fault.message).to.equal(
      "this system's package redis-server is 6.0.16, and Troupe needs 7.0.0 or newer; newer: Redis' own apt " +
        'repository, https://packages.redis.io; install from there, or set REDIS_URL to a server of your own',
    );
    expect(existsSync(join(folder, 'asked'))).to.equal(false);

    // Only the lists are fetched: without them there is no telling.
    program('apt-cache', `echo '${policy('nats-server', '(none)')}'`);
    const none = await faultOf(ensureServers(['nats-server'], { ...onLinux(), isRoot: true }));
    expect(none.message).to.equal(
      'this system has no package nats-server; newer: https://github.com/nats-io/nats-server/releases; install from ' +
        'there, or set NATS_URL to a server of your own',
    );
    expect(readFileSync(join(folder, 'asked'), 'utf8')).to.match(/^update [^\n]*\n$/);
  });

  it('reads the candidate of a package without its epoch and revision', () => {
    const output = `${policy('nats-server', '2.10.7-1')}\n${policy('redis-server', '5:7.0.15-1~deb12u5')}`;
    expect(parseCandidate('redis-server', output)).to.equal('7.0.15');
    expect(parseCandidate('nats-server', output)).to.equal('2.10.7');
    expect(parseCandidate('redis', output)).to.equal(undefined);
  });

  it('a service that was there before an upgrade stays as it was; one that the install has brought is not left', async () => {
    tools('chmod', 'rm', 'cat', 'sh');
    const systemd = join(folder, 'systemd');
    mkdirSync(systemd);
    // redis-server is a service of the user's already.
    program(
      'systemctl',
      `[ "$1" = cat ] && { [ "$2" = redis-server ]; exit $?; }; echo "$@" >> ${folder}/systemctl`,
    );
    const policyPath = join(folder, 'policy-rc.d');
    program(
      'apt-get',
      `for unit in nats-server redis-server; do ${policyPath} $unit restart; echo "$unit $?" >> ${folder}/policy; done`,
    );
    await faultOf(
      ensureServers(['nats-server', 'redis-server'], {
        ...onLinux(),
        isRoot: true,
        aptFolders: [],
        policyPath,
        systemdPath: systemd,
      }),
    );
    expect(readFileSync(join(folder, 'policy'), 'utf8')).to.equal('nats-server 101\nredis-server 0\n');
    expect(readFileSync(join(folder, 'systemctl'), 'utf8')).to.equal('disable --now nats-server\n');
    expect(existsSync(policyPath)).to.equal(false);
  });

  describe('on macOS', () => {
    const onMac = () => ({ ...quietContext(), path: bin, platform: 'darwin', brewFolders: [] });

    it('Homebrew installs what is missing, by its names of the formulas, and nothing is started', async () => {
      program('apt-get', `: > ${folder}/apt`);
      tools('cat', 'chmod');
      program(
        'brew',
        `echo "$@" >> ${folder}/brew
for name in nats-server redis-server; do
  printf '#!/bin/sh\necho nats-server: v2.11.0; echo Redis server v=8.0.1\n' > ${bin}/$name; chmod 755 ${bin}/$name
done`,
      );
      const servers = await ensureServers(['nats-server', 'redis-server'], onMac());
      expect(servers['redis-server']?.version).to.equal('8.0.1');
      expect(readFileSync(join(folder, 'brew'), 'utf8')).to.equal('install nats-server redis\n');
      expect(existsSync(join(folder, 'apt'))).to.equal(false);
    });

    it('without Homebrew, or where it fails, one line says what to do', async () => {
      const without = await faultOf(ensureServers(['redis-server'], onMac()));
      expect(without.message).to.equal(
        'redis-server (7.0.0 or newer) missing, and there is no Homebrew (https://brew.sh): install it and run ' +
          '`brew install redis`, or set REDIS_URL to a server of your own',
      );
      program('brew', "echo 'Error: No available formula with the name redis'; exit 1");
      const failed = await faultOf(ensureServers(['redis-server'], onMac()));
      expect(failed.message).to.include('and Homebrew could not install: No available formula with the name');
    });
  });

  it('--yes: a sudo that would ask for a password counts as no right', async () => {
    program('redis-server', 'echo "Redis server v=7.2.1 sha=0"');
    program('apt-get', 'exit 99');
    program('sudo', '[ "$1" = -n ] || exit 9; echo sudo: a password is required >&2; exit 1');
    const fault = await faultOf(
      ensureServers(['nats-server', 'redis-server'], { ...onLinux(), isRoot: false, yes: true }),
    );
    expect(fault.message).to.equal(
      'nats-server (2.9.10 or newer) missing, and there is no right to install here: run ' +
        '`sudo apt-get install nats-server`, or set NATS_URL to a server of your own',
    );
  });

  it('one that is too old is named with its version', async () => {
    program('nats-server', 'echo nats-server: v2.2.0');
    const fault = await faultOf(ensureServers(['nats-server'], { ...onLinux(), isRoot: false }));
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
      ...onLinux(),
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
        ...onLinux(),
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
    const fault = await faultOf(ensureServers(['redis-server'], { ...onLinux(), isRoot: true, policyPath }));
    expect(fault.message).to.equal(
      'redis-server (7.0.0 or newer) missing, and apt-get could not install: Failed to fetch it: Temporary failure ' +
        'resolving; install by hand, or set REDIS_URL to a server of your own',
    );
    expect(fault.detail).to.include('Reading lists');
    expect(existsSync(policyPath)).to.equal(false);
  });

  it('--yes: by sudo, apt-get runs without a question and with its settings on the command line', async () => {
    tools('chmod', 'rm', 'env');
    program('sudo', `[ "$1" = -n ] || exit 9; shift; echo "$@" >> ${folder}/sudo; exec "$@"`);
    program('apt-get', `echo "$DEBIAN_FRONTEND" >> ${folder}/frontend; exit 0`);
    const policyPath = join(folder, 'policy-rc.d');
    const fault = await faultOf(
      ensureServers(['nats-server'], {
        ...onLinux(),
        aptFolders: [],
        isRoot: false,
        yes: true,
        policyPath,
      }),
    );
    expect(fault.message).to.include("this system's packages are too old; newer: https://github.com/nats-io");
    expect(readFileSync(join(folder, 'frontend'), 'utf8')).to.equal('noninteractive\n');
    expect(readFileSync(join(folder, 'sudo'), 'utf8')).to.include('env DEBIAN_FRONTEND=noninteractive');
  });

  it('lets the server collect its memory seldom, up to half of what there is, on half of the cores, unless somebody has said otherwise', () => {
    const machine = { memoryBytes: 16 * 2 ** 30, cores: 8 };
    const own = { GOGC: '50', GOMAXPROCS: '3', GOMEMLIMIT: '1GiB' };
    expect(natsEnvironment({}, machine)).to.deep.equal({
      GOGC: '400',
      GOMAXPROCS: '4',
      GOMEMLIMIT: '8192MiB',
    });
    expect(natsEnvironment(own, machine)).to.deep.equal(own);
    for (const cores of [1, 2, 3]) expect(natsEnvironment({}, { cores }).GOMAXPROCS).to.equal('1');
    const { GOMAXPROCS, GOMEMLIMIT } = natsEnvironment({});
    expect(GOMAXPROCS).to.match(/^[1-9][0-9]*$/);
    expect(GOMEMLIMIT).to.match(/^[1-9][0-9]+MiB$/);
  });

  it('fsyncs every message where the server can be told to, and only there', () => {
    const settings = { port: 4222, dataFolder: '/a "b"', serverName: 'x' };
    expect(natsConfig({ ...settings, version: '2.9.10' })).to.not.include('sync_interval');
    expect(natsConfig({ ...settings, version: '2.10.0' })).to.include('sync_interval: always');
    expect(natsConfig({ ...settings, version: '2.10.0' })).to.include('store_dir: "/a \\"b\\""');
  });
});
