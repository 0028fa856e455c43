/** Bad input at both doors, as a plain NATS client and a careless admin send it; one cluster for all. */
import { Header, TroupeError } from '@troupe/shared';
import { expect } from 'chai';
import { waitUntil } from '../../../test/harness/wait-until.js';
import { TestCluster } from './simulated/test-cluster.js';

describe('the doors of a coordinator', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start({ deadlineMs: 2_000 });
    await cluster.startCoordinator('c1');
    const host = await cluster.startHost('h1');
    const stuck = await cluster.upload('never loads');
    host.stuck.add(stuck.digest);
    await cluster.register('iris', 'one');
    await cluster.admin('models', 'register', { name: 'stuck', ...stuck });
    await waitUntil('iris answers', async () => (await cluster.infer('iris')).body.model_version === '1');
  });
  after(() => cluster.stop());

  describe('for inference', () => {
    const good = '{"inputs":[]}';
    interface Case {
      readonly what: string;
      readonly path: string;
      readonly payload?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly reason: string;
      readonly code: string;
      readonly says?: string;
    }
    const cases: Case[] = [
      { what: 'an empty payload', path: 'iris', payload: '', reason: 'request.empty', code: '400' },
      { what: 'an array', path: 'iris', payload: '[1]', reason: 'request.shape', code: '400' },
      { what: 'a payload of blanks', path: 'iris', payload: '   ', reason: 'request.shape', code: '400' },
      {
        what: 'an unknown model',
        path: 'irsi',
        reason: 'model.unknown',
        code: '404',
        says: 'did you mean iris?',
      },
      { what: 'an unknown version', path: 'iris.9', reason: 'model.version_unknown', code: '404', says: '9' },
      {
        what: 'an unknown label',
        path: 'iris.canary',
        reason: 'model.label_unknown',
        code: '404',
        says: 'canary',
      },
      { what: 'version 0', path: 'iris.0', reason: 'request.name', code: '400' },
      { what: 'a huge version', path: 'iris.99999999999999999999', reason: 'request.name', code: '400' },
      { what: 'a label in capitals', path: 'iris.STABLE', reason: 'request.name', code: '400' },
      { what: 'too many tokens', path: 'iris.b.c.d', reason: 'model.name', code: '400', says: 'iris.b.c.d' },
      { what: 'a wildcard for a name', path: '*', reason: 'model.name', code: '400' },
      { what: 'a full wildcard for a label', path: 'iris.>', reason: 'request.name', code: '400' },
      { what: 'a name of 2 kB', path: 'x'.repeat(2_000), reason: 'model.name', code: '400', says: 'xxx...' },
      { what: 'a name with odd characters', path: 'ir$is', reason: 'model.name', code: '400' },
      {
        what: 'a JSON length beyond the payload',
        path: 'iris',
        headers: { [Header.InferenceLength]: '900' },
        reason: 'request.binary_length',
        code: '400',
        says: Header.InferenceLength,
      },
      {
        what: 'a JSON length that is no number',
        path: 'iris',
        headers: { [Header.InferenceLength]: 'many' },
        reason: 'request.binary_length',
        code: '400',
      },
      {
        what: 'a budget of 0',
        path: 'iris',
        headers: { [Header.BudgetMs]: '0' },
        reason: 'request.parameter',
        code: '400',
        says: Header.BudgetMs,
      },
      {
        what: 'a budget above 5 minutes',
        path: 'iris',
        headers: { [Header.BudgetMs]: '300001' },
        reason: 'request.parameter',
        code: '400',
      },
      {
        what: 'a budget that is no number',
        path: 'iris',
        headers: { [Header.BudgetMs]: '-5' },
        reason: 'request.parameter',
        code: '400',
      },
      {
        what: 'a request id with blanks',
        path: 'iris',
        headers: { [Header.RequestId]: 'a b' },
        reason: 'request.parameter',
        code: '400',
      },
      {
        what: 'a version that never loads',
        path: 'stuck',
        headers: { [Header.BudgetMs]: '100' },
        reason: 'request.deadline',
        code: '504',
        says: '100 ms',
      },
    ];
    for (const { what, path, payload, headers, reason, code, says } of cases) {
      it(`answers ${what} with ${reason}`, async () => {
        const answer = await cluster.infer(path, payload ?? good, headers === undefined ? {} : { headers });
        expect(answer.body).to.include({ reason });
        expect(answer.body).to.have.all.keys('error', 'class', 'reason');
        expect(answer.headers[Header.ServiceErrorCode]).to.equal(code);
        expect(answer.headers[Header.ServiceError]).to.be.a('string').and.not.equal('');
        if (says !== undefined) expect(answer.body.error).to.contain(says);
      });
    }

    it('hands the budget and the request id on, and answers good requests beside bad ones', async () => {
      const headers = { [Header.BudgetMs]: '1500', [Header.RequestId]: 'my-id' };
      const answers = await Promise.all([
        cluster.infer('iris', good, { headers }),
        ...Array.from({ length: 20 }, (_, index) => cluster.infer(index % 2 === 0 ? 'iris' : 'irsi')),
      ]);
      const [first, ...rest] = answers;
      expect(first?.body).to.include({ id: 'my-id' });
      expect(first?.body.budget_ms, 'less what passed meanwhile').to.be.within(1, 1_500);
      for (const [index, { body }] of rest.entries()) {
        if (index % 2 === 0) expect(body).to.include({ model_version: '1' });
        else expect(body).to.include({ reason: 'model.unknown' });
      }
    });

    it('drops a request that nobody awaits the answer of', async () => {
      cluster.bare.publish('troupe.infer.iris', good);
      await cluster.bare.flush();
      expect((await cluster.infer('iris')).body).to.include({ model_version: '1' });
    });
  });

  describe('for administration', () => {
    const digest = 'a'.repeat(64);
    const cases: [what: string, call: string, args: Record<string, unknown>, reason: string, says: string][] =
      [
        ['an unknown argument', 'models.list', { modle: 1 }, 'request.arguments', '"modle" is not known'],
        ['a mistyped argument', 'models.show', { modle: 'iris' }, 'request.arguments', 'did you mean model?'],
        ['a missing argument', 'models.show', {}, 'request.arguments', 'model is missing'],
        ['a bad name', 'models.show', { model: 'a.b' }, 'model.name', 'a.b'],
        ['an unknown model', 'models.show', { model: 'irsi' }, 'model.unknown', 'did you mean iris?'],
        [
          'a bad digest',
          'models.register',
          { name: 'a', digest: 'x', sizeBytes: 1 },
          'request.arguments',
          'digest',
        ],
        [
          'a size of 0',
          'models.register',
          { name: 'a', digest, sizeBytes: 0 },
          'request.arguments',
          'sizeBytes',
        ],
        [
          'a bad batch size',
          'models.register',
          { name: 'a', digest, sizeBytes: 1, batching: { maxBatchSize: 1.5 } },
          'request.arguments',
          'batching: maxBatchSize is 1.5',
        ],
        [
          'a bad golden case',
          'models.register',
          { name: 'a', digest, sizeBytes: 1, golden: [{ name: 'g', inputs: 3, outputs: [] }] },
          'model.golden',
          'g',
        ],
        [
          'a missing artifact',
          'models.register',
          { name: 'a', digest, sizeBytes: 1 },
          'artifact.missing',
          digest,
        ],
        [
          'a label without version',
          'models.label',
          { model: 'iris', label: 'x' },
          'request.arguments',
          'version',
        ],
        [
          'a label on an unknown version',
          'models.label',
          { model: 'iris', label: 'x', version: 7 },
          'model.version_unknown',
          '7',
        ],
        [
          'negative replicas',
          'models.replicas',
          { model: 'iris', replicas: -1 },
          'request.arguments',
          'replicas',
        ],
        [
          'deleting what a label names',
          'models.delete',
          { model: 'iris', version: 1 },
          'model.in_use',
          'stable',
        ],
        [
          'a retry of an unknown version',
          'models.retry',
          { model: 'iris', version: 7 },
          'model.version_unknown',
          '7',
        ],
        ['scaling an unknown host', 'hosts.scale', { host: 'h2', slots: 1 }, 'placement.host_unknown', 'h1'],
        ['too many events', 'events.list', { count: 1e9 }, 'request.arguments', 'count'],
      ];
    for (const [what, call, args, reason, says] of cases) {
      it(`refuses ${what} with ${reason}`, async () => {
        const [noun = '', verb = ''] = call.split('.');
        const error = await cluster.admin(noun, verb, args).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).to.be.instanceOf(TroupeError).and.have.property('reason', reason);
        expect((error as TroupeError).message).to.contain(says);
      });
    }

    it('answers a call with an empty payload, as a plain NATS client sends it', async () => {
      const message = await cluster.bare.request('troupe.admin.models.list', '');
      const { models } = JSON.parse(message.payload.toString()) as { models: { name: string }[] };
      expect(models.map((model) => model.name)).to.deep.equal(['iris', 'stuck']);
    });

    it('answers calls that are not a JSON object with a typed error', async () => {
      for (const payload of ['[1]', '{"a":', '3']) {
        const message = await cluster.bare.request('troupe.admin.models.list', payload);
        const { reason } = JSON.parse(message.payload.toString()) as { reason: string };
        expect(['request.arguments', 'request.json_syntax']).to.include(reason);
      }
    });

    it('is a NATS micro service', async () => {
      const message = await cluster.bare.request('$SRV.INFO.troupe-admin', '');
      const info = JSON.parse(message.payload.toString()) as { endpoints: { subject: string }[] };
      const subjects = info.endpoints.map((endpoint) => endpoint.subject);
      expect(subjects).to.include.members(['troupe.admin.models.register', 'troupe.admin.hosts.scale']);
    });

    it('shows hosts, workers, the leader, events and the audit', async () => {
      const { hosts } = (await cluster.admin('hosts', 'list')) as { hosts: Record<string, unknown>[] };
      expect(hosts[0]).to.include.keys('host', 'token', 'remainingMs', 'report');
      const { workers } = (await cluster.admin('workers', 'list')) as { workers: Record<string, unknown>[] };
      expect(workers[0]).to.include({ host: 'h1', model: 'iris', state: 'serving' });
      const info = (await cluster.admin('cluster', 'info')) as { leader: { owner: string } };
      expect(info.leader.owner).to.equal('c1');
      const { events } = (await cluster.admin('events', 'list', { count: 50 })) as {
        events: { kind: string }[];
      };
      const kinds = events.map((event) => event.kind);
      expect(kinds).to.include.members(['leader.elected', 'host.up', 'model.registered', 'route.changed']);
      const { entries } = (await cluster.admin('audit', 'list')) as { entries: { actor: string }[] };
      expect(entries[0]?.actor).to.equal('admin');
      const shown = (await cluster.admin('models', 'show', { model: 'iris' })) as {
        versions: { signature: { inputs: { name: string }[] } }[];
      };
      expect(shown.versions[0]?.signature.inputs[0]?.name).to.equal('x');
    });
  });
});
