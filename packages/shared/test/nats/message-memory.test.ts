/** Memory of large messages that is used again. */
import v8 from 'node:v8';
import vm from 'node:vm';
import { expect } from 'chai';
import { MessageMemory } from '../../src/nats/message-memory.js';

const large = 600_000;

describe('message memory', () => {
  it('gives exactly as many bytes as are asked for, small ones without taking them back', () => {
    const memory = new MessageMemory();
    for (const bytes of [0, 1, 65_535, 65_536, 65_537, large])
      expect(memory.take(bytes).length).to.equal(bytes);
    const small = memory.take(1_000);
    memory.giveBack(small);
    // From one piece of memory after another, as Node gives it.
    const { buffer, byteOffset } = memory.take(1_000);
    expect(buffer !== small.buffer || byteOffset !== small.byteOffset).to.equal(true);
  });

  it('gives what came back to the next message of about its size, the last one first', () => {
    const memory = new MessageMemory();
    const [first, second] = [memory.take(large), memory.take(large)];
    memory.giveBack(first);
    memory.giveBack(second.subarray(300)); // a part stands for all of it
    expect(memory.take(large - 100).buffer).to.equal(second.buffer);
    expect(memory.take(large + 100).buffer).to.equal(first.buffer);
    expect(memory.take(large).buffer).not.to.be.oneOf([first.buffer, second.buffer]);
  });

  it('keeps small messages out of the memory of the largest, and large ones out of small', () => {
    const memory = new MessageMemory();
    const taken = memory.take(large);
    memory.giveBack(taken);
    expect(memory.take(100_000).buffer).not.to.equal(taken.buffer);
    expect(memory.take(2 * large).buffer).not.to.equal(taken.buffer);
    expect(memory.take(large).buffer).to.equal(taken.buffer);
  });

  it('leaves alone what it did not give, and what it has back already', () => {
    const memory = new MessageMemory();
    const foreign = new Uint8Array(large);
    memory.giveBack(foreign);
    expect(memory.take(large).buffer).not.to.equal(foreign.buffer);
    const own = memory.take(large);
    memory.giveBack(own);
    memory.giveBack(own);
    expect(memory.take(large).buffer).to.equal(own.buffer);
    expect(memory.take(large).buffer).not.to.equal(own.buffer);
  });

  it('knows of no more than a few that are spare', () => {
    const memory = new MessageMemory();
    const all = Array.from({ length: 100 }, () => memory.take(70_000));
    for (const one of all) memory.giveBack(one);
    const buffers = new Set(all.map(({ buffer }) => buffer));
    const again = Array.from({ length: 100 }, () => memory.take(70_000).buffer);
    expect(again.filter((buffer) => buffers.has(buffer))).to.have.length(32);
  });

  it('keeps nothing that is spare from a full collection', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const memory = new MessageMemory();
    const useAll = () => {
      const all = Array.from({ length: 20 }, () => memory.take(2 ** 20));
      for (const one of all) memory.giveBack(one);
      return all.map(({ buffer }) => new WeakRef(buffer));
    };
    // The buffers themselves and not the process's bytes, of which others take and free some at the same time.
    const spare = useAll();
    await new Promise(setImmediate); // a weak reference holds what it was made for until the end of its turn
    collect();
    expect(spare.filter((reference) => reference.deref() !== undefined)).to.have.length(0);
  });

  it('collects what is young after so many bytes that came in pieces, not after what is sent', () => {
    let collections = 0;
    const memory = new MessageMemory(() => {
      collections += 1;
    });
    for (let count = 0; count < 100; count += 1) memory.take(large);
    expect(collections).to.equal(0);
    for (let count = 0; count < 110; count += 1) memory.receive(large); // 66 MB, each 6.6 of it
    expect(collections).to.equal(10);
  });
});
