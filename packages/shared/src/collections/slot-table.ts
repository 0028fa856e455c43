/**
 * Things that come and go by the thousand each second, each under an id that is made here.
 *
 * Not a `Map`: V8 lets a map's outgrown table point to the one that follows it. As soon as one of them is in the old
 * generation, all that passes through the map from then on survives every minor collection, until a full one
 * (docs/profile.md). Slots that are used again and again hold what is there now, and nothing else.
 */
export class SlotTable<T extends { readonly id: string }> {
  readonly #slots: (T | undefined)[] = [];
  readonly #free: number[] = [];
  #made = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** For the next thing to be added; letters, digits and one `_`, and never the same again. */
  nextId(): string {
    const slot = this.#free.at(-1) ?? this.#slots.length;
    this.#made += 1;
    return `${slot.toString(36)}_${this.#made.toString(36)}`;
  }

  /** Adds a thing under the id that `nextId()` gave last. */
  add(item: T): void {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[slot] = item;
    this.#size += 1;
  }

  /** `undefined` where it is not there, or never was: ids come back from outside. */
  get(id: string): T | undefined {
    const item = this.#slots[slotOf(id)];
    return item?.id === id ? item : undefined;
  }

  /** False where it was not there. */
  delete(id: string): boolean {
    if (this.get(id) === undefined) return false;
    const slot = slotOf(id);
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    this.#size -= 1;
    return true;
  }

  /** What is there, in no order. What is taken out meanwhile is left out; what is added may come or not. */
  *values(): IterableIterator<T> {
    for (const item of this.#slots) if (item !== undefined) yield item;
  }
}

/** What stands before the `_`; `NaN`, which is no slot, where there is none. */
function slotOf(id: string): number {
  return Number.parseInt(id, 36);
}
