/** The spans of a request without an SDK; with one they are seen in test/integration/tracing.test.ts. */
import { expect } from 'chai';
import { startRequestSpan, traceAnswered } from '../../src/observability/request-spans.js';

describe('the spans of a request', () => {
  it('are not made without an SDK', () => {
    expect(startRequestSpan('iris', 1)).to.equal(undefined);
  });

  it('take any traceparent, since it is the word of a stranger', () => {
    for (const traceparent of ['', '01', 'zz', '00-x-y-01', '-'.repeat(1_000)]) {
      expect(() =>
        traceAnswered({
          traceparent,
          model: 'iris',
          version: 1,
          requestId: 'r',
          delivery: 1,
          degraded: false,
          arrivedAtMs: 1,
          answeredAtMs: 2,
          error: undefined,
        }),
      ).not.to.throw();
    }
  });
});
