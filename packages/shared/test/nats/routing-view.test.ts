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
});
