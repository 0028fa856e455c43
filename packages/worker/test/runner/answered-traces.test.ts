import { setTimeout as delay } from 'node:timers/promises';
import { type AnsweredRequest, createLog } from '@troupe/shared';
import { expect } from 'chai';
import { AnsweredTraces } from '../../src/runner/answered-traces.js';

const answered = (requestId: string): AnsweredRequest => ({
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  model: 'iris',
  version: 1,
  requestId,
  delivery: 1,
  degraded: false,
  arrivedAtMs: 1,
  answeredAtMs: 2,
  error: undefined,
});

describe('traces of answered requests', () => {
  const log = createLog('test', 'silent');
  let made: string[];
  let traces: AnsweredTraces;

  beforeEach(() => {
    made = [];
    traces = new AnsweredTraces(log, ({ requestId }) => made.push(requestId));
  });
  afterEach(() => traces.flush());

  it('are made a little later by themselves, in the order of the answers', async () => {
    traces.add(answered('a'));
    traces.add(answered('b'));
    expect(made).to.deep.equal([]);
    await delay(150);
    expect(made).to.deep.equal(['a', 'b']);
    traces.add(answered('c'));
    await delay(150);
    expect(made).to.deep.equal(['a', 'b', 'c']);
  });

  it('are made at once when 64 are gathered: no busy runner keeps more', () => {
    for (let index = 0; index < 130; index += 1) traces.add(answered(String(index)));
    expect(made.length).to.equal(128);
  });

  it('are all made by a flush, each once, and no timer is left', () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    traces.add(answered('a'));
    expect(timers()).to.equal(before + 1);
    traces.flush();
    expect(timers()).to.equal(before);
    traces.flush();
    expect(made).to.deep.equal(['a']);
  });

  it('are no matter of life and death: what throws costs its own span alone, and is said once', () => {
    const said: string[] = [];
    const heard = createLog('test', 'warn', { write: (line: string) => said.push(line) });
    const faulty = new AnsweredTraces(heard, ({ requestId }) => {
      if (requestId !== 'c') throw new Error("a span processor's fault");
      made.push(requestId);
    });
    for (const id of ['a', 'b', 'c']) faulty.add(answered(id));
    faulty.flush();
    expect(made).to.deep.equal(['c']);
    expect(said.length).to.equal(1);
    expect(said[0]).to.include("a span processor's fault");
  });
});
