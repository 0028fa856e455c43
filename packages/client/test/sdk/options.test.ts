/** Options of connect() and infer(): where defaults come from, and what is refused. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEnvironment } from '@troupe/shared';
import { expect } from 'chai';
import {
  type ConnectOptions,
  checkConnectOptions,
  resolveConnectOptions,
} from '../../src/sdk/connect-options.js';
import { checkInferOptions, type InferOptions, resolveInferOptions } from '../../src/sdk/infer-options.js';
import { expectThrow } from '../expect-error.js';

describe('options of connect()', () => {
  let folder: string;
  let nested: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-options-'));
    nested = join(folder, 'a', 'b');
    mkdirSync(nested, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function writeCluster(content: string, at = folder): string {
    mkdirSync(join(at, '.troupe'), { recursive: true });
    const path = join(at, '.troupe', 'cluster.json');
    writeFileSync(path, content);
    return path;
  }

  const resolve = (options: ConnectOptions, variables: Record<string, string> = {}) =>
    checkConnectOptions(resolveConnectOptions(options, readEnvironment(variables), nested));

  it('servers come from the options, else NATS_URL, else the nearest cluster.json, else the usual address', () => {
    writeCluster('{"nats":"nats://outer:1"}');
    const inner = writeCluster('{"nats":"nats://inner:2"}', join(folder, 'a'));
    const environment = { NATS_URL: 'nats://environment:3' };
    expect(resolve({ servers: 'nats://option:4' }, environment)).to.include({ origin: 'the option servers' });
    expect(resolve({ servers: 'nats://option:4' }, environment).servers).to.deep.equal(['nats://option:4']);
    expect(resolve({}, environment)).to.deep.include({
      servers: ['nats://environment:3'],
      origin: 'NATS_URL',
    });
    expect(resolve({})).to.deep.include({ servers: ['nats://inner:2'], origin: inner });
    rmSync(inner);
    expect(resolve({}).servers).to.deep.equal(['nats://outer:1']);
    rmSync(join(folder, '.troupe'), { recursive: true });
    expect(resolve({})).to.deep.include({ servers: ['nats://127.0.0.1:4222'], origin: 'the default' });
  });

  it('the share of calls that may begin a trace comes from the options, else TROUPE_TRACE_SHARE, else it is all', () => {
    expect(resolve({}).traceShare).to.equal(1);
    expect(resolve({}, { TROUPE_TRACE_SHARE: '0.01' }).traceShare).to.equal(0.01);
    expect(resolve({ traceShare: 0 }, { TROUPE_TRACE_SHARE: '.5' }).traceShare).to.equal(0);
    for (const text of ['2', '-1', '1%', 'all', '1e-2'])
      expectThrow(
        () => resolve({}, { TROUPE_TRACE_SHARE: text }),
        'config.invalid',
        'TROUPE_TRACE_SHARE',
        text,
      );
  });

  it('the namespace comes from the options, else TROUPE_NAMESPACE, else the cluster.json, else troupe', () => {
    expect(resolve({}).namespace).to.equal('troupe');
    writeCluster('{"nats":"nats://h:1","namespace":"staging"}');
    expect(resolve({}).namespace).to.equal('staging');
    expect(resolve({}, { TROUPE_NAMESPACE: 'other' }).namespace).to.equal('other');
    expect(resolve({ namespace: 'mine' }, { TROUPE_NAMESPACE: 'other' }).namespace).to.equal('mine');
    expect(resolve({ servers: 'nats://h:2' }).namespace).to.equal('troupe');
  });

  it('several servers come as a list or separated by commas', () => {
    expect(resolve({ servers: 'nats://a:1, b:2' }).servers).to.deep.equal(['nats://a:1', 'b:2']);
    expect(resolve({ servers: ['nats://a:1', 'tls://b:2'] }).servers).to.deep.equal([
      'nats://a:1',
      'tls://b:2',
    ]);
  });

  it('a cluster.json that cannot be used is named, not passed over', () => {
    const path = writeCluster('{"nats"');
    expectThrow(() => resolve({}), 'config.invalid', path, 'not JSON');
    writeCluster('{"redis":"redis://h"}');
    expectThrow(() => resolve({}), 'config.invalid', path, '"nats"');
    writeCluster('null');
    expectThrow(() => resolve({}), 'config.invalid', path, '"nats"');
  });

  it('an address that is none is refused with its origin and without its password', () => {
    const error = expectThrow(
      () => resolve({}, { NATS_URL: 'http://me:secret@h:1' }),
      'config.invalid',
      'NATS_URL',
      'nats://host:port',
    );
    expect(error.message).not.to.include('secret');
    for (const servers of ['', [], ['nats://'], ' , ', [4 as never], 'nats://h:99999']) {
      expectThrow(() => resolve({ servers }), 'config.invalid', 'the option servers');
    }
  });

  it('each other option is checked, and misspelt ones are refused with the nearest name', () => {
    expectThrow(() => resolve({ connectTimeoutMs: 0 }), 'config.invalid', 'connectTimeoutMs');
    expectThrow(() => resolve({ connectTimeoutMs: 1.5 }), 'config.invalid', 'connectTimeoutMs');
    for (const traceShare of [-0.1, 1.1, Number.NaN, '1' as never])
      expectThrow(() => resolve({ traceShare }), 'config.invalid', 'traceShare');
    expectThrow(() => resolve({ namespace: 'Bad.Name' }), 'config.invalid', 'namespace');
    expectThrow(() => resolve({ name: '' }), 'config.invalid', 'name');
    expectThrow(
      () => resolve({ server: 'nats://h' } as never),
      'request.parameter',
      '"server"',
      'did you mean servers?',
    );
    expectThrow(() => resolve('nats://h:1' as never), 'request.parameter', 'an object');
    expect(resolve({})).to.include({ connectTimeoutMs: 5_000, name: 'troupe-client' });
  });
});

describe('options of infer()', () => {
  const check = (options: InferOptions) => checkInferOptions(resolveInferOptions(options));

  it('the deadline is 10 s and the id a new one, unless they are given', () => {
    expect(check({}).deadlineMs).to.equal(10_000);
    expect(check({}).id).not.to.equal(check({}).id);
    expect(check({ id: 'mine', deadlineMs: 5 })).to.include({ id: 'mine', deadlineMs: 5 });
  });

  it('the id on the wire is always a new one: a caller may use its own twice', () => {
    const [first, second] = [check({ id: 'mine' }), check({ id: 'mine' })];
    expect(first.requestId).not.to.equal(second.requestId);
  });

  it('a deadline outside of 1 to 300,000 ms is refused', () => {
    for (const deadlineMs of [0, -1, 1.5, 300_001, Number.NaN, Number.POSITIVE_INFINITY, '5' as never]) {
      expectThrow(() => check({ deadlineMs }), 'request.parameter', 'deadlineMs', '300000');
    }
    expect(check({ deadlineMs: 300_000 }).deadlineMs).to.equal(300_000);
  });

  it('version and label exclude each other, and each is checked', () => {
    expectThrow(() => check({ version: 1, label: 'stable' }), 'request.parameter', 'exclude');
    expectThrow(() => check({ version: 0 }), 'request.name', 'version');
    expectThrow(() => check({ version: 1.5 }), 'request.name', 'version');
    expectThrow(() => check({ label: 'No.Label' }), 'request.name', 'label');
  });

  it('outputs are a list of names, each once', () => {
    expectThrow(() => check({ outputs: 'y' as never }), 'request.parameter', 'outputs');
    expectThrow(() => check({ outputs: [1 as never] }), 'request.parameter', 'outputs');
    expectThrow(() => check({ outputs: [] }), 'request.parameter', 'outputs');
    expectThrow(() => check({ outputs: ['y', 'y'] }), 'request.output_duplicate', '"y"');
  });

  it('what goes into a header holds no control characters', () => {
    expectThrow(() => check({ sticky: 'a\r\nb' }), 'request.parameter', 'sticky');
    expectThrow(() => check({ sticky: '' }), 'request.parameter', 'sticky');
    expectThrow(() => check({ id: 'x'.repeat(257) }), 'request.parameter', 'id');
    expect(check({ sticky: 'Zoë' }).sticky).to.equal('Zoë');
  });

  it('a signal is an AbortSignal, and misspelt options are refused with the nearest name', () => {
    expectThrow(() => check({ signal: {} as never }), 'request.parameter', 'signal');
    expectThrow(() => check({ deadlineMS: 5 } as never), 'request.parameter', 'did you mean deadlineMs?');
    expectThrow(() => check({ timeout: 5 } as never), 'request.parameter', '"timeout"', 'deadlineMs');
  });
});
