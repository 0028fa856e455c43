/** What every registry store guarantees: run on the one in Redis and on its memory twin. */
import {
  defaults,
  type LeaseStore,
  type ModelSettings,
  type NewModelVersion,
  type RegistryStore,
  type RolloutRecord,
} from '@troupe/shared';
import { expect } from 'chai';
import { reasonOf } from '../leases/lease-store-contract.js';

export interface RegistryFixture {
  readonly store: RegistryStore;
  /** The leases beside it: they give out the epochs that guard writes. */
  readonly leases: LeaseStore;
  /** A second store on the same records, as another process would have it. */
  another(): Promise<RegistryStore>;
  close(): Promise<void>;
}

const guard = { actor: 'admin' };

export function newVersion(digest: string, changes: Partial<NewModelVersion> = {}): NewModelVersion {
  return {
    digest: digest.padStart(64, '0'),
    sizeBytes: 4_000,
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'label', datatype: 'INT64', shape: undefined }],
    },
    batchable: true,
    batching: { maxBatchSize: 32, maxDelayMs: 0 },
    limits: {},
    golden: [],
    registeredAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}

export function registryStoreContract(open: () => Promise<RegistryFixture>): void {
  let fixture: RegistryFixture;
  let store: RegistryStore;

  beforeEach(async () => {
    fixture = await open();
    store = fixture.store;
  });
  afterEach(() => fixture.close());

  const register = (name: string, digest: string, settings: ModelSettings = {}) =>
    store.registerVersion(name, newVersion(digest), settings, guard);

  async function unchangedBy(what: () => Promise<unknown>): Promise<void> {
    const before = [await store.read(), await store.audit(1_000)];
    await what();
    expect([await store.read(), await store.audit(1_000)]).to.deep.equal(before);
  }

  describe('registration', () => {
    it('begins empty', async () => {
      expect(await store.read()).to.deep.equal({ revision: 0, models: {}, hostSettings: {} });
      expect(await store.revision()).to.equal(0);
      expect(await store.model('iris')).to.equal(undefined);
      expect(await store.audit(10)).to.deep.equal([]);
    });

    it('gives the first version number 1, the label stable and the default replicas', async () => {
      const { record, version, created } = await register('iris', 'a');
      expect(created).to.equal(true);
      expect(version).to.deep.equal(JSON.parse(JSON.stringify({ ...newVersion('a'), version: 1 })));
      expect(record).to.deep.equal({
        revision: 1,
        name: 'iris',
        versions: { 1: version },
        labels: { stable: 1 },
        replicas: defaults.replicas,
        latestVersion: 1,
      });
      expect(await store.model('iris')).to.deep.equal(record);
      expect((await store.read()).models).to.deep.equal({ iris: record });
    });

    it('numbers later versions on, leaves the labels alone, and takes new replicas where given', async () => {
      await register('iris', 'a');
      const { record } = await store.registerVersion('iris', newVersion('b'), { replicas: 5 }, guard);
      expect(Object.keys(record.versions)).to.deep.equal(['1', '2']);
      expect(record.labels).to.deep.equal({ stable: 1 });
      expect(record.replicas).to.equal(5);
      expect((await register('iris', 'c')).record.replicas).to.equal(5);
      expect((await register('other', 'a')).version.version).to.equal(1);
    });

    it('keeps every value as it was: empty lists and objects, large and small numbers, any text', async () => {
      const hard = newVersion('a', {
        sizeBytes: Number.MAX_SAFE_INTEGER,
        limits: {},
        batchableReason: 'ü "quoted" \\ \u2028 😀 {"revision":77}',
        golden: [
          {
            name: '{}',
            inputs: [{ name: 'x', datatype: 'FP64', shape: [], data: [] }],
            outputs: [{ name: 'y', datatype: 'FP64', shape: [3], data: [1e300, 5e-324, 0.1] }],
            absolute_tolerance: 1e-7,
          },
        ],
      });
      await store.registerVersion('iris', hard, {}, guard);
      const stored = (await store.model('iris'))?.versions['1'];
      expect(JSON.stringify(stored)).to.equal(JSON.stringify({ ...hard, version: 1 }));
    });

    it('finds the same content again instead of adding it, and writes nothing', async () => {
      const first = await register('iris', 'a');
      await register('iris', 'b');
      await unchangedBy(async () => {
        const again = await store.registerVersion(
          'iris',
          newVersion('a', { registeredAt: '2027-01-01T00:00:00.000Z', batchableReason: 'other' }),
          {},
          { ...guard, expectedRevision: 0 },
        );
        expect(again.created).to.equal(false);
        expect(again.version).to.deep.equal(first.version);
        expect(again.record.latestVersion).to.equal(2);
      });
    });

    it('finds the same content again whatever the order of its members', async () => {
      const limits = { runLimitMs: 1, queueLimit: 2 };
      const reversed = { queueLimit: 2, runLimitMs: 1 };
      await store.registerVersion('iris', newVersion('a', { limits }), {}, guard);
      const { created } = await store.registerVersion(
        'iris',
        newVersion('a', { limits: reversed }),
        {},
        guard,
      );
      expect(created).to.equal(false);
    });

    it('takes other batching, limits or golden cases for another version', async () => {
      await register('iris', 'a');
      const golden = [{ name: 'g', inputs: [], outputs: [] }];
      for (const changes of [
        { batching: { maxBatchSize: 1, maxDelayMs: 0 } },
        { limits: { runLimitMs: 5 } },
        { golden },
      ]) {
        const { created } = await store.registerVersion('iris', newVersion('a', changes), {}, guard);
        expect(created, JSON.stringify(changes)).to.equal(true);
      }
      expect((await store.model('iris'))?.latestVersion).to.equal(4);
    });

    it('numbers 50 concurrent registrations 1 to 50, each once, without losing one', async () => {
      const stores = [store, await fixture.another(), await fixture.another()];
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          (stores[index % 3] as RegistryStore).registerVersion('iris', newVersion(`${index}`), {}, guard),
        ),
      );
      const numbers = outcomes.map(({ version }) => version.version).sort((one, other) => one - other);
      expect(numbers).to.deep.equal(Array.from({ length: 50 }, (_, index) => index + 1));
      const record = await store.model('iris');
      expect(record?.revision).to.equal(50);
      expect(record?.latestVersion).to.equal(50);
      for (const { version } of outcomes) {
        expect(record?.versions[String(version.version)]).to.deep.equal(version);
      }
      expect((await store.audit(100)).map(({ revision }) => revision)).to.deep.equal(
        Array.from({ length: 50 }, (_, index) => index + 1),
      );
    });

    it('adds equal content once, however many register it at the same time', async () => {
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => register('iris', 'a')));
      expect(outcomes.filter(({ created }) => created)).to.have.length(1);
      expect(new Set(outcomes.map(({ version }) => version.version))).to.deep.equal(new Set([1]));
      expect(await store.revision()).to.equal(1);
    });

    it('refuses names that cannot be part of a subject, and counts that are none', async () => {
      for (const name of ['', 'a.b', 'a b', 'a*', '>', 'é', 'x'.repeat(64), '__proto__']) {
        expect(await reasonOf(register(name, 'a')), name).to.equal('model.name');
      }
      for (const replicas of [-1, 1.5, Number.NaN]) {
        const call = store.registerVersion('iris', newVersion('a'), { replicas }, guard);
        expect(await reasonOf(call), String(replicas)).to.equal('request.arguments');
      }
      expect(await store.revision()).to.equal(0);
    });

    it('keeps models called like members of every object', async () => {
      for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
        expect((await store.read()).models[name], name).to.equal(undefined);
        expect(await store.model(name), name).to.equal(undefined);
        expect((await register(name, 'a')).created, name).to.equal(true);
        expect((await store.read()).models[name]?.name).to.equal(name);
      }
    });
  });

  describe('labels', () => {
    beforeEach(async () => {
      await register('iris', 'a');
      await register('iris', 'b');
    });

    it('moves a label, adds others, and takes them away', async () => {
      expect((await store.setLabel('iris', 'stable', 2, guard)).labels).to.deep.equal({ stable: 2 });
      const two = await store.setLabel('iris', 'constructor', 1, guard);
      expect(two.labels).to.deep.equal({ stable: 2, constructor: 1 });
      expect((await store.setLabel('iris', 'stable', undefined, guard)).labels).to.deep.equal({
        constructor: 1,
      });
      expect((await store.model('iris'))?.labels).to.deep.equal({ constructor: 1 });
    });

    it('refuses a label on a version or model that is not there, and a label that is no name', async () => {
      await unchangedBy(async () => {
        expect(await reasonOf(store.setLabel('iris', 'canary', 3, guard))).to.equal('model.version_unknown');
        expect(await reasonOf(store.setLabel('rose', 'canary', 1, guard))).to.equal('model.unknown');
        expect(await reasonOf(store.setLabel('iris', 'Not a label', 1, guard))).to.equal('request.name');
        expect(await reasonOf(store.setLabel('iris', '1', 1, guard))).to.equal('request.name');
      });
    });

    it('writes nothing where the label is there already, or gone already', async () => {
      await unchangedBy(async () => {
        expect((await store.setLabel('iris', 'stable', 1, guard)).revision).to.equal(2);
        expect((await store.setLabel('iris', 'constructor', undefined, guard)).revision).to.equal(2);
      });
    });
  });

  describe('replicas, condemnations, host settings', () => {
    it('sets replicas, to none as well', async () => {
      await register('iris', 'a');
      expect((await store.setReplicas('iris', 7, guard)).replicas).to.equal(7);
      expect((await store.setReplicas('iris', 0, guard)).replicas).to.equal(0);
      await unchangedBy(async () => {
        expect((await store.setReplicas('iris', 0, guard)).replicas).to.equal(0);
        expect(await reasonOf(store.setReplicas('iris', -1, guard))).to.equal('request.arguments');
        expect(await reasonOf(store.setReplicas('rose', 1, guard))).to.equal('model.unknown');
      });
    });

    it('says when a model is in memory, and leaves the rest of it untouched', async () => {
      const { record } = await register('iris', 'a');
      expect(record.residency).to.equal(undefined);
      const pinned = await store.setResidency('iris', 'pinned', undefined, guard);
      expect(pinned).to.deep.equal({ ...record, revision: record.revision + 1, residency: 'pinned' });
      const idle = await store.setResidency('iris', 'on_demand', 5_000, guard);
      expect(idle).to.deep.include({ residency: 'on_demand', idleMs: 5_000 });
      await unchangedBy(async () => {
        expect(await store.setResidency('iris', 'on_demand', undefined, guard)).to.deep.equal(idle);
        expect(await reasonOf(store.setResidency('iris', 'always', 0, guard))).to.equal('request.arguments');
        expect(await reasonOf(store.setResidency('rose', 'always', 1, guard))).to.equal('model.unknown');
      });
      const next = await register('iris', 'b');
      expect(next.record).to.deep.include({ residency: 'on_demand', idleMs: 5_000 });
    });

    it('takes residency with a registration: what is loaded on demand is loaded once', async () => {
      const options = { residency: 'on_demand', idleMs: 700 } as const;
      const { record } = await register('iris', 'a', options);
      expect(record).to.deep.include({ ...options, replicas: 1 });
      const { record: two } = await register('rose', 'a', { ...options, replicas: 2 });
      expect(two.replicas).to.equal(2);
    });

    it('condemns a version and pardons it, and leaves the rest of it untouched', async () => {
      const { version } = await register('iris', 'a');
      const condemned = { cause: 'crashed on load', at: '2026-01-01T00:00:00.000Z' };
      const after = await store.setCondemned('iris', 1, condemned, guard);
      expect(after.versions['1']).to.deep.equal({ ...version, condemned });
      await unchangedBy(async () => {
        await store.setCondemned('iris', 1, condemned, guard);
        expect(await reasonOf(store.setCondemned('iris', 2, condemned, guard))).to.equal(
          'model.version_unknown',
        );
        expect(await reasonOf(store.setCondemned('rose', 1, condemned, guard))).to.equal('model.unknown');
      });
      const pardoned = await store.setCondemned('iris', 1, undefined, guard);
      expect(pardoned.versions['1']).to.deep.equal(version);
      expect(pardoned.versions['1']).not.to.have.property('condemned');
    });

    it('keeps settings of hosts, known or not', async () => {
      await store.setHostSettings('h1', { slots: 3 }, guard);
      await store.setHostSettings('constructor', { slots: 0 }, guard);
      await store.setHostSettings('h1', { slots: 4 }, guard);
      expect((await store.read()).hostSettings).to.deep.equal({
        h1: { slots: 4 },
        constructor: { slots: 0 },
      });
      await unchangedBy(async () => {
        await store.setHostSettings('h1', { slots: 4 }, guard);
        expect(await reasonOf(store.setHostSettings('a.b', { slots: 4 }, guard))).to.equal('config.invalid');
        expect(await reasonOf(store.setHostSettings('h1', { slots: 0.5 }, guard))).to.equal(
          'request.arguments',
        );
      });
    });
  });

  describe('rollouts', () => {
    const rollout: RolloutRecord = {
      number: 1,
      from: 1,
      to: 2,
      settings: {
        strategy: 'canary',
        steps: [{ percent: 5, holdMs: 1_000 }],
        bakeMs: 300_000,
        maxUnavailable: 0,
        maxCrashes: 3,
        allowGap: false,
        allowSignatureChange: false,
      },
      phase: 'staging',
      stepIndex: 0,
      paused: false,
      startedAt: '2026-01-01T00:00:00.000Z',
      phaseAt: '2026-01-01T00:00:00.000Z',
      actor: 'admin',
      story: [{ at: '2026-01-01T00:00:00.000Z', text: 'it began' }],
    };
    beforeEach(async () => {
      await register('iris', 'a');
      await register('iris', 'b');
    });

    it('keeps a step as it was written, and moves nothing that the step does not name', async () => {
      const before = await store.model('iris');
      const after = await store.changeRollout('iris', { rollout }, guard);
      expect(after).to.deep.equal({ ...before, revision: (before?.revision ?? 0) + 1, rollout });
      expect(await store.model('iris')).to.deep.equal(after);
      expect((await store.audit(1))[0]).to.include({ action: 'rollout_staging', subject: 'iris/2' });
    });

    it('moves stable and condemns in the same write as the step', async () => {
      await store.setLabel('iris', 'mine', 1, guard);
      const baking = { ...rollout, phase: 'baking' as const };
      const moved = await store.changeRollout('iris', { rollout: baking, stable: 2 }, guard);
      expect(moved.labels).to.deep.equal({ mine: 1, stable: 2 });
      const taken = { ...rollout, phase: 'rolled_back' as const };
      const condemn = { version: 2, cause: 'it is worse', at: '2026-01-02T00:00:00.000Z' };
      const back = await store.changeRollout('iris', { rollout: taken, stable: 1, condemn }, guard);
      expect(back.revision).to.equal(moved.revision + 1);
      expect(back.labels).to.deep.equal({ mine: 1, stable: 1 });
      expect(back.versions['2']?.condemned).to.deep.equal({ cause: condemn.cause, at: condemn.at });
      expect(back.versions['1']).not.to.have.property('condemned');
      expect(await store.model('iris')).to.deep.equal(back);
    });

    it('keeps the last rollout when a version is registered after it', async () => {
      await store.changeRollout('iris', { rollout: { ...rollout, phase: 'promoted' } }, guard);
      const { record } = await register('iris', 'c');
      expect(record.rollout?.phase).to.equal('promoted');
    });

    it('refuses a step for a model or version that is not there, at another revision, or of an old epoch', async () => {
      const record = await store.model('iris');
      const first = await fixture.leases.campaign('a', 60_000, 0);
      const old = first.kind === 'elected' ? first.epoch : 0;
      await fixture.leases.resign('a', old);
      await fixture.leases.campaign('b', 60_000, 0);
      await unchangedBy(async () => {
        const change = { rollout };
        const stale = { ...guard, expectedRevision: (record?.revision ?? 0) - 1 };
        const reasons = [
          store.changeRollout('rose', change, guard),
          store.changeRollout('iris', { rollout: { ...rollout, to: 9 } }, guard),
          store.changeRollout('iris', { rollout, stable: 9 }, guard),
          store.changeRollout('iris', { rollout, condemn: { version: 9, cause: 'x', at: 'y' } }, guard),
          store.changeRollout('iris', change, stale),
          store.changeRollout('iris', change, { ...guard, epoch: old }),
        ].map(reasonOf);
        expect(await Promise.all(reasons)).to.deep.equal([
          'model.unknown',
          'model.version_unknown',
          'model.version_unknown',
          'model.version_unknown',
          'registry.conflict',
          'epoch.stale',
        ]);
      });
    });

    it('lets one of two win that take a step from the same revision', async () => {
      const record = await store.model('iris');
      const other = await fixture.another();
      const step = { ...guard, expectedRevision: record?.revision ?? 0 };
      const reasons = await Promise.all(
        [store, other].map((one) => reasonOf(one.changeRollout('iris', { rollout }, step))),
      );
      expect(reasons.sort()).to.deep.equal(['not refused', 'registry.conflict']);
    });

    it('holds the versions of a rollout that is under way, and lets them go after it', async () => {
      await store.changeRollout('iris', { rollout, stable: 1 }, guard);
      expect(await reasonOf(store.deleteVersion('iris', 2, guard))).to.equal('model.in_use');
      await store.changeRollout('iris', { rollout: { ...rollout, phase: 'aborted' } }, guard);
      expect(Object.keys((await store.deleteVersion('iris', 2, guard)).versions)).to.deep.equal(['1']);
    });
  });

  describe('deletion', () => {
    beforeEach(async () => {
      await register('iris', 'a');
      await register('iris', 'b');
    });

    it('removes a version that no label names, and never gives its number out again', async () => {
      const record = await store.deleteVersion('iris', 2, guard);
      expect(Object.keys(record.versions)).to.deep.equal(['1']);
      expect(record.latestVersion).to.equal(2);
      expect((await register('iris', 'b')).version.version).to.equal(3);
    });

    it('refuses to remove a version that a label names, or that is not there', async () => {
      await unchangedBy(async () => {
        expect(await reasonOf(store.deleteVersion('iris', 1, guard))).to.equal('model.in_use');
        expect(await reasonOf(store.deleteVersion('iris', 9, guard))).to.equal('model.version_unknown');
        expect(await reasonOf(store.deleteVersion('rose', 1, guard))).to.equal('model.unknown');
      });
      await store.setLabel('iris', 'stable', undefined, guard);
      expect(Object.keys((await store.deleteVersion('iris', 1, guard)).versions)).to.deep.equal(['2']);
    });

    it('gives the next version the label stable where all were removed', async () => {
      await store.setLabel('iris', 'stable', undefined, guard);
      await store.deleteVersion('iris', 1, guard);
      expect((await store.deleteVersion('iris', 2, guard)).versions).to.deep.equal({});
      expect((await register('iris', 'c')).record.labels).to.deep.equal({ stable: 3 });
    });

    it('removes a model with all it had, once', async () => {
      expect(await store.deleteModel('iris', guard)).to.equal(true);
      expect(await store.model('iris')).to.equal(undefined);
      expect((await store.read()).models).to.deep.equal({});
      await unchangedBy(async () => {
        expect(await store.deleteModel('iris', guard)).to.equal(false);
        expect(await store.deleteModel('rose', guard)).to.equal(false);
        expect(await reasonOf(store.setReplicas('iris', 1, guard))).to.equal('model.unknown');
      });
    });

    it('lets a deleted model come back, with numbers and revisions that were never used', async () => {
      const before = await store.model('iris');
      await store.deleteModel('iris', guard);
      const call = store.registerVersion('iris', newVersion('a'), {}, { ...guard, expectedRevision: 0 });
      const { record, version, created } = await call;
      expect(created).to.equal(true);
      expect(version.version).to.equal(3);
      expect(record.labels).to.deep.equal({ stable: 3 });
      expect(record.replicas).to.equal(defaults.replicas);
      expect(record.revision).to.be.above(before?.revision ?? 0);
    });
  });

  describe('guards', () => {
    it('refuses a write at another revision than expected, and changes nothing', async () => {
      const { record } = await register('iris', 'a');
      const stale = { ...guard, expectedRevision: record.revision };
      const { revision } = await store.setReplicas('iris', 3, {
        ...guard,
        expectedRevision: record.revision,
      });
      expect(revision).to.equal(record.revision + 1);
      await unchangedBy(async () => {
        const condemned = { cause: 'x', at: 'y' };
        const writes = [
          store.registerVersion('iris', newVersion('b'), {}, stale),
          store.setLabel('iris', 'canary', 1, stale),
          store.setLabel('iris', 'stable', 1, stale),
          store.setReplicas('iris', 4, stale),
          store.setCondemned('iris', 1, condemned, stale),
          store.deleteModel('iris', stale),
          store.deleteModel('rose', stale),
          store.registerVersion('iris', newVersion('b'), {}, { ...guard, expectedRevision: 0 }),
          store.setHostSettings('h', { slots: 1 }, stale),
        ];
        for (const reason of await Promise.all(writes.map(reasonOf))) {
          expect(reason).to.equal('registry.conflict');
        }
      });
    });

    it('lets one of many writers win that expect the same revision', async () => {
      const { record } = await register('iris', 'a');
      const other = await fixture.another();
      const writes = Array.from({ length: 20 }, (_, index) =>
        reasonOf(
          (index % 2 === 0 ? store : other).setReplicas('iris', 10 + index, {
            ...guard,
            expectedRevision: record.revision,
          }),
        ),
      );
      const reasons = await Promise.all(writes);
      expect(reasons.filter((reason) => reason === 'not refused')).to.have.length(1);
      expect(reasons.filter((reason) => reason === 'registry.conflict')).to.have.length(19);
      expect((await store.model('iris'))?.revision).to.equal(record.revision + 1);
    });

    it('loses no change of many writers without an expected revision', async () => {
      await register('iris', 'a');
      const other = await fixture.another();
      const labels = Array.from({ length: 20 }, (_, index) => `label-${index}`);
      await Promise.all(
        labels.map((label, index) => (index % 2 === 0 ? store : other).setLabel('iris', label, 1, guard)),
      );
      expect(Object.keys((await store.model('iris'))?.labels ?? {})).to.have.members(['stable', ...labels]);
    });

    it('refuses every write of an epoch below the highest given out, and takes it from that epoch on', async () => {
      const first = await fixture.leases.campaign('a', 60_000, 0);
      const old = first.kind === 'elected' ? first.epoch : 0;
      await store.registerVersion('iris', newVersion('a'), {}, { ...guard, epoch: old });
      await fixture.leases.resign('a', old);
      const second = await fixture.leases.campaign('b', 60_000, 0);
      const epoch = second.kind === 'elected' ? second.epoch : 0;
      const stale = { ...guard, epoch: old };
      await unchangedBy(async () => {
        const writes = [
          store.registerVersion('iris', newVersion('b'), {}, stale),
          store.setLabel('iris', 'canary', 1, stale),
          store.setReplicas('iris', 9, stale),
          store.setReplicas('iris', defaults.replicas, stale),
          store.setCondemned('iris', 1, { cause: 'x', at: 'y' }, stale),
          store.deleteModel('iris', stale),
          store.setHostSettings('h', { slots: 1 }, stale),
        ];
        for (const reason of await Promise.all(writes.map(reasonOf))) expect(reason).to.equal('epoch.stale');
      });
      expect((await store.setReplicas('iris', 9, { ...guard, epoch })).replicas).to.equal(9);
      expect((await store.setReplicas('iris', 8, guard)).replicas, 'an admin has no epoch').to.equal(8);
    });
  });

  describe('revision and audit', () => {
    it('grows by one with every change and no other call, and audits each with who and what', async () => {
      const admin = { actor: 'admin' };
      const machine = { actor: 'coordinator/1' };
      const condemned = { cause: 'x', at: 'y' };
      await store.registerVersion('iris', newVersion('a'), {}, admin);
      await store.registerVersion('iris', newVersion('b'), {}, admin);
      await store.setLabel('iris', 'canary', 2, admin);
      await store.setLabel('iris', 'canary', undefined, admin);
      await store.setReplicas('iris', 9, admin);
      await store.setCondemned('iris', 2, condemned, machine);
      await store.setCondemned('iris', 2, undefined, admin);
      await store.deleteVersion('iris', 2, admin);
      await store.setHostSettings('h1', { slots: 1 }, machine);
      await store.deleteModel('iris', admin);
      await store.addStrike('S', 1);
      expect(await store.revision()).to.equal(10);
      expect((await store.read()).revision).to.equal(10);
      const audit = await store.audit(100);
      expect(
        audit.map(({ revision, actor, action, subject }) => [revision, actor, action, subject]),
      ).to.deep.equal([
        [1, 'admin', 'register_version', 'iris/1'],
        [2, 'admin', 'register_version', 'iris/2'],
        [3, 'admin', 'set_label', 'iris@canary'],
        [4, 'admin', 'remove_label', 'iris@canary'],
        [5, 'admin', 'set_replicas', 'iris'],
        [6, 'coordinator/1', 'condemn_version', 'iris/2'],
        [7, 'admin', 'pardon_version', 'iris/2'],
        [8, 'admin', 'delete_version', 'iris/2'],
        [9, 'coordinator/1', 'set_host_settings', 'h1'],
        [10, 'admin', 'delete_model', 'iris'],
      ]);
      for (const { at } of audit) expect(new Date(at).toISOString()).to.equal(at);
      expect(new Set(audit.map(({ id }) => id)).size).to.equal(10);
    });

    it('shows the newest entries, oldest first', async () => {
      for (const digest of ['a', 'b', 'c']) await register('iris', digest);
      expect((await store.audit(2)).map(({ subject }) => subject)).to.deep.equal(['iris/2', 'iris/3']);
      expect(await store.audit(0)).to.deep.equal([]);
    });
  });

  it('counts strikes for each message of each stream apart, until they are cleared', async () => {
    expect(await store.addStrike('S', 1)).to.equal(1);
    expect(await store.addStrike('S', 1)).to.equal(2);
    expect(await store.addStrike('S', 2)).to.equal(1);
    expect(await store.addStrike('T', 1)).to.equal(1);
    await store.clearStrikes('S', 1);
    await store.clearStrikes('S', 99);
    expect(await store.addStrike('S', 1)).to.equal(1);
    expect(await store.addStrike('S', 2)).to.equal(2);
    const many = await Promise.all(Array.from({ length: 10 }, () => store.addStrike('S', 3)));
    expect(many.sort((one, other) => one - other)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('hands out records that a caller may change without changing the registry', async () => {
    const { record } = await register('iris', 'a');
    Object.assign(record.labels, { mine: 1 });
    Object.assign((await store.read()).models, { rose: record });
    expect((await store.model('iris'))?.labels).to.deep.equal({ stable: 1 });
    expect(Object.keys((await store.read()).models)).to.deep.equal(['iris']);
  });

  it('refuses every call after it was closed, and can be closed again', async () => {
    await store.close();
    await store.close();
    const calls: Promise<unknown>[] = [
      store.read(),
      store.revision(),
      store.model('iris'),
      register('iris', 'a'),
      store.setLabel('iris', 'stable', 1, guard),
      store.setReplicas('iris', 1, guard),
      store.deleteModel('iris', guard),
      store.setHostSettings('h', { slots: 1 }, guard),
      store.audit(1),
      store.addStrike('S', 1),
      store.clearStrikes('S', 1),
    ];
    for (const reason of await Promise.all(calls.map(reasonOf))) expect(reason).to.equal('redis.unreachable');
  });
}
