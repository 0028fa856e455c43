/**
 * Memory of large messages, used again. V8 adds what lies outside of its heap to what has grown there since the last full
 * collection, and begins the next one when the sum has outgrown a heap of 10 MB: with pictures of 600 kB a dozen times a
 * second, on every core that there is.
 *
 * Invariants
 * M1  Who takes memory, or gets a message that lies in it, has it alone until it is given back; what nobody gives back
 *     is collected like any other.
 * M2  Only what was taken here comes back, once: anything else that is given is left alone.
 * M3  What is spare may be collected, too: it outlives no full collection.
 */

/** Smaller messages lie in memory that several share, or cost less than their way back. */
const largeBytes = 64 * 1024;
/** Sizes are rounded up to a multiple, so that messages which differ in the length of their headers share memory. */
const stepBytes = 64 * 1024;
/**
 * What comes from a socket lies in pieces of 64 KiB before it is put together here, and these cannot be used again: they
 * are collected each time so many bytes have come, before they count as growth. That takes a millisecond.
 */
const collectEveryBytes = 6 * 1024 * 1024;
/** Spare buffers that are known; under steady load there are few, since what comes back is taken by the next. */
const maxSpare = 32;

/** Collects what is young; absent where V8 does not show it (`--expose-gc`), and then it collects as it sees fit. */
type CollectYoung = (() => void) | undefined;

const ofProcess: CollectYoung =
  globalThis.gc === undefined ? undefined : () => globalThis.gc?.({ type: 'minor' });

/** See the file's head. One for each connection. */
export class MessageMemory {
  readonly #collectYoung: CollectYoung;
  #receivedBytes = 0;
  readonly #lent = new WeakSet<ArrayBufferLike>();
  /** The last one that came back is taken first: it may still lie in a cache of the processor. */
  readonly #spare: { readonly bytes: number; readonly buffer: WeakRef<ArrayBufferLike> }[] = [];

  constructor(collectYoung: CollectYoung = ofProcess) {
    this.#collectYoung = collectYoung;
  }

  /** For a message that comes in pieces, of which this is the size of all. */
  receive(bytes: number): Uint8Array {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes >= collectEveryBytes) {
      this.#receivedBytes = 0;
      this.#collectYoung?.();
    }
    return this.take(bytes);
  }

  /** Exactly so many bytes, whose content is anything: who takes them writes all. */
  take(bytes: number): Uint8Array {
    if (bytes < largeBytes) return Buffer.allocUnsafe(bytes);
    const buffer = this.#takeSpare(bytes) ?? fresh(bytes);
    this.#lent.add(buffer);
    return Buffer.from(buffer as ArrayBuffer, 0, bytes);
  }

  /** Nobody reads this any more (M1): a message, or a part of it. */
  giveBack(message: Uint8Array): void {
    if (message.byteLength < largeBytes) return; // nearly all
    const { buffer } = message;
    if (!this.#lent.delete(buffer)) return;
    if (this.#spare.length === maxSpare) this.#spare.shift();
    this.#spare.push({ bytes: buffer.byteLength, buffer: new WeakRef(buffer) });
  }

  #takeSpare(bytes: number): ArrayBufferLike | undefined {
    for (let index = this.#spare.length - 1; index >= 0; index -= 1) {
      const spare = this.#spare[index];
      // Twice the size at most, or small messages would sit in the memory of the largest.
      if (spare === undefined || spare.bytes < bytes || spare.bytes > 2 * bytes) continue;
      this.#spare.splice(index, 1);
      const buffer = spare.buffer.deref();
      if (buffer !== undefined) return buffer;
    }
    return undefined;
  }
}

function fresh(bytes: number): ArrayBufferLike {
  // Not cleared, in contrast to `new ArrayBuffer`.
  return Buffer.allocUnsafeSlow(Math.ceil(bytes / stepBytes) * stepBytes).buffer;
}
