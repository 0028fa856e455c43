/** Messages between a runner's main thread and its session thread. Buffers are transferred, never copied. */
import type { Signature, Tensor, WireError } from '@troupe/shared';

/** `workerData` of the session thread. */
export interface SessionThreadSource {
  readonly modelPath: string;
  readonly device: string;
  readonly intraOpThreads: number;
  readonly signature: Signature;
}

/** Main thread → session thread. Runs are done one after the other, in order. */
export type SessionOrder =
  | {
      readonly kind: 'run';
      readonly id: number;
      /** Each numeric tensor fills a buffer of its own. */
      readonly inputs: readonly Tensor[];
      readonly outputNames: readonly string[];
      /** Outputs that need more are not sent back; see `answerBytes`. */
      readonly limitBytes: number;
      /** Whether the limit is for answers in JSON, where a number may take as little as two bytes. */
      readonly json: boolean;
    }
  /** Release the session and end the thread. */
  | { readonly kind: 'release' };

/** Session thread → main thread. */
export type SessionReport =
  | { readonly kind: 'loaded'; readonly signature: Signature; readonly loadMs: number }
  | { readonly kind: 'load_failed'; readonly error: WireError }
  | {
      readonly kind: 'ran';
      readonly id: number;
      readonly outputs: readonly Tensor[];
      readonly runMs: number;
      /** Buffers of the inputs that are worth to be used again. */
      readonly spent: readonly ArrayBuffer[];
    }
  | { readonly kind: 'too_large'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'failed'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'released' };

/** The buffers of tensors, each once: what a message with them transfers. */
export function buffersOf(tensors: readonly Tensor[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of tensors) if (data instanceof Uint8Array) buffers.add(data.buffer as ArrayBuffer);
  return [...buffers];
}

/** The least bytes that tensors can take in an answer: their own in binary form; in JSON a digit and a comma each. */
export function answerBytes(tensors: readonly Tensor[], json: boolean): number {
  let bytes = 0;
  for (const { shape, data } of tensors) {
    if (data instanceof Uint8Array) {
      let count = 1;
      for (const dim of shape) count *= dim;
      bytes += json ? Math.min(data.byteLength, 2 * count) : data.byteLength;
    } else {
      for (const text of data) bytes += text.length + 3;
    }
  }
  return bytes;
}
