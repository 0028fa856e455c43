/** The hot path's own frames and header parsing, against the client library's and a real server. */

import type { Socket } from 'node:net';
import { expect } from 'chai';
import { connect, headers, type Msg, type NatsConnection } from 'nats';
import type { Parser } from 'nats/lib/nats-base-client/parser.js';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';
import { createFramePublisher, enclose } from '../../src/nats/frames.js';
import { headerText, presizeMessages, readDirectly } from '../../src/nats/library-reading.js';
import { frameSender, gatherFlushes } from '../../src/nats/library-sending.js';
import { MessageMemory } from '../../src/nats/message-memory.js';
import { connectNats } from '../../src/nats/nats-link.js';
import { headerBlock, headerLine, readWireHeaders } from '../../src/nats/wire-headers.js';

describe('frames', () => {
  let server: NatsServer;
  let nats: NatsConnection;
  const memory = new MessageMemory();
  const received: Msg[] = [];
  const unreadable: Error[] = [];

  async function takeDirectly(connection: NatsConnection): Promise<void> {
    readDirectly(connection, (error) => unreadable.push(error));
    await new Promise(setImmediate);
  }

  before(async () => {
    server = await startNats();
    nats = await connect({ servers: server.url });
    gatherFlushes(nats);
    presizeMessages(nats, memory);
    await takeDirectly(nats);
    nats.subscribe('to.>', { callback: (_, msg) => received.push(msg) });
    await nats.flush();
  });

  beforeEach(() => received.splice(0));

  after(async () => {
    await nats.close();
    await server.stop();
  });

  it('arrive as the library’s own publishes do, in order with them, headers in any script included', async () => {
    const frames = createFramePublisher(nats);
    const block = headerBlock(headerLine('Troupe-Sticky', 'gruß 東京') + headerLine('Troupe-Budget-Ms', 250));
    const big = Buffer.alloc(300_000, 7);
    nats.publish('to.before', 'x');
    frames.publish(
      { subject: 'to.one', reply: 'to.back', headers: block, payload: Buffer.from('abc') },
      'to.then',
    );
    frames.publish({ subject: 'to.größe', reply: '', headers: '', payload: big });
    nats.publish('to.after', 'y');
    await waitUntil('all are there', () => received.length === 5);
    expect(received.map(({ subject }) => subject)).to.deep.equal([
      'to.before',
      'to.one',
      'to.then',
      'to.größe',
      'to.after',
    ]);
    const [, one, then, two] = received as [Msg, Msg, Msg, Msg];
    expect(one.reply).to.equal('to.back');
    expect(one.string()).to.equal('abc');
    expect(one.headers?.get('Troupe-Sticky')).to.equal('gruß 東京');
    expect(readWireHeaders(one)).to.deep.include({ sticky: 'gruß 東京', budgetMs: 250, pinned: undefined });
    expect(then.data.length).to.equal(0);
    expect(Buffer.compare(two.data, big)).to.equal(0);
  });

  it('of any size arrive whole, before and after a reconnect, with room made for them once', async () => {
    const frames = createFramePublisher(nats);
    const sizes = [0, 1, 65_000, 65_536, 70_000, 131_072, 1_000_000, 700_001, 3];
    const parts = sizes.map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 31 + size) % 251));
    const sendAll = async () => {
      received.splice(0);
      for (const payload of parts) frames.publish({ subject: 'to.part', reply: '', headers: '', payload });
      await waitUntil('all are there', () => received.length === parts.length);
      for (const [index, { data }] of received.entries())
        expect(Buffer.compare(data, parts[index] as Uint8Array), `${sizes[index]} bytes`).to.equal(0);
    };
    await sendAll();
    const whole = received.find(({ data }) => data.length === 1_000_000)?.data.buffer.byteLength ?? 0;
    expect(whole, 'memory behind a message of a million bytes').to.be.below(1_300_000);
    await server.restart();
    await waitUntil('it is connected again', async () => nats.flush().then(() => true));
    await sendAll();
  });

  it('lie in the memory of earlier ones, where that was given back, and only then', async () => {
    const frames = createFramePublisher(nats);
    const sendOne = async (size: number) => {
      received.splice(0);
      const payload = Uint8Array.from({ length: size }, (_, at) => (at * 31 + size) % 251);
      frames.publish({ subject: 'to.part', reply: '', headers: '', payload });
      await waitUntil('it is there', () => received.length === 1);
      const { data } = received[0] as Msg;
      expect(Buffer.compare(data, payload), `${size} bytes`).to.equal(0);
      return data;
    };
    const first = await sendOne(500_000);
    const second = await sendOne(500_000);
    expect(second.buffer).not.to.equal(first.buffer);
    memory.giveBack(first);
    const third = await sendOne(499_000);
    expect(third.buffer).to.equal(first.buffer);
    expect((await sendOne(500_000)).buffer).not.to.be.oneOf([first.buffer, second.buffer]);
  });

  it('what a turn publishes in several awaited steps leaves in one write', async () => {
    const { transport } = (
      nats as unknown as { protocol: { transport: { send: (bytes: Uint8Array) => void } } }
    ).protocol;
    const send = transport.send.bind(transport);
    let writes = 0;
    transport.send = (bytes) => {
      writes += 1;
      send(bytes);
    };
    try {
      for (let step = 0; step < 5; step += 1) {
        nats.publish('to.step', String(step));
        await Promise.resolve();
        await Promise.resolve();
      }
      await waitUntil('all are there', () => received.length === 5);
      expect(writes).to.equal(1);
    } finally {
      transport.send = send;
    }
  });

  it('are parsed by a link in the turn in which the socket has them, also after a reconnect', async () => {
    const link = await connectNats({ servers: server.url, name: 'frames', namespace: 'frames' });
    const inTurn: boolean[] = [];
    link.connection.subscribe('by.whom', {
      callback: () => {
        inTurn.push(/Socket\.<anonymous> .*library-reading/.test(new Error('whose turn').stack ?? ''));
      },
    });
    const send = async (count: number) => {
      await new Promise(setImmediate); // it takes effect in a turn of its own
      link.connection.publish('by.whom', 'x');
      await waitUntil('it is there', () => inTurn.length === count);
    };
    await send(1);
    let again = false;
    link.onReconnect(() => {
      again = true;
    });
    await server.restart();
    await waitUntil('it is connected again', () => again);
    await send(2);
    await link.close();
    await waitUntil('the others are connected again', async () => nats.flush().then(() => true));
    expect(inTurn).to.deep.equal([true, true]);
  });

  it('keep their order while the way of reading them changes', async () => {
    const reader = await connect({ servers: server.url });
    const numbers: number[] = [];
    reader.subscribe('count', { callback: (_, msg) => numbers.push(Number(msg.string())) });
    await reader.flush();
    const count = 50_000;
    for (let next = 0; next < count; next += 1) nats.publish('count', String(next));
    await waitUntil('some are there', () => numbers.length > 0);
    readDirectly(reader, (error) => unreadable.push(error));
    await waitUntil('all are there', () => numbers.length === count);
    expect(numbers.every((number, index) => number === index)).to.equal(true);
    await reader.close();
  });

  it('that cannot be read end the connection, which comes again', async () => {
    await takeDirectly(nats);
    const { socket } = (nats as unknown as { protocol: { transport: { socket: Socket } } }).protocol
      .transport;
    const before = unreadable.length;
    socket.emit('data', Buffer.from('NONSENSE\r\n'));
    expect(unreadable).to.have.length(before + 1);
    expect(socket.destroyed).to.equal(true);
    await waitUntil('it is connected again', async () => nats.flush().then(() => true));
    nats.publish('to.again', 'x');
    await waitUntil('it is there', () => received.length === 1);
  });

  it('headers that the library wrote are read as the library reads them', async () => {
    const hdrs = headers();
    hdrs.append('Troupe-Reply', 'first');
    hdrs.append('Troupe-Reply', 'second');
    hdrs.set('troupe-id', 'wrong case');
    hdrs.set('Troupe-Done', '');
    hdrs.set('Inference-Header-Content-Length', '12x');
    hdrs.set('Foreign', 'a: b: c');
    hdrs.set('traceparent', '00-a-b-01');
    nats.publish('to.headers', 'x', { headers: hdrs });
    nats.publish('to.none', 'x');
    await waitUntil('both are there', () => received.length === 2);
    const found = readWireHeaders(received[0] as Msg);
    expect(found).to.deep.include({
      reply: 'first',
      done: undefined,
      requestId: undefined,
      traceparent: '00-a-b-01',
    });
    expect(found.jsonLength).to.satisfy(Number.isNaN);
    expect(readWireHeaders(received[1] as Msg).reply).to.equal(undefined);
  });

  it('the library still has what the shortcuts use, so that they are taken', async () => {
    expect(frameSender(nats)).to.not.equal(undefined);
    const hdrs = headers();
    hdrs.set('Troupe-Id', 'x');
    nats.publish('to.insides', 'payload', { headers: hdrs });
    await waitUntil('it is there', () => received.length === 1);
    const msg = received[0] as Msg & { _rdata?: unknown; _msg?: { hdr?: unknown } };
    expect(msg._rdata).to.be.instanceOf(Uint8Array);
    expect(msg._msg?.hdr).to.be.a('number');
    // Without them, the long way gives the same.
    const bare = { headers: msg.headers } as Msg;
    expect(headerText(bare)).to.equal(headerText(msg));
  });

  it('that came whole do not pass through the library’s parser', async () => {
    await takeDirectly(nats);
    await nats.flush();
    const { parser } = (nats as unknown as { protocol: { parser: Parser } }).protocol;
    const { parse } = parser;
    const parsed: Uint8Array[] = [];
    parser.parse = (bytes) => parsed.push(bytes);
    try {
      const hdrs = headers();
      hdrs.set('Troupe-Id', 'x');
      nats.publish('to.one', 'headed', { headers: hdrs });
      nats.publish('to.two', 'asked', { reply: 'to.nobody' });
      await waitUntil('both are there', () => received.length === 2);
      // JetStream's answers have two spaces in their lines.
      nats.publish('$JS.API.INFO', '', { reply: 'to.three' });
      await waitUntil('the answer is there', () => received.length === 3);
      expect(received[0]?.headers?.get('Troupe-Id')).to.equal('x');
      expect(received[1]?.reply).to.equal('to.nobody');
      expect(received[2]?.json()).to.include({ type: 'io.nats.jetstream.api.v1.account_info_response' });
      expect(parsed).to.deep.equal([]);
    } finally {
      parser.parse = parse;
    }
  });

  it('a value that would end its line is refused, a payload beyond the server’s limit too', () => {
    expect(() => headerLine('Troupe-Id', 'a\r\nTroupe-Reply: other')).to.throw('line break');
    const frame = { subject: 's', reply: '', headers: '', payload: new Uint8Array(101) };
    expect(() => enclose(frame, undefined, 100)).to.throw('MAX_PAYLOAD');
  });
});
