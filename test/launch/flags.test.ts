import { expect } from 'chai';
import { parseFlags } from '../../deploy/local/flags.mjs';
import { nodeVersionFault } from '../../deploy/local/node-version.mjs';

const run = (options: object) => ({
  kind: 'run',
  options: {
    once: false,
    json: false,
    gpu: false,
    yes: false,
    natsPort: undefined,
    redisPort: undefined,
    ...options,
  },
});

describe('flags of npm start', () => {
  const accepted: [string, string[], Record<string, string>, object][] = [
    ['none', [], {}, {}],
    ['--once and --json', ['--once', '--json'], {}, { once: true, json: true }],
    ['--gpu', ['--gpu'], {}, { gpu: true }],
    ['--yes', ['--yes'], {}, { yes: true }],
    ['--gpu where npm took it', [], { npm_config_gpu: 'true' }, { gpu: true }],
    [
      'ports, apart and with =',
      ['--nats-port', '4300', '--redis-port=6400'],
      {},
      { natsPort: 4300, redisPort: 6400 },
    ],
    [
      'switches that npm took (npm start --once --json)',
      [],
      { npm_config_once: 'true', npm_config_json: 'true' },
      { once: true, json: true },
    ],
    ['switches that npm was told are off', [], { npm_config_once: '', npm_config_json: 'false' }, {}],
    [
      'a port that npm took (npm start --nats-port=4300)',
      [],
      { npm_config_nats_port: '4300' },
      { natsPort: 4300 },
    ],
    [
      'a port that npm tore apart (npm start --nats-port 4300)',
      ['4300'],
      { npm_config_nats_port: 'true' },
      { natsPort: 4300 },
    ],
    ['the command line before npm', ['--redis-port', '1'], { npm_config_redis_port: '2' }, { redisPort: 1 }],
  ];
  for (const [title, argv, env, options] of accepted) {
    it(`takes ${title}`, () => expect(parseFlags(argv, env)).to.deep.equal(run(options)));
  }

  const refused: [string, string[], Record<string, string>, string][] = [
    [
      'an unknown flag, and names the nearest',
      ['--onec'],
      {},
      'flag "--onec" is not known: did you mean --once?',
    ],
    ['an unknown flag that is near to none', ['--frobnicate'], {}, 'flag "--frobnicate" is not known'],
    ['a loose word', ['now'], {}, 'argument "now" is not known'],
    [
      'a port without a number',
      ['--nats-port'],
      {},
      '--nats-port needs a port, for example --nats-port 4222',
    ],
    [
      'a port followed by a flag',
      ['--redis-port', '--once'],
      {},
      '--redis-port needs a port, for example --redis-port 6379',
    ],
    [
      'a port that is none',
      ['--nats-port=70000'],
      {},
      '--nats-port "70000" is not a port: a whole number from 1 to 65535',
    ],
    ['port 0', ['--nats-port=0'], {}, '--nats-port "0" is not a port: a whole number from 1 to 65535'],
    [
      'one port for both',
      ['--nats-port=5000', '--redis-port=5000'],
      {},
      '--nats-port and --redis-port are both 5000',
    ],
    ['a switch with a value', ['--once=no'], {}, '--once takes no value'],
    [
      'a port of our own NATS beside NATS_URL',
      ['--nats-port=5000'],
      { NATS_URL: 'nats://elsewhere:4222' },
      '--nats-port is for our own NATS, but NATS_URL names another server: leave one of them out',
    ],
    [
      'a port flag without its number through npm',
      [],
      { npm_config_redis_port: 'true' },
      'npm took --redis-port for a switch: write npm start -- --redis-port N',
    ],
  ];
  for (const [title, argv, env, message] of refused) {
    it(`refuses ${title}`, () => expect(parseFlags(argv, env)).to.deep.equal({ kind: 'wrong', message }));
  }

  it('gives help for --help and -h', () => {
    expect(parseFlags(['--help'], {})).to.deep.equal({ kind: 'help' });
    expect(parseFlags(['-h', '--once'], {})).to.deep.equal({ kind: 'help' });
  });
});

describe('the check of Node', () => {
  it('refuses what is older than 20.19, and says what to do', () => {
    expect(nodeVersionFault('18.20.4')).to.equal(
      'Troupe needs Node 20.19 or newer, and this is Node 18.20.4: install a newer one, then try again',
    );
    expect(nodeVersionFault('20.18.3')).to.be.a('string');
  });
  it('takes 20.19 and newer', () => {
    for (const version of ['20.19.0', '20.20.2', '22.0.0', '24.1.0-nightly'])
      expect(nodeVersionFault(version)).to.equal(undefined);
  });
});
