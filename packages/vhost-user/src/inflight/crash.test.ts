/**
 * A process that dies at any store to a table of buffers in flight, even while it recovers from the death before: who comes after
 * has each buffer that the driver misses, as the driver made it, and none that the driver was shown.
 */
import { fc, test as prop } from "@fast-check/vitest";
import { PackedDriver, type RingDriver, SplitDriver } from "@virtspace/conformance";
import { gpa, KiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { type Chain, FeatureSet, freshQueueState, openVirtqueue, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { openPackedTable, tellBase } from "./packed-journal.ts";
import { packedTableBytes } from "./packed-table.ts";
import type { OpenTable } from "./ring-position.ts";
import { openSplitTable, splitTableBytes } from "./split-journal.ts";

const SIZE = 8;
const RING = gpa(0x1000);
const BUFFERS = 0x4000;
const TABLES = 0x8000;

class Death extends Error {}

/** A table whose writer dies at one of its stores. */
class MortalView extends DataView<ArrayBuffer> {
  left = Number.POSITIVE_INFINITY;

  #live(): void {
    if (this.left-- <= 0) throw new Death();
  }

  override setUint8(at: number, value: number): void {
    this.#live();
    super.setUint8(at, value);
  }

  override setUint16(at: number, value: number, little?: boolean): void {
    this.#live();
    super.setUint16(at, value, little);
  }

  override setUint32(at: number, value: number, little?: boolean): void {
    this.#live();
    super.setUint32(at, value, little);
  }
}

class Trial implements Disposable {
  readonly space = VirtAddressSpace.create({ name: "guest" });
  readonly features: FeatureSet;
  readonly driver: RingDriver;
  readonly table: MortalView;
  /** What the device has. */
  held: Chain[] = [];
  /** What the driver offered and was not given back: a tag for each buffer, by its id. */
  readonly missed = new Map<number, number>();
  /** Tags that the device saw. */
  readonly seen = new Set<number>();
  /** Ids that the front-end gave back. */
  readonly given = new Set<number>();
  queue: Virtqueue;
  #tag = 0;
  #newest: Chain | undefined;
  /** Where the front-end believes a packed ring to be, and its next used descriptor: these are two where it was told. */
  #base = 0x8000;
  #baseUsed = 0x8000;
  /** Descriptors that it gave back since it was heard of last. */
  #unheard = 0;

  constructor(bits: readonly number[], table: (size: number) => number) {
    this.features = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, ...bits);
    this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(64 * KiB) });
    const Driver = this.#packed ? PackedDriver : SplitDriver;
    this.driver = new Driver(this.space, { base: RING, size: SIZE, features: this.features });
    this.table = new MortalView(new ArrayBuffer(table(SIZE)));
    this.queue = this.open();
  }

  get #packed(): boolean {
    return this.features.has(VirtioFeature.RingPacked);
  }

  #openTable(): OpenTable {
    const config = this.driver.config(0);
    // As QEMU (7.2) tells a back-end that comes after one that died: what it was told first, or what the driver was shown.
    if (this.#packed) {
      const ring = new Uint8Array(16 * SIZE);
      this.space.copyFrom(config.descriptors, ring);
      const setFlags = (at: number, flags: number): void => void this.space.writeU16(gpa(config.descriptors + 16 * at + 14), flags);
      return openPackedTable(
        this.table,
        SIZE,
        { copy: new DataView(ring.buffer), setFlags },
        { available: this.#base, used: this.#baseUsed, inFlight: [] },
        (this.#base | (this.#baseUsed << 16)) >>> 0,
      );
    }
    const used = this.#u16(config.device + 2);
    const shownHead = (entry: number): number => this.#u16(config.device + 4 + 8 * entry);
    return openSplitTable(this.table, SIZE, { available: used, used, inFlight: [] }, shownHead);
  }

  #u16(address: number): number {
    return this.space.readU16(gpa(address)) as number;
  }

  /** The front-end gives back what there is, from where it believes the ring to be: as QEMU does while a card's link is down. */
  giveBack(): void {
    if (this.#base !== this.#baseUsed) return;
    if (this.#packed) while (this.#giveBackPacked());
    else while (this.#giveBackSplit());
  }

  #giveBackSplit(): boolean {
    const { driver, device } = this.driver.config(0);
    const used = this.#u16(device + 2);
    if (used === this.#u16(driver + 2)) return false;
    const head = this.#u16(driver + 4 + 2 * (used % SIZE));
    this.given.add(head);
    this.space.writeU32(gpa(device + 4 + 8 * (used % SIZE)), head);
    this.space.writeU32(gpa(device + 8 + 8 * (used % SIZE)), 0);
    return this.space.writeU16(gpa(device + 2), (used + 1) & 0xffff);
  }

  #giveBackPacked(): boolean {
    const [NEXT, AVAIL, USED] = [1, 1 << 7, 1 << 15];
    const { descriptors } = this.driver.config(0);
    const flags = (slot: number): number => this.#u16(descriptors + 16 * (slot % SIZE) + 14);
    const [slot, wrap] = [this.#base & 0x7fff, this.#base >>> 15];
    if ((flags(slot) & (AVAIL | USED)) !== (wrap === 1 ? AVAIL : USED)) return false;
    let end = slot + 1;
    while ((flags(end - 1) & NEXT) !== 0) end++;
    const id = this.#u16(descriptors + 16 * ((end - 1) % SIZE) + 12);
    this.given.add(id);
    this.#unheard += end - slot;
    this.space.writeU32(gpa(descriptors + 16 * slot + 8), 0);
    this.space.writeU32(gpa(descriptors + 16 * slot + 12), id | ((wrap === 1 ? AVAIL | USED : 0) << 16));
    this.#base = end < SIZE ? end | (wrap << 15) : (end - SIZE) | ((wrap ^ 1) << 15);
    this.#baseUsed = this.#base;
    return true;
  }

  open(): Virtqueue {
    // Who went twice round the ring and stands where he stood did nothing, as far as anybody can tell.
    fc.pre(this.#unheard === 0 || this.#unheard % (2 * SIZE) !== 0);
    fc.pre(!this.#looksFresh());
    const queue = openVirtqueue({ ...this.driver.config(0), ...this.#openTable() }, { space: this.space, interrupt: () => {} });
    if (!(queue instanceof Virtqueue)) throw new Error(`the queue could not be opened: ${queue.code}`);
    this.queue = queue;
    this.held = [];
    this.#unheard = 0;
    return queue;
  }

  /**
   * Whether the packed ring is full, and no used descriptor is left in it, as where a buffer of many began at its end: so it looks where
   * a driver began anew and filled it.
   */
  #looksFresh(): boolean {
    const [AVAIL, USED] = [1 << 7, 1 << 15];
    const { descriptors } = this.driver.config(0);
    const flags = Array.from({ length: this.#packed ? SIZE : 0 }, (_, slot) => this.#u16(descriptors + 16 * slot + 14));
    return this.#packed && this.seen.size > 0 && flags.every((each) => (each & (AVAIL | USED)) === AVAIL);
  }

  /** Offers a buffer of some descriptors, its tag in its first bytes. */
  offer(descriptors: number, indirect: boolean): void {
    const tag = ++this.#tag;
    const at = BUFFERS + (tag % 64) * 64;
    this.space.writeU32(gpa(at), tag);
    const ranges = Array.from({ length: descriptors }, (_, i) => ({ address: gpa(at + 8 * i), length: i === 0 ? 4 : 1 + i }));
    const options = indirect ? { table: gpa(TABLES + (tag % 64) * 256) } : {};
    const id = this.driver.add(ranges, [{ address: gpa(at + 32), length: 16 }], options);
    if (id !== undefined) this.missed.set(id, tag);
  }

  pop(): void {
    const chain = this.queue.pop();
    if (chain === undefined) return;
    const bytes = new Uint8Array(4);
    expect(chain.copyFrom(0, bytes)).toBe(0);
    const tag = new DataView(bytes.buffer).getUint32(0, true);
    expect(this.missed.get(chain.id)).toBe(tag);
    this.seen.add(tag);
    this.held.push(chain);
    this.#newest = chain;
  }

  push(which: number): void {
    const [chain] = this.held.splice(which % Math.max(this.held.length, 1), 1);
    chain?.push(3);
  }

  /** Puts the newest buffer back, where it was the last to be taken. */
  putBack(): void {
    const chain = this.held.at(-1);
    if (chain === undefined || chain !== this.#newest) return;
    this.held.pop();
    this.#newest = undefined;
    this.queue.putBack(chain);
  }

  takeBack(): void {
    for (let used = this.driver.used(); used !== undefined; used = this.driver.used()) {
      const tag = this.missed.get(used.id) ?? -1;
      expect([this.seen.has(tag) ? 3 : undefined, this.given.has(used.id) ? 0 : undefined]).toContain(used.written);
      expect(this.missed.delete(used.id)).toBe(true);
      this.given.delete(used.id);
    }
  }

  /** The front-end stops the ring and is told where it stands; whether the process goes on or another one comes, the table has the rest. */
  stop(): void {
    const { available, used } = this.queue.stop();
    if (this.#packed) {
      [this.#base, this.#baseUsed] = [available, used];
      this.#unheard = 0;
      tellBase(this.table, available | (used << 16));
    }
    this.open();
  }

  /** All that is left goes its way. */
  drain(): void {
    for (let i = 0; i < 3 * SIZE; i++) this.pop();
    for (const chain of this.held.splice(0)) chain.push(3);
    this.queue.flush();
    this.takeBack();
  }

  /** Nobody dies any more: the driver has all that it missed. */
  end(): void {
    this.table.left = Number.POSITIVE_INFINITY;
    this.takeBack();
    this.open();
    this.drain();
    expect([...this.missed]).toEqual([]);
    expect(this.queue.fault).toBeUndefined();
  }

  [Symbol.dispose](): void {
    this.table.left = Number.POSITIVE_INFINITY;
    this.queue.stop();
    this.space[Symbol.dispose]();
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ offer: fc.integer({ min: 1, max: 3 }), indirect: fc.boolean() }) },
  { weight: 5, arbitrary: fc.constant("pop" as const) },
  { weight: 4, arbitrary: fc.record({ push: fc.nat(7) }) },
  fc.constant("put back" as const),
  fc.constant("flush" as const),
  { weight: 2, arbitrary: fc.constant("take back" as const) },
  fc.constant("stop" as const),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

describe.each([
  ["split", [], splitTableBytes],
  ["split, event index", [VirtioFeature.RingEventIdx], splitTableBytes],
  ["packed", [VirtioFeature.RingPacked], packedTableBytes],
  ["packed, event index", [VirtioFeature.RingPacked, VirtioFeature.RingEventIdx], packedTableBytes],
] as const)("a table of buffers in flight, %s", (_, bits, table) => {
  const lives = fc.array(fc.tuple(fc.array(step, { maxLength: 40 }), fc.nat(60)), { minLength: 1, maxLength: 8 });

  function live(trial: Trial, each: Step): void {
    if (each === "pop") trial.pop();
    else if (each === "put back") trial.putBack();
    else if (each === "flush") trial.queue.flush();
    else if (each === "stop") trial.stop();
    else if (each === "take back") trial.takeBack();
    else if ("push" in each) trial.push(each.push);
    else {
      trial.offer(each.offer, each.indirect);
      trial.driver.publish();
    }
  }

  function dies(life: () => void): void {
    try {
      life();
    } catch (error) {
      if (!(error instanceof Death)) throw error;
    }
  }

  prop.prop([lives], fuzzRuns(600))("survives a process that dies at any store", (all) => {
    using trial = new Trial(bits, table);
    let deaths = 0;
    for (const [steps, left] of all) {
      trial.table.left = left;
      dies(() => {
        if (deaths > 0) trial.open();
        for (const each of steps) live(trial, each);
      });
      // Nobody stops the queue: what the process had in mind is gone.
      deaths++;
    }
    trial.end();
  });

  // A front-end knows what is in flight only where that was taken in the order of the ring, and is given back so.
  const orderly = step.map((each) => (typeof each === "object" && "push" in each ? { push: 0 } : each));
  const away = fc.array(fc.oneof(fc.constant("give back" as const), step), { maxLength: 12 });
  const disturbed = fc.array(fc.tuple(fc.array(orderly, { maxLength: 40 }), fc.nat(60), away), { minLength: 1, maxLength: 8 });

  prop.prop([disturbed], fuzzRuns(600))("survives a front-end that serves the ring while nobody else does", (all) => {
    using trial = new Trial(bits, table);
    for (const [steps, left, meanwhile] of all) {
      trial.table.left = left;
      dies(() => {
        trial.open();
        for (const each of steps) live(trial, each);
      });
      for (const each of meanwhile) {
        if (each === "give back") trial.giveBack();
        else if (each === "take back" || (typeof each === "object" && "offer" in each)) live(trial, each);
      }
    }
    trial.end();
  });

  test("of another ring is not believed", () => {
    using trial = new Trial(bits, table);
    for (let i = 0; i < 3; i++) trial.offer(1, false);
    trial.driver.publish();
    for (let i = 0; i < 3; i++) trial.pop();
    trial.push(0);
    trial.queue.flush();
    using other = new Trial(bits, table);
    new Uint8Array(other.table.buffer).set(new Uint8Array(trial.table.buffer));
    other.open();
    other.offer(1, false);
    other.driver.publish();
    other.drain();
    expect([...other.missed]).toEqual([]);
    expect([...other.seen]).toEqual([1]);
  });

  prop.prop([fc.uint8Array({ minLength: table(SIZE), maxLength: table(SIZE) }), fc.boolean()], fuzzRuns(300))(
    "of random bytes harms nobody",
    (bytes, headed) => {
      using trial = new Trial(bits, table);
      trial.offer(2, false);
      trial.driver.publish();
      trial.drain();
      const view = trial.table;
      new Uint8Array(view.buffer).set(bytes);
      if (headed) {
        view.setUint16(8, 1, true);
        view.setUint16(10, SIZE, true);
      }
      trial.open();
      for (let i = 0; i < 4 * SIZE; i++) trial.queue.pop();
      trial.queue.stop();
    },
  );
});

test("a packed table in which every buffer has all entries is not read for long", () => {
  const size = 32768;
  const table = new DataView(new ArrayBuffer(packedTableBytes(size)));
  const ring = { copy: new DataView(new ArrayBuffer(16 * size)), setFlags: () => {} };
  const fresh = freshQueueState(true);
  openPackedTable(table, size, ring, fresh, fresh.available);
  for (let index = 0; index < size; index++) {
    table.setUint8(32 + 32 * index, 1);
    table.setUint16(32 + 32 * index + 2, (index + 1) % size, true);
    table.setUint16(32 + 32 * index + 6, size, true);
  }
  const start = performance.now();
  expect(openPackedTable(table, size, ring, fresh, fresh.available).state).toEqual(fresh);
  expect(performance.now() - start).toBeLessThan(1000);
});
