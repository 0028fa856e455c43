/** The way of a rollout, as a table: what is seen in each phase, and which step follows. */
import { type RolloutPhase, type RolloutRecord, RolloutStrategy, storyLines } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { decideStep, type RolloutView } from '../../src/rollout/rollout-step.js';
import { at, inRollout, settings, view } from './rollout-fixture.js';

interface Row {
  readonly title: string;
  readonly now: Partial<RolloutRecord>;
  /** Where the label is, if not where the phase has it. */
  readonly stable?: number;
  readonly sees: Partial<RolloutView>;
  /** Phase and index of the next step; `undefined` where there is none. */
  readonly next:
    | { readonly phase: RolloutPhase; readonly stepIndex?: number; readonly stable?: number }
    | undefined;
  readonly cause?: string;
  readonly condemned?: true;
}

const crash = { host: 'h1', device: 'cpu:0', kind: 'crash', cause: 'it died 4 times' } as const;
const broken = { ...crash, kind: 'candidate', cause: 'it does not load' } as const;
const immediate = {
  ...settings,
  strategy: RolloutStrategy.Immediate,
  steps: [{ percent: 25, holdMs: 500 }],
};
const shadow = { ...settings, strategy: RolloutStrategy.Shadow, steps: [] };
const finding = { kind: 'evidence', text: 'half of the requests failed' } as const;
const back = { phase: 'rolled_back', stable: 1 } as const;

const table: readonly Row[] = [
  { title: 'staging, no worker has a place', now: {}, sees: { needed: 0, ready: 0 }, next: undefined },
  { title: 'staging, one of two workers serves', now: {}, sees: { ready: 1 }, next: undefined },
  { title: 'staging, all serve', now: {}, sees: {}, next: { phase: 'canary', stepIndex: 0 } },
  { title: 'staging, all serve, paused', now: { paused: true }, sees: {}, next: undefined },
  {
    title: 'staging, immediate, all serve',
    now: { settings: immediate },
    sees: {},
    next: { phase: 'canary', stepIndex: 0 },
  },
  {
    title: 'the first moment of an immediate one is over',
    now: { phase: 'canary', settings: immediate },
    sees: { heldMs: 500 },
    next: { phase: 'baking', stable: 2 },
  },
  {
    title: 'the first moment of an immediate one without a bake time is over',
    now: { phase: 'canary', settings: { ...immediate, bakeMs: 0 } },
    sees: { heldMs: 500 },
    next: { phase: 'promoted', stable: 2 },
  },
  {
    title: 'staging, immediate with a gap, all serve',
    now: { gap: true, settings: immediate },
    sees: {},
    next: { phase: 'baking', stable: 2 },
  },
  {
    title: 'staging, a canary whose first step is all',
    now: { settings: { ...settings, steps: [{ percent: 100, holdMs: 0 }] } },
    sees: {},
    next: { phase: 'baking', stable: 2 },
  },
  {
    title: 'shadow, all serve for a moment',
    now: { settings: shadow },
    sees: { heldMs: 4_999 },
    next: undefined,
  },
  {
    title: 'shadow, all served for the bake time',
    now: { settings: shadow },
    sees: { heldMs: 5_000 },
    next: { phase: 'promoted' },
  },
  {
    title: 'staging, a worker cannot load it',
    now: {},
    sees: { ready: 1, verdicts: [broken] },
    next: back,
    cause: 'candidate',
    condemned: true,
  },
  {
    title: 'staging, a worker cannot load it, paused',
    now: { paused: true },
    sees: { verdicts: [broken] },
    next: back,
    cause: 'candidate',
    condemned: true,
  },
  { title: 'staging, the label was moved by hand', now: {}, stable: 7, sees: {}, next: { phase: 'aborted' } },
  {
    title: 'canary, the step is not over',
    now: { phase: 'canary' },
    sees: { heldMs: 999 },
    next: undefined,
  },
  {
    title: 'canary, the step is over',
    now: { phase: 'canary' },
    sees: { heldMs: 1_000 },
    next: { phase: 'canary', stepIndex: 1 },
  },
  {
    title: 'canary, the step is over, paused',
    now: { phase: 'canary', paused: true },
    sees: { heldMs: 9_000 },
    next: undefined,
  },
  {
    title: 'canary, the step is over, a worker restarts',
    now: { phase: 'canary' },
    sees: { heldMs: 9_000, ready: 1 },
    next: undefined,
  },
  {
    title: 'canary, the last step is over',
    now: { phase: 'canary', stepIndex: 1 },
    sees: { heldMs: 2_000 },
    next: { phase: 'baking', stable: 2 },
  },
  {
    title: 'canary, evidence',
    now: { phase: 'canary' },
    sees: { finding },
    next: back,
    cause: 'evidence',
    condemned: true,
  },
  {
    title: 'canary, requests fail since runners die',
    now: { phase: 'canary' },
    sees: { finding: { kind: 'crash', text: '2 runners of it died' } },
    next: back,
    cause: 'crash',
    condemned: true,
  },
  {
    title: 'canary, evidence, paused',
    now: { phase: 'canary', paused: true },
    sees: { finding },
    next: back,
    cause: 'evidence',
    condemned: true,
  },
  {
    title: 'canary, a worker died too often',
    now: { phase: 'canary' },
    sees: { verdicts: [crash], finding },
    next: back,
    cause: 'crash',
    condemned: true,
  },
  {
    title: 'canary, the label was moved',
    now: { phase: 'canary' },
    stable: 2,
    sees: {},
    next: { phase: 'aborted' },
  },
  { title: 'baking, not long enough', now: { phase: 'baking' }, sees: { heldMs: 4_999 }, next: undefined },
  {
    title: 'baking, long enough',
    now: { phase: 'baking' },
    sees: { heldMs: 5_000 },
    next: { phase: 'promoted' },
  },
  {
    title: 'baking, long enough, a worker restarts',
    now: { phase: 'baking' },
    sees: { heldMs: 5_000, ready: 1 },
    next: undefined,
  },
  {
    title: 'baking, evidence',
    now: { phase: 'baking' },
    sees: { finding, heldMs: 5_000 },
    next: back,
    cause: 'evidence',
    condemned: true,
  },
  {
    title: 'baking, a worker died too often',
    now: { phase: 'baking' },
    sees: { verdicts: [crash] },
    next: back,
    cause: 'crash',
    condemned: true,
  },
  {
    title: 'baking, the label was moved',
    now: { phase: 'baking' },
    stable: 1,
    sees: {},
    next: { phase: 'aborted' },
  },
  {
    title: 'promoted, and its host condemned it in the same moment',
    now: { phase: 'promoted' },
    sees: { verdicts: [crash] },
    next: back,
    cause: 'crash',
    condemned: true,
  },
  {
    title: 'promoted, condemned late, with nothing to go back to',
    now: { phase: 'promoted', from: 9 },
    sees: { verdicts: [crash] },
    next: undefined,
  },
  {
    title: 'promoted as a shadow, condemned late',
    now: { phase: 'promoted', settings: shadow },
    stable: 1,
    sees: { verdicts: [crash] },
    next: undefined,
  },
  { title: 'promoted, all is well', now: { phase: 'promoted' }, sees: { heldMs: 9_000 }, next: undefined },
  {
    title: 'rolled back',
    now: { phase: 'rolled_back' },
    sees: { verdicts: [crash], finding },
    next: undefined,
  },
  { title: 'aborted', now: { phase: 'aborted' }, sees: { verdicts: [crash], finding }, next: undefined },
];

describe('the next step of a rollout', () => {
  for (const { title, now, stable, sees, next, cause, condemned } of table) {
    it(`${title}: ${next === undefined ? 'stays' : next.phase}`, () => {
      const decision = decideStep(inRollout(now, stable), view(sees), at);
      if (next === undefined) {
        expect(decision).to.equal(undefined);
        return;
      }
      const { change, event } = decision ?? {};
      expect(change?.rollout.phase).to.equal(next.phase);
      expect(change?.rollout.stepIndex).to.equal(next.stepIndex ?? change?.rollout.stepIndex);
      expect(change?.stable).to.equal(next.stable);
      expect(change?.rollout.cause?.kind).to.equal(cause);
      expect(change?.condemn?.version).to.equal(condemned === undefined ? undefined : 2);
      expect(change?.rollout.story.at(-1)?.at).to.equal(at);
      expect(event?.text).to.contain(change?.rollout.story.at(-1)?.text);
      expect(event?.data).to.include({ model: 'ash', to: 2, phase: next.phase });
    });
  }

  it('keeps stable’s figures at the hand-over, and the evidence of a rollback', () => {
    const evidence = {
      candidate: { requests: 60, errors: 20 },
      stable: { requests: 900, errors: 0, p99Ms: 2, samples: 900 },
      crashes: 1,
    };
    const handed = decideStep(
      inRollout({ phase: 'canary', settings: immediate }),
      view({ evidence, heldMs: 500 }),
      at,
    );
    expect(handed?.change.rollout.baseline).to.deep.equal(evidence.stable);
    const taken = decideStep(inRollout({ phase: 'baking' }), view({ evidence, finding }), at);
    expect(taken?.change.rollout.evidence).to.deep.equal(evidence);
    expect(taken?.change.condemn).to.deep.equal({ version: 2, cause: finding.text, at });
  });

  it('moves stable only with the hand-over and with the way back, never forward from an end (R1, R4)', () => {
    const arbitraryView = fc.record({
      needed: fc.integer({ min: 0, max: 3 }),
      ready: fc.integer({ min: 0, max: 3 }),
      verdicts: fc.subarray([crash, broken]),
      finding: fc.constantFrom(undefined, finding),
      heldMs: fc.integer({ min: 0, max: 10_000 }),
    });
    const arbitrarySettings = fc.constantFrom(settings, immediate, shadow, { ...settings, bakeMs: 0 });
    fc.assert(
      fc.property(arbitrarySettings, fc.array(arbitraryView, { maxLength: 20 }), (asked, views) => {
        let model = inRollout({ settings: asked });
        let ended = 0;
        for (const seen of views) {
          const decision = decideStep(model, view(seen), at);
          if (decision === undefined) continue;
          const { rollout, stable, condemn } = decision.change;
          if (stable === 2) expect(rollout.phase).to.be.oneOf(['baking', 'promoted']);
          if (stable === 1) expect(rollout.phase).to.equal('rolled_back');
          expect(condemn === undefined).to.equal(rollout.phase !== 'rolled_back');
          if (rollout.phase === 'rolled_back') ended += 1;
          model = { ...model, rollout, labels: { stable: stable ?? model.labels.stable ?? 0 } };
        }
        expect(ended).to.be.at.most(1);
      }),
    );
  });

  it('keeps the newest lines of a long story', () => {
    const story = Array.from({ length: storyLines }, (_, index) => ({ at, text: `line ${index}` }));
    const decision = decideStep(inRollout({ story }), view(), at);
    expect(decision?.change.rollout.story).to.have.length(storyLines);
    expect(decision?.change.rollout.story[0]?.text).to.equal('line 1');
  });
});
