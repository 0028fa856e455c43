/** Facts read from a real server: streams and consumers as declared compare equal, and clocks come from events. */
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import {
  connectNats,
  declareRecordStreams,
  declareWorkConsumer,
  type NatsLink,
  publishEvent,
  readEventClocks,
  readJetStream,
  readNatsServer,
  readRecordStreams,
  readWorkStreams,
} from '../../src/nats/index.js';

const limits = { queueLimit: 100, streamBytes: 1024 * 1024, ackWaitMs: 2_000 };

describe('the facts of a NATS server', () => {
  let server: NatsServer;
  let link: NatsLink;
  before(async () => {
    server = await startNats({ maxPayload: 2_000_000 });
    link = await connectNats({ servers: server.url, name: 'facts', namespace: 'facts' });
  });
  after(async () => {
    await link?.close();
    await server?.stop();
  });

  it('name its version and payload limit, and no limit that the account does not have', async () => {
    const facts = readNatsServer(link);
    expect(facts.version).to.match(/^\d+\.\d+/);
    expect(facts.maxPayloadBytes).to.equal(2_000_000);
    expect(await readJetStream(link)).not.to.have.any.keys('memoryLimitBytes', 'storageLimitBytes');
  });

  it('tell no difference where everything is as declared, and which stream is not there', async () => {
    const before = await readRecordStreams(link);
    expect(before.map(({ present }) => present)).to.deep.equal([false, false, false, false]);
    await declareRecordStreams(link);
    const records = await readRecordStreams(link);
    expect(records.map(({ stream, present }) => `${stream} ${present}`)).to.deep.equal([
      'FACTS_EVENTS true',
      'FACTS_DEAD true',
      'KV_FACTS_ROUTES true',
      'OBJ_FACTS_ARTIFACTS true',
    ]);
    expect(records.flatMap(({ differences }) => differences)).to.deep.equal([]);

    await declareWorkConsumer(link, 'iris', 1, limits);
    const [iris, ...others] = await readWorkStreams(link, limits, () => [limits.queueLimit]);
    expect(others).to.deep.equal([]);
    expect(iris).to.deep.equal({
      stream: 'FACTS_WORK_iris',
      model: 'iris',
      maxBytes: limits.streamBytes,
      messages: 0,
      queued: new Map(),
      differences: [],
      consumers: [{ name: 'v1', differences: [] }],
    });
  });

  it('tell what differs from other limits, durations in milliseconds', async () => {
    const [iris] = await readWorkStreams(link, { ...limits, ackWaitMs: 500 }, () => [7, 8]);
    expect(iris?.differences).to.deep.equal([
      { setting: 'max_msgs_per_subject', expected: '7 or 8', found: '100' },
    ]);
    expect(iris?.consumers[0]?.differences).to.deep.equal([
      { setting: 'ack_wait', expected: '500 ms', found: '2000 ms' },
    ]);
  });

  it("take a process' clock from its newest event, and nothing from what is no event", async () => {
    expect(await readEventClocks(link, 10)).to.deep.equal([]);
    const event = (source: string, aheadMs: number) =>
      link.connection.publish(
        link.subjects.event('host.lost'),
        JSON.stringify({ source, at: new Date(Date.now() + aheadMs).toISOString() }),
      );
    event('host/fast', 0);
    event('host/fast', 60_000);
    link.connection.publish(link.subjects.event('host.lost'), 'no event');
    publishEvent(link, { kind: 'host.lost', source: 'host/right', text: '', data: {} });
    await waitUntil('two clocks are known', async () => (await readEventClocks(link, 10)).length === 2);
    const [fast, right] = await readEventClocks(link, 10);
    expect(fast?.source).to.equal('host/fast');
    expect(fast?.offsetMs).to.be.within(30_000, 60_100);
    expect(right?.source).to.equal('host/right');
    expect(Math.abs(right?.offsetMs ?? Number.NaN)).to.be.below(30_000);
  });
});
