/** Requests that were given up: listed, replayed and dropped through the admin API, on real servers. */
import { Header, type TroupeError } from '@troupe/shared';
import { condemnWorkMessage } from '@troupe/shared/nats';
import { expect } from 'chai';
import { waitUntil } from '../../../test/harness/wait-until.js';
import { TestCluster } from './simulated/test-cluster.js';

describe('dead letters', () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.stop());

  it('a condemned request is listed, replayed once it may succeed, and dropped', async () => {
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    await cluster.register('iris', 'one', { replicas: 1 });
    await waitUntil('iris answers', async () => (await cluster.infer('iris')).body.model_version === '1');
    expect(await cluster.admin('dead', 'list')).to.deep.equal({ letters: [] });

    const target = { model: 'iris', version: 1 };
    async function condemn(payload: string, headers: Readonly<Record<string, string>>): Promise<void> {
      host.holding = true;
      const before = host.held.length;
      const answer = cluster.infer('iris', payload, { headers });
      const message = await waitUntil('the host holds it', () => host.held[before]);
      const { streamSequence } = message.ref;
      await condemnWorkMessage(
        cluster.link,
        { ...target, streamSequence },
        'request.poison',
        'it ends runners',
      );
      expect((await answer).body).to.include({ reason: 'request.poison' });
      host.holding = false;
    }
    await condemn('{"inputs":[],"parameters":{"n":1}}', { [Header.RequestId]: 'first' });
    await condemn('{"inputs":[],"parameters":{"n":2}}', { [Header.RequestId]: 'second' });

    type Letters = { letters: Record<string, unknown>[] };
    const { letters } = (await cluster.admin('dead', 'list')) as Letters;
    expect(letters).to.have.lengthOf(2);
    expect(letters[0]).to.deep.include({
      ...{ sequence: 1, ...target, requestId: 'first', reason: 'request.poison' },
      ...{ text: 'it ends runners', sizeBytes: '{"inputs":[],"parameters":{"n":1}}'.length },
    });
    expect(letters[0]?.at).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    const newest = (await cluster.admin('dead', 'list', { count: 1 })) as Letters;
    expect(newest.letters.map((letter) => letter.sequence)).to.deep.equal([2]);
    expect(await cluster.admin('dead', 'list', { model: 'rose' })).to.deep.equal({ letters: [] });

    host.holding = true;
    const before = host.held.length;
    const outcome = { ...target, sequence: 1, requestId: 'first' };
    expect(await cluster.admin('dead', 'replay', { sequence: 1 })).to.deep.equal({
      ...outcome,
      replayed: true,
    });
    const again = await waitUntil('the host has it again', () => host.held[before]);
    expect(Buffer.from(again.payload).toString()).to.equal('{"inputs":[],"parameters":{"n":1}}');
    expect(again).to.include({ requestId: 'first', replyTo: undefined, doneTo: undefined });

    const dropped = { ...target, sequence: 2, requestId: 'second', dropped: true };
    const drops = await Promise.allSettled(
      [2, 2].map((sequence) => cluster.admin('dead', 'drop', { sequence })),
    );
    const won = drops.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const lost = drops.flatMap((one) => (one.status === 'rejected' ? [one.reason as TroupeError] : []));
    expect(won).to.deep.equal([dropped]);
    expect(lost.map((error) => error.reason)).to.deep.equal(['admin.not_found']);
    expect(await cluster.admin('dead', 'list')).to.deep.equal({ letters: [] });
    for (const verb of ['replay', 'drop']) {
      for (const sequence of [1, 2, 99]) {
        const refusal = await cluster.admin('dead', verb, { sequence }).catch((error: unknown) => error);
        expect(refusal, `${verb} ${sequence}`).to.include({ reason: 'admin.not_found' });
      }
    }
  });

  it('a dead letter of a version that nobody serves stays where it is', async () => {
    await cluster.startCoordinator('c1');
    await cluster.startHost('h1');
    const subject = cluster.link.subjects.dead('gone', 3);
    cluster.bare.publish(subject, '{"inputs":[]}');
    cluster.bare.publish('troupe.dead.not.a.letter', '');
    const list = async () => (await cluster.admin('dead', 'list')) as { letters: { sequence: number }[] };
    const [letter] = await waitUntil('it is kept', async () => {
      const { letters } = await list();
      return letters.length > 0 ? letters : undefined;
    });
    const sequence = letter?.sequence ?? 0;
    const refusal = await cluster.admin('dead', 'replay', { sequence }).catch((error: unknown) => error);
    expect(refusal).to.include({ reason: 'model.unknown' });
    expect((await list()).letters).to.have.lengthOf(1);
  });
});
