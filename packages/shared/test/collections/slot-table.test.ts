import v8 from 'node:v8';
import vm from 'node:vm';
import { expect } from 'chai';
import fc from 'fast-check';
import { SlotTable } from '../../src/collections/slot-table.js';

interface Item {
  readonly id: string;
  readonly value: number;
}

describe('SlotTable', () => {
  it('holds what a Map would hold, whatever is added and taken out', () => {
    const step = fc.record({ adds: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new SlotTable<Item>();
        const model = new Map<string, Item>();
        const gone: string[] = [];
        for (const { adds, which } of steps) {
          const ids = [...model.keys()];
          const id = ids[which % Math.max(1, ids.length)];
          if (adds || id === undefined) {
            const item = { id: table.nextId(), value: which };
            table.add(item);
            model.set(item.id, item);
          } else {
            expect(table.delete(id)).to.equal(true);
            expect(table.delete(id)).to.equal(false);
            model.delete(id);
            gone.push(id);
          }
          expect(table.size).to.equal(model.size);
        }
        expect([...table.values()]).to.have.members([...model.values()]);
        for (const [id, item] of model) expect(table.get(id)).to.equal(item);
        for (const id of gone) expect(table.get(id)).to.equal(undefined);
      }),
    );
  });

  it('knows nothing under ids that it did not make', () => {
    const table = new SlotTable<Item>();
    const item = { id: table.nextId(), value: 1 };
    table.add(item);
    for (const id of ['', '_', '0', '0_', '0_2', '00_1', '-1_1', 'length', '0_1 ', '9_1', '__proto__']) {
      expect(table.get(id), id).to.equal(undefined);
    }
    expect(table.get(item.id)).to.equal(item);
  });

  it('lets go while it is walked', () => {
    const table = new SlotTable<Item>();
    for (let value = 0; value < 4; value += 1) table.add({ id: table.nextId(), value });
    const seen: number[] = [];
    for (const { id, value } of table.values()) {
      seen.push(value);
      table.delete(id);
    }
    expect(seen).to.deep.equal([0, 1, 2, 3]);
    expect(table.size).to.equal(0);
  });

  it('keeps nothing of what has passed through it from a minor collection', () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as (options: { type: 'minor' | 'major' }) => void;
    const table = new SlotTable<Item & { readonly ballast: readonly number[] }>();
    const ids: string[] = [];
    const pass = (count: number) => {
      for (let value = 0; value < count; value += 1) {
        const id = table.nextId();
        table.add({ id, value, ballast: new Array(128).fill(value) });
        ids.push(id);
        if (ids.length > 64) table.delete(ids.shift() ?? '');
      }
    };
    const minor = () => {
      for (let times = 0; times < 3; times += 1) collect({ type: 'minor' });
    };
    pass(1_000);
    minor(); // what it is made of is in the old generation now
    collect({ type: 'major' });
    const before = v8.getHeapStatistics().used_heap_size;
    for (let times = 0; times < 20; times += 1) {
      pass(1_000);
      minor();
    }
    const grownBy = v8.getHeapStatistics().used_heap_size - before;
    expect(grownBy, 'of 20 MB that passed through (a Map keeps all)').to.be.below(4e6);
  });
});
