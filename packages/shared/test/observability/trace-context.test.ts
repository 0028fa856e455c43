/** The header `traceparent`: what W3C Trace Context says of its form, and that a span's own comes back as it was. */
import { isSpanContextValid, TraceFlags } from '@opentelemetry/api';
import { expect } from 'chai';
import fc from 'fast-check';
import { formatTraceparent, parseTraceparent } from '../../src/observability/trace-context.js';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';

describe('traceparent', () => {
  it('names a trace, a span and whether it is sampled', () => {
    const named = { traceId, spanId, isRemote: true };
    expect(parseTraceparent(`00-${traceId}-${spanId}-01`)).to.deep.equal({ ...named, traceFlags: 1 });
    expect(parseTraceparent(`00-${traceId}-${spanId}-00`)).to.deep.equal({ ...named, traceFlags: 0 });
  });

  it('of a version to come is read as far as this one goes, whatever it appends', () => {
    for (const text of [`cc-${traceId}-${spanId}-01`, `cc-${traceId}-${spanId}-01-what-the-future-is-like`])
      expect(parseTraceparent(text)).to.include({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  });

  for (const [what, text] of [
    ['nothing', ''],
    ['words', 'as you like it'],
    ['no flags', `00-${traceId}-${spanId}`],
    ['flags of one digit', `00-${traceId}-${spanId}-1`],
    ['flags that are not hexadecimal', `00-${traceId}-${spanId}-0x`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
    ['a span of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a trace too short', `00-${traceId.slice(1)}-${spanId}-01`],
    ['a span too long', `00-${traceId}-${spanId}0-01`],
    ['capital letters', `00-${traceId.toUpperCase()}-${spanId}-01`],
    ['more than version 00 has', `00-${traceId}-${spanId}-01-more`],
    ['a version to come without a dash before what it appends', `cc-${traceId}-${spanId}-01.more`],
    ['the version that is none', `ff-${traceId}-${spanId}-01`],
    ['a second line', `cc-${traceId}-${spanId}-01-\r\nNats-Sneaked-In: 1`],
  ] as const) {
    it(`is not one: ${what}`, () => {
      expect(parseTraceparent(text)).to.equal(undefined);
    });
  }

  it('of any span comes back as it was', () => {
    const hex = (digits: number) =>
      fc.string({
        unit: fc.constantFrom(...Array.from('0123456789abcdef')),
        minLength: digits,
        maxLength: digits,
      });
    const spans = fc
      .record({ traceId: hex(32), spanId: hex(16), traceFlags: fc.integer({ min: 0, max: 255 }) })
      .filter(isSpanContextValid);
    fc.assert(
      fc.property(spans, (span) => {
        expect(parseTraceparent(formatTraceparent(span))).to.deep.equal({ ...span, isRemote: true });
      }),
    );
  });
});
