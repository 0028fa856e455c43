/** The book of what a runner holds: what is written is read, whatever came before it and wherever it was cut off. */
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { machineClockMs } from '@troupe/shared';
import { expect } from 'chai';
import fc from 'fast-check';
import { closeBook, HoldingsBook, openBook, readBook } from '../../src/ipc/holdings-book.js';

const message = (streamSequence: number, consumer = 'v1', delivery = 1) => ({
  stream: 'TROUPE_WORK_m',
  consumer,
  streamSequence,
  consumerSequence: streamSequence + 5,
  delivery,
});

describe('the book of what a runner holds', () => {
  const open: number[] = [];

  function begin(): { readonly descriptor: number; readonly book: HoldingsBook } {
    const descriptor = openBook();
    open.push(descriptor);
    const book = new HoldingsBook(descriptor, (error) => {
      throw error;
    });
    return { descriptor, book };
  }

  afterEach(() => {
    for (const descriptor of open.splice(0)) closeBook(descriptor);
  });

  it('says what was taken and not released, with its last delivery and when it was heard of', () => {
    const { book, descriptor } = begin();
    expect(readBook(descriptor)).to.deep.equal([]);
    const ownMs = performance.now() - 1_000;
    book.take(message(1), ownMs);
    book.take(message(2, 'v2'), ownMs);
    book.take(message(3), ownMs);
    book.take(message(3, 'v1', 2), ownMs);
    book.release(1);
    book.release(99);
    book.renew(2);
    book.renew(98);
    expect(readBook(descriptor)).to.deep.equal([]); // nothing is there before it is written
    book.flush();
    const [second, third] = readBook(descriptor);
    expect(second?.message).to.deep.equal(message(2, 'v2'));
    expect(third).to.deep.equal({ message: message(3, 'v1', 2), heardAtMs: machineClockMs(ownMs) });
    expect(second?.heardAtMs).to.be.within(machineClockMs(ownMs) + 999, machineClockMs());
  });

  it('holds as many as there are, of as many consumers, whatever comes and goes', () => {
    const step = fc.record({
      act: fc.constantFrom('take', 'take', 'release', 'flush'),
      sequence: fc.integer({ min: 1, max: 900 }),
      consumer: fc.constantFrom('v1', 'v2', 'v30'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1_500, size: 'max' }), (steps) => {
        const { book, descriptor } = begin();
        const held = new Map<number, string>();
        for (const { act, sequence, consumer } of steps) {
          if (act === 'take') book.take(message(sequence, consumer), 0);
          if (act === 'take') held.set(sequence, consumer);
          if (act === 'release') book.release(sequence);
          if (act === 'release') held.delete(sequence);
          if (act === 'flush') book.flush();
        }
        book.flush();
        const read = readBook(descriptor).map(({ message: { consumer, streamSequence } }) => [
          streamSequence,
          consumer,
        ]);
        expect(new Map(read as [number, string][])).to.deep.equal(held);
        closeBook(open.pop() as number);
      }),
      { numRuns: 30 },
    );
  });

  it('never takes one consumer for another, also where there is no room for all their names', () => {
    const { book, descriptor } = begin();
    // One for which there is no room, and short ones behind it for which there is.
    const lengths = [...Array<number>(15).fill(4_000), 9_000, ...Array<number>(40).fill(20)];
    const consumers = lengths.map((length, at) => `v${at}`.padEnd(length, 'x'));
    for (const [at, consumer] of consumers.entries()) book.take(message(at + 1, consumer), 0);
    book.flush();
    const read = readBook(descriptor);
    expect(read).to.have.length(consumers.length - 1);
    for (const { message: found } of read)
      expect(found.consumer).to.equal(consumers[found.streamSequence - 1]);
  });

  it('leaves out what was cut off in the middle, and nothing else', () => {
    const { book, descriptor } = begin();
    book.take(message(1), 0);
    book.flush();
    // A name without its end, and a row that names it.
    const names = 'TROUPE_WORK_m v1\n';
    writeSync(descriptor, 'TROUPE_WORK', names.length, 'latin1');
    const row = new Float64Array(4);
    row.set([2, 2, 0]);
    new Uint32Array(row.buffer).set([1, 1], 6);
    writeSync(descriptor, new Uint8Array(row.buffer), 0, 32, 65_536 + 32);
    expect(readBook(descriptor).map(({ message: { streamSequence } }) => streamSequence)).to.deep.equal([1]);
  });

  it('has no name that anything could be left under', () => {
    begin();
    const left = readdirSync('/dev/shm').filter((name) => name.startsWith(`troupe-holdings-${process.pid}-`));
    expect(left).to.deep.equal([]);
  });

  it('tells once that it cannot be written, and goes on without', () => {
    const descriptor = openSync('/dev/full', 'w');
    const failures: unknown[] = [];
    const book = new HoldingsBook(descriptor, (error) => failures.push(error));
    for (const sequence of [1, 2, 3]) {
      book.take(message(sequence), 0);
      book.flush();
    }
    closeSync(descriptor);
    expect(failures).to.have.length(1);
    expect((failures[0] as NodeJS.ErrnoException).code).to.equal('ENOSPC');
  });
});
