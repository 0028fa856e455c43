/** What a conformance run has found: counts by kind, and every fault in words. */
import type { Form } from './doors.js';

export interface FormCount {
  /** Sets that have passed, one at a time and with sixteen in flight. */
  passed: number;
  failed: number;
}

export interface Tally {
  models: number;
  sets: number;
  /** Requests that were answered or refused, all kinds together. */
  requests: number;
  readonly forms: Record<Form, FormCount>;
  /** Sets of versions whose requests are merged, sent with different rows. */
  variedSets: number;
  readonly negatives: { passed: number; failed: number };
  readonly hazards: { passed: number; failed: number; skipped: number };
  readonly faults: string[];
}

export function createTally(): Tally {
  return {
    models: 0,
    sets: 0,
    requests: 0,
    forms: {
      sdk: { passed: 0, failed: 0 },
      json: { passed: 0, failed: 0 },
      binary: { passed: 0, failed: 0 },
    },
    variedSets: 0,
    negatives: { passed: 0, failed: 0 },
    hazards: { passed: 0, failed: 0, skipped: 0 },
    faults: [],
  };
}

/** The summary for people. */
export function describeTally(tally: Tally): string {
  const { forms, negatives, hazards } = tally;
  const form = (name: Form, text: string) =>
    `  ${text.padEnd(24)}${forms[name].passed} sets passed, ${forms[name].failed} failed`;
  return [
    `${tally.models} models, ${tally.sets} sets (${tally.variedSets} with different rows in flight), ${tally.requests} requests`,
    form('sdk', 'client SDK'),
    form('json', 'plain NATS, JSON'),
    form('binary', 'plain NATS, binary'),
    `  ${'must not load or run'.padEnd(24)}${negatives.passed} passed, ${negatives.failed} failed`,
    `  ${'hazardous requests'.padEnd(24)}${hazards.passed} passed, ${hazards.failed} failed, ${hazards.skipped} left out (DANGER)`,
    ...tally.faults.map((fault) => `FAULT ${fault}`),
  ].join('\n');
}
