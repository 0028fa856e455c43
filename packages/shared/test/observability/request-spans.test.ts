/** The spans of a request without an SDK; with one they are seen in test/integration/tracing.test.ts. */
import { expect } from 'chai';
import { startRequestSpan, traceAnswered } from '../../src/observability/request-spans.js';
import { TraceShare } from '../../src/observability/trace-share.js';

describe('the spans of a request', () => {
  it('are not made without an SDK', () => {
    expect(startRequestSpan('iris', new TraceShare(1), performance.now())).to.equal(undefined);
  });

  it('take no time from the lot that chose them', () => {
    let drawn = 0;
    const share = new TraceShare(0.5, () => {
      drawn += 1;
      return 0;
    });
    // As if the SDK had taken ten milliseconds for the first.
    startRequestSpan('iris', share, performance.now() - 10);
    startRequestSpan('iris', share, performance.now());
    expect(drawn).to.equal(1);
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
