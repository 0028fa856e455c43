import type { TrialRequest, TrialVerdict } from '@troupe/shared';
import { expect } from 'chai';
import { createTrialVerdicts } from '../src/doors/trial-verdicts.js';

const trial: TrialRequest = { digest: 'a'.repeat(64), sizeBytes: 1, golden: [], batching: {}, limits: {} };
const verdict: TrialVerdict = {
  signature: { inputs: [], outputs: [] },
  batchable: true,
  batching: { maxBatchSize: 32, maxDelayMs: 0 },
};

describe('verdicts of trials', () => {
  let tried: number;
  const tryIt = async () => {
    tried += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return verdict;
  };
  beforeEach(() => {
    tried = 0;
  });

  it('one file under a thousand names is tried once, at the same time or one after the other', async () => {
    const verdicts = createTrialVerdicts();
    const many = await Promise.all(Array.from({ length: 1_000 }, () => verdicts.find(trial, '1.30', tryIt)));
    expect(new Set(many)).to.deep.equal(new Set([verdict]));
    await verdicts.find({ ...trial }, '1.30', tryIt);
    expect(tried).to.equal(1);
  });

  it('other bytes, golden cases, settings or another runtime are tried anew', async () => {
    const verdicts = createTrialVerdicts();
    await verdicts.find(trial, '1.30', tryIt);
    await verdicts.find({ ...trial, digest: 'b'.repeat(64) }, '1.30', tryIt);
    await verdicts.find({ ...trial, golden: [{ name: 'g', inputs: [], outputs: [] }] }, '1.30', tryIt);
    await verdicts.find({ ...trial, batching: { maxBatchSize: 4 } }, '1.30', tryIt);
    await verdicts.find({ ...trial, limits: { runLimitMs: 50 } }, '1.30', tryIt);
    await verdicts.find(trial, '1.31', tryIt);
    expect(tried).to.equal(6);
  });

  it('a refusal is not kept: the next one who asks has it tried again', async () => {
    const verdicts = createTrialVerdicts();
    const refusal = new Error('refused');
    const refuse = async () => {
      throw refusal;
    };
    const caught = await verdicts.find(trial, '1.30', refuse).catch((error: unknown) => error);
    expect(caught).to.equal(refusal);
    expect(await verdicts.find(trial, '1.30', tryIt)).to.equal(verdict);
  });

  it('what was asked for longest ago is forgotten first', async () => {
    const verdicts = createTrialVerdicts(2);
    const other = { ...trial, digest: 'b'.repeat(64) };
    const third = { ...trial, digest: 'c'.repeat(64) };
    await verdicts.find(trial, '', tryIt);
    await verdicts.find(other, '', tryIt);
    await verdicts.find(trial, '', tryIt);
    await verdicts.find(third, '', tryIt);
    expect(tried).to.equal(3);
    await verdicts.find(trial, '', tryIt);
    expect(tried).to.equal(3);
    await verdicts.find(other, '', tryIt);
    expect(tried).to.equal(4);
  });
});
