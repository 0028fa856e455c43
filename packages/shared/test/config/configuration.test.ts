/** Settings from flags, environment and file: which goes first, what is refused, what is shown. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveConfiguration, settingCatalogue, type TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';

describe('the settings of a process', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryDirectory('config');
  });
  afterEach(() => removeDirectory(folder));

  const write = (content: unknown) =>
    writeFileSync(
      join(folder, 'troupe.config.json'),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
  function refusal(sources: Partial<Parameters<typeof resolveConfiguration>[0]> = {}): string {
    try {
      resolveConfiguration({ variables: {}, folder, ...sources });
    } catch (thrown) {
      expect((thrown as TroupeError).reason).to.equal('config.invalid');
      return (thrown as TroupeError).message;
    }
    throw new Error('not refused');
  }

  it('a flag goes before the environment, that before the file, that before the default', () => {
    write({ natsUrl: 'nats://file:1', redisUrl: 'redis://file:1', namespace: 'file', credits: 7 });
    const variables = { NATS_URL: 'nats://environment:1', TROUPE_NAMESPACE: 'environment', REDIS_URL: '' };
    const found = resolveConfiguration({ flags: { natsUrl: 'nats://flag:1' }, variables, folder });
    expect(found).to.include({ natsUrl: 'nats://flag:1', redisUrl: 'redis://file:1' });
    expect(found.cluster).to.include({ namespace: 'environment', credits: 7, ackWaitMs: 2_000 });
    expect(found.describe().split('\n')).to.include.members([
      'natsUrl = nats://flag:1  (flag --nats)',
      `redisUrl = redis://file:1  (redisUrl in ${join(folder, 'troupe.config.json')})`,
      'namespace = environment  (environment TROUPE_NAMESPACE)',
      'ackWaitMs = 2000  (default)',
      'logLevel = info  (default)',
      'natsUser is not set',
    ]);
  });

  it('without a file there are defaults, each of which is shown', () => {
    const found = resolveConfiguration({ variables: {}, folder });
    expect(found).to.include({ natsUrl: 'nats://127.0.0.1:4222', redisUrl: 'redis://127.0.0.1:6379' });
    const lines = found.describe().split('\n');
    expect(lines.map((line) => line.split(' ', 1)[0])).to.deep.equal(settingCatalogue.map(({ key }) => key));
  });

  it('a list of addresses in the file is one of NATS', () => {
    write({ natsUrl: ['nats://a:1', 'nats://b:2'] });
    expect(resolveConfiguration({ variables: {}, folder }).natsUrl).to.equal('nats://a:1,nats://b:2');
  });

  it('an unknown key is refused by name, with the nearest one', () => {
    write({ natUrl: 'nats://a:1' });
    expect(refusal()).to.match(/unknown key "natUrl".*did you mean natsUrl\?/);
  });

  it('a file that holds something else is refused without repeating what it holds', () => {
    for (const content of ['{ "natsPassword": "hidden"', [], { natsPassword: { text: 'hidden' } }]) {
      write(content);
      expect(refusal()).to.contain('troupe.config.json').and.not.contain('hidden');
    }
  });

  it('a wrong value is refused by where it came from', () => {
    write({ routeGraceMs: 'soon' });
    expect(refusal()).to.match(/^routeGraceMs in .*troupe\.config\.json="soon" is not allowed/);
    expect(refusal({ variables: { TROUPE_ROUTE_GRACE_MS: 'late' } })).to.match(
      /^TROUPE_ROUTE_GRACE_MS="late" is not allowed/,
    );
  });

  it('no secret is shown, wherever it stands', () => {
    const variables = {
      NATS_URL: 'nats://ann:hidden@a:1,nats://hidden@b:2',
      NATS_USER: 'ann',
      NATS_PASSWORD: 'hidden',
      REDIS_URL: 'rediss://:hid@den/hidden@c:3/1',
    };
    const shown = resolveConfiguration({ variables, folder }).describe();
    expect(shown).not.to.contain('hid');
    expect(shown).to.contain('nats://ann:********@a:1,nats://********@b:2');
    expect(resolveConfiguration({ variables: { NATS_TOKEN: 'hidden' }, folder }).describe()).not.to.contain(
      'hidden',
    );
  });

  it('credentials of two kinds at once, and a password without a user, are refused', () => {
    const two = refusal({ flags: { natsToken: 't' }, variables: { NATS_USER: 'ann', NATS_PASSWORD: 'p' } });
    expect(two).to.match(/^NATS_USER and --nats-token are given/);
    expect(refusal({ variables: { NATS_PASSWORD: 'hidden' } })).to.match(/^NATS_PASSWORD .*NATS_USER/);
  });
});
