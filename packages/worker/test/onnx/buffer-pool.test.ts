import { expect } from 'chai';
import fc from 'fast-check';
import { BufferPool, reusableBytes } from '../../src/onnx/buffer-pool.js';

describe('buffer pool', () => {
  it('gives a buffer that was given back to who needs just as many bytes, and to nobody else while it is out', () => {
    const pool = new BufferPool();
    const [first, second] = [new ArrayBuffer(reusableBytes), new ArrayBuffer(reusableBytes)];
    pool.give([first, second]);
    expect(pool.take(reusableBytes + 4).buffer.byteLength).to.equal(reusableBytes + 4);
    const taken = [1, 2, 3].map(() => pool.take(reusableBytes).buffer);
    expect(new Set(taken).size).to.equal(3);
    expect(taken).to.include.members([first, second]);
  });

  it('always gives exactly as many bytes as are asked for, from the start of a buffer of their own', () => {
    const anySize = fc.constantFrom(0, 12, reusableBytes - 1, reusableBytes, 100_000, 5_000_000, 20_000_000);
    fc.assert(
      fc.property(fc.array(anySize, { maxLength: 30 }), (sizes) => {
        const pool = new BufferPool();
        const out = new Set<ArrayBufferLike>();
        for (const [index, size] of sizes.entries()) {
          const { buffer, byteLength, byteOffset } = pool.take(size);
          expect([byteOffset, byteLength, buffer.byteLength]).to.deep.equal([0, size, size]);
          expect(out.has(buffer)).to.equal(false);
          out.add(buffer);
          if (index % 2 === 0) {
            out.delete(buffer);
            pool.give([buffer as ArrayBuffer]);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the newest, and no more than a few megabytes', () => {
    const pool = new BufferPool();
    const buffers = Array.from({ length: 20 }, () => new ArrayBuffer(1024 * 1024));
    pool.give(buffers);
    const kept = Array.from({ length: 20 }, () => pool.take(1024 * 1024).buffer).filter((one) =>
      buffers.includes(one as ArrayBuffer),
    );
    expect(kept).to.deep.equal(buffers.slice(-8).toReversed());
  });
});
