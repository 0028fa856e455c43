/**
 * The messages that a runner holds, where its host reads them once the runner is dead, so as to hand them back: a file
 * without a name, in memory where the system has room for files there, that both have open. The runner writes what has
 * changed once a turn, in one call that wakes nobody; what is written outlives it, whatever it dies of.
 *
 * Layout, numbers in the machine's own byte order:
 * - names: one line for each consumer, stream and consumer, with a blank between them; lines are only ever added;
 * - rows of 32 bytes from `rowsAt` on: float64 stream sequence, 0 where the row is free; float64 consumer sequence; float64
 *   machine clock in milliseconds when the delivery or its last in-progress ack was heard of; uint32 delivery; uint32 line
 *   of its consumer.
 *
 * A SIGKILL may cut a write off between two pages, which neither a line's beginning nor a row crosses: then what changed in
 * the runner's last turn is missing in part. A message that was taken and is not in the book is delivered again after
 * `ack_wait`; one that was let go and still is in it has been acked, and handing it back does nothing.
 */
import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineClockMs } from '@troupe/shared';
import type { HeldMessage } from './runner-messages.js';

const rowsAt = 65_536;
const rowBytes = 32;
const firstRows = 256;
/** Line of a consumer for whose name there was no room. */
const noLine = 0xffff_ffff;

/** Of the runner; the host opens it as this when it forks. */
export const bookDescriptor = 4;

/** A message as it stands in the book. */
export interface BookedMessage {
  readonly message: HeldMessage;
  /** When its delivery or last in-progress ack was heard of, on the machine's clock, in milliseconds. */
  readonly heardAtMs: number;
}

/** What a runner writes into. Sequences are those of one stream. */
export interface Holdings {
  /** A later delivery of a message takes the place of the earlier one. `ownMs`: of this process's `performance.now()`. */
  take(message: HeldMessage, ownMs: number): void;
  renew(streamSequence: number): void;
  release(streamSequence: number): void;
  /** Writes what has changed. */
  flush(): void;
}

/** The runner's side. Never throws: `onError` hears the first failure, after which nothing more is written. */
export class HoldingsBook implements Holdings {
  readonly #descriptor: number;
  readonly #onError: (error: unknown) => void;
  readonly #rowOf = new Map<number, number>();
  readonly #free: number[] = [];
  #numbers = new Float64Array(0);
  #words = new Uint32Array(0);
  readonly #lines = new Map<string, number>();
  #last: { readonly stream: string; readonly consumer: string; readonly line: number } | undefined;
  #names = '';
  #lineCount = 0;
  #namesWritten = 0;
  /** Rows that differ from the file, from and behind. */
  #dirtyFrom = Number.POSITIVE_INFINITY;
  #dirtyTo = 0;
  #failed = false;

  constructor(descriptor: number, onError: (error: unknown) => void) {
    this.#descriptor = descriptor;
    this.#onError = onError;
    this.#grow(firstRows);
  }

  take(message: HeldMessage, ownMs: number): void {
    const { streamSequence } = message;
    let row = this.#rowOf.get(streamSequence);
    if (row === undefined) {
      if (this.#free.length === 0) this.#grow(2 * (this.#numbers.length / 4));
      row = this.#free.pop() as number;
      this.#rowOf.set(streamSequence, row);
    }
    this.#numbers[4 * row] = streamSequence;
    this.#numbers[4 * row + 1] = message.consumerSequence;
    this.#numbers[4 * row + 2] = machineClockMs(ownMs);
    this.#words[8 * row + 6] = message.delivery;
    this.#words[8 * row + 7] = this.#lineOf(message);
    this.#touch(row);
  }

  renew(streamSequence: number): void {
    const row = this.#rowOf.get(streamSequence);
    if (row === undefined) return;
    this.#numbers[4 * row + 2] = machineClockMs();
    this.#touch(row);
  }

  release(streamSequence: number): void {
    const row = this.#rowOf.get(streamSequence);
    if (row === undefined) return;
    this.#rowOf.delete(streamSequence);
    this.#free.push(row);
    this.#numbers[4 * row] = 0;
    this.#touch(row);
  }

  flush(): void {
    if (this.#dirtyTo === 0 || this.#failed) return;
    const from = this.#dirtyFrom * rowBytes;
    const bytes = this.#dirtyTo * rowBytes - from;
    this.#dirtyFrom = Number.POSITIVE_INFINITY;
    this.#dirtyTo = 0;
    try {
      if (this.#namesWritten < this.#names.length) this.#writeNames();
      writeSync(this.#descriptor, new Uint8Array(this.#numbers.buffer, from, bytes), 0, bytes, rowsAt + from);
    } catch (error) {
      this.#failed = true;
      this.#onError(error);
    }
  }

  #writeNames(): void {
    const text = this.#names.slice(this.#namesWritten);
    writeSync(this.#descriptor, text, this.#namesWritten, 'latin1'); // names of streams and consumers are ASCII
    this.#namesWritten = this.#names.length;
  }

  #lineOf({ consumer, stream }: HeldMessage): number {
    if (this.#last?.stream === stream && this.#last.consumer === consumer) return this.#last.line;
    const text = `${stream} ${consumer}\n`;
    let line = this.#lines.get(text);
    if (line === undefined) {
      // After thousands of versions in the life of one process: theirs are not handed back, and come after `ack_wait`.
      const fits = this.#names.length + text.length <= rowsAt;
      line = fits ? this.#lineCount : noLine;
      this.#lines.set(text, line);
      if (fits) {
        this.#names += text;
        this.#lineCount += 1;
      }
    }
    this.#last = { stream, consumer, line };
    return line;
  }

  #touch(row: number): void {
    if (row < this.#dirtyFrom) this.#dirtyFrom = row;
    if (row >= this.#dirtyTo) this.#dirtyTo = row + 1;
  }

  #grow(rows: number): void {
    const before = this.#numbers.length / 4;
    const numbers = new Float64Array(4 * rows);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    this.#words = new Uint32Array(numbers.buffer);
    // The lowest first, so that what changes in a turn lies together.
    for (let row = rows - 1; row >= before; row -= 1) this.#free.push(row);
  }
}

/** Makes an empty book and opens it. Throws where there is no room for one. */
export function openBook(): number {
  let failure: unknown;
  for (const folder of ['/dev/shm', tmpdir()]) {
    const path = join(folder, `troupe-holdings-${process.pid}-${performance.now()}`);
    try {
      const descriptor = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      // Its usual room is taken at once: a disk that is full later on does no harm.
      writeSync(descriptor, new Uint8Array(firstRows * rowBytes), 0, firstRows * rowBytes, rowsAt);
      return descriptor;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** What a runner holds, by its book. */
export function readBook(descriptor: number): BookedMessage[] {
  const size = fstatSync(descriptor).size;
  const file = new Uint8Array(size);
  readSync(descriptor, file, 0, size, 0);
  const lines = Buffer.from(file.buffer, 0, Math.min(rowsAt, size))
    .toString('latin1')
    .split('\n')
    .slice(0, -1);
  const rows = Math.max(0, Math.floor((size - rowsAt) / rowBytes));
  const numbers = new Float64Array(file.buffer, Math.min(rowsAt, size), 4 * rows);
  const words = new Uint32Array(file.buffer, Math.min(rowsAt, size), 8 * rows);
  const booked: BookedMessage[] = [];
  for (let row = 0; row < rows; row += 1) {
    const streamSequence = numbers[4 * row] as number;
    const [stream, consumer] = (lines[words[8 * row + 7] as number] ?? '').split(' ');
    if (streamSequence === 0 || stream === undefined || consumer === undefined) continue;
    booked.push({
      message: {
        stream,
        consumer,
        streamSequence,
        consumerSequence: numbers[4 * row + 1] as number,
        delivery: words[8 * row + 6] as number,
      },
      heardAtMs: numbers[4 * row + 2] as number,
    });
  }
  return booked;
}

/** Lets go of a book: with its last holder the file is gone. */
export function closeBook(descriptor: number): void {
  closeSync(descriptor);
}
