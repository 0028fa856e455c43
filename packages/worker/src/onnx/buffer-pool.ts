/**
 * Memory of runs that are over, for the inputs of runs to come: fresh memory of a megabyte is cleared, mapped page by page
 * and collected again each time. Owned by the session's door; what lies in a buffer is some earlier run's, so who takes
 * one writes all of it.
 */

/** Smaller ones cost less than their way back from the session thread. */
export const reusableBytes = 64 * 1024;

/** Buffers that are kept: those of two runs of a model with several inputs. */
const maxBuffers = 8;
/** An idle runner keeps no more than this. */
const maxBytes = 16 * 1024 * 1024;

/** See the file's head. */
export class BufferPool {
  readonly #spare: ArrayBuffer[] = [];
  #bytes = 0;

  /** Exactly as many bytes, filling a buffer of their own; their content is anything. */
  take(bytes: number): Uint8Array {
    if (bytes >= reusableBytes) {
      const at = this.#spare.findLastIndex(({ byteLength }) => byteLength === bytes);
      const [buffer] = at < 0 ? [] : this.#spare.splice(at, 1);
      if (buffer !== undefined) {
        this.#bytes -= bytes;
        return new Uint8Array(buffer);
      }
    }
    return new Uint8Array(bytes);
  }

  /** Takes back buffers that nobody uses any more; the oldest make room for them. */
  give(buffers: readonly ArrayBuffer[]): void {
    for (const buffer of buffers) {
      if (buffer.byteLength < reusableBytes || buffer.byteLength > maxBytes) continue;
      this.#spare.push(buffer);
      this.#bytes += buffer.byteLength;
    }
    while (this.#spare.length > maxBuffers || this.#bytes > maxBytes) {
      this.#bytes -= this.#spare.shift()?.byteLength ?? 0;
    }
  }
}
