/** The reader's side of the routing table while it reads everything again and changes come in between. */
import type { RoutingEntry } from '@troupe/shared';
import {
  connectNats,
  createRoutingPublisher,
  createRoutingView,
  declareRecordStreams,
  type NatsLink,
  type RoutingView,
} from '@troupe/shared/nats';
import { expect } from 'chai';
import { type NatsServer, startNats } from '../../../../test/harness/nats-server.js';
import { waitUntil } from '../../../../test/harness/wait-until.js';

const entryOf = (model: string, weight = 1): RoutingEntry => ({
  epoch: 1,
  model,
  labels: { stable: 1 },
  weights: [{ version: 1, weight }],
  versions: {},
});

describe('a routing view that reads everything again', () => {
  let server: NatsServer;
  let link: NatsLink;
  let view: RoutingView;
  const faults: unknown[] = [];

  before(async () => {
    server = await startNats();
    link = await connectNats({ servers: server.url, name: 'test', namespace: 'troupe' });
    await declareRecordStreams(link);
    view = await createRoutingView(link, (error) => faults.push(error));
  });
  after(async () => {
    await view?.close();
    await link?.close();
    await server?.stop();
  });

  it('neither forgets a model that came meanwhile, nor brings back a deleted or an older one', async () => {
    const publisher = createRoutingPublisher(link);
    const lost: string[] = [];
    const stop = view.onChange((model) => {
      if (model.startsWith('kept') && view.entry(model) === undefined) lost.push(model);
    });
    let done = false;
    const reading = (async () => {
      while (!done) await view.refresh();
    })();
    try {
      for (let index = 0; index < 60; index += 1) {
        await publisher.publish(entryOf(`kept-${index}`, 1));
        await publisher.publish(entryOf(`gone-${index}`));
        await publisher.publish(entryOf(`kept-${index}`, 2));
        await publisher.remove(`gone-${index}`, 1);
      }
    } finally {
      done = true;
      await reading;
      stop();
    }
    // No further reading puts right what went wrong: the next one by itself is seconds away.
    await waitUntil(
      'the last changes are seen',
      () => view.entry('kept-59')?.weights[0]?.weight === 2 && view.entry('gone-59') === undefined,
    );
    expect(lost).to.deep.equal([]);
    expect(view.models().sort()).to.deep.equal(
      Array.from({ length: 60 }, (_, index) => `kept-${index}`).sort(),
    );
    for (const model of view.models()) expect(view.entry(model)?.weights[0]?.weight, model).to.equal(2);
    expect(faults).to.deep.equal([]);
  });

  it('finds what it was not told of, and asks no more for it where there are many models than where there are few', async () => {
    const publisher = createRoutingPublisher(link);
    // A link that hears of no change: what a subscription missed while the server was away looks the same.
    const deaf: NatsLink = {
      ...link,
      connection: Object.create(link.connection, {
        subscribe: {
          value: (subject: string, options: object) => link.connection.subscribe(`deaf.${subject}`, options),
        },
      }) as NatsLink['connection'],
    };
    for (let index = 0; index < 100; index += 1) await publisher.publish(entryOf(`many-${index}`, 1));
    const deafView = await createRoutingView(deaf, (error) => faults.push(error));
    try {
      await publisher.publish(entryOf('many-3', 2));
      await publisher.publish(entryOf('many-3', 3));
      await publisher.remove('many-4', 1);
      await publisher.publish(entryOf('new', 1));
      expect(deafView.entry('many-3')?.weights[0]?.weight).to.equal(1);
      const before = link.connection.stats().outMsgs;
      await deafView.refresh();
      expect(deafView.entry('many-3')?.weights[0]?.weight).to.equal(3);
      expect(deafView.entry('many-4')).to.equal(undefined);
      expect(deafView.entry('new')?.weights[0]?.weight).to.equal(1);
      expect(deafView.entry('many-5')?.weights[0]?.weight).to.equal(1);
      await deafView.refresh();
      expect(link.connection.stats().outMsgs - before).to.be.lessThan(30);
    } finally {
      await deafView.close();
    }
    expect(faults).to.deep.equal([]);
  });

  it('reads everything where the bucket is another by the same name', async () => {
    const publisher = createRoutingPublisher(link);
    await publisher.publish(entryOf('before'));
    await waitUntil('it is seen', () => view.entry('before') !== undefined);
    const manager = await link.connection.jetstreamManager();
    await manager.streams.delete(`KV_${link.subjects.routesBucket}`);
    await declareRecordStreams(link);
    // A fresh publisher: it declares the bucket again.
    await createRoutingPublisher(link).publish(entryOf('after'));
    await view.refresh();
    expect(view.models()).to.deep.equal(['after']);
  });
});
