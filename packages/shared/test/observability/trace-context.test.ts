/** Trace context through OpenTelemetry's API: nothing without an SDK, the propagator's word with one. */
import { type Context, createContextKey, propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import { expect } from 'chai';
import { extractTraceparent, injectTraceparent } from '../../src/observability/trace-context.js';

const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const key = createContextKey('traceparent');

describe('trace context', () => {
  afterEach(() => propagation.disable());

  it('without an SDK nothing is written', () => {
    expect(injectTraceparent()).to.equal(undefined);
    expect(extractTraceparent(undefined)).to.equal(ROOT_CONTEXT);
  });

  it('with one its propagator writes and reads the header traceparent', () => {
    propagation.setGlobalPropagator({
      fields: () => ['traceparent'],
      inject: (_context, carrier, setter) => setter.set(carrier, 'traceparent', parent),
      extract: (context: Context, carrier, getter) =>
        context.setValue(key, getter.get(carrier, 'traceparent')),
    });
    expect(injectTraceparent()).to.equal(parent);
    expect(extractTraceparent(parent).getValue(key)).to.equal(parent);
  });
});
