/**
 * A process that dies at any store to a table of buffers in flight, even while it recovers from the death before: who comes after
 * has each buffer that the driver misses, as the driver made it, and none that the driver was shown.
 */
import { fc, test as prop } from "@fast-check/vitest";
import { PackedDriver, type RingDriver, SplitDriver } from "@virtspace/conformance";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { type Chain, FeatureSet, openVirtqueue, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { openPackedTable, packedTableBytes } from "./packed-journal.ts";
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
  queue: Virtqueue;
  #tag = 0;
  #newest: Chain | undefined;

  constructor(bits: readonly number[], table: (size: number) => number) {
    this.features = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, ...bits);
    this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
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
        { available: 0x8000, used: 0x8000, inFlight: [] },
      );
    }
    const used = this.space.readU16(gpa(config.device + 2)) ?? 0;
    return openSplitTable(this.table, SIZE, { available: used, used, inFlight: [] });
  }

  open(): Virtqueue {
    const queue = openVirtqueue({ ...this.driver.config(0), ...this.#openTable() }, { space: this.space, interrupt: () => {} });
    if (!(queue instanceof Virtqueue)) throw new Error(`the queue could not be opened: ${queue.code}`);
    this.queue = queue;
    this.held = [];
    return queue;
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
      expect(this.seen.has(this.missed.get(used.id) ?? -1)).toBe(true);
      expect(used.written).toBe(3);
      this.missed.delete(used.id);
    }
  }

  /** All that is left goes its way. */
  drain(): void {
    for (let i = 0; i < 3 * SIZE; i++) this.pop();
    for (const chain of this.held.splice(0)) chain.push(3);
    this.queue.flush();
    this.takeBack();
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
);

describe.each([
  ["split", [], splitTableBytes],
  ["split, event index", [VirtioFeature.RingEventIdx], splitTableBytes],
  ["packed", [VirtioFeature.RingPacked], packedTableBytes],
  ["packed, event index", [VirtioFeature.RingPacked, VirtioFeature.RingEventIdx], packedTableBytes],
] as const)("a table of buffers in flight, %s", (_, bits, table) => {
  const lives = fc.array(fc.tuple(fc.array(step, { maxLength: 40 }), fc.nat(60)), { minLength: 1, maxLength: 8 });

  prop.prop([lives], fuzzRuns(600))("survives a process that dies at any store", (all) => {
    using trial = new Trial(bits, table);
    let deaths = 0;
    for (const [steps, left] of all) {
      trial.table.left = left;
      try {
        if (deaths > 0) trial.open();
        for (const each of steps) {
          if (each === "pop") trial.pop();
          else if (each === "put back") trial.putBack();
          else if (each === "flush") trial.queue.flush();
          else if (each === "take back") trial.takeBack();
          else if ("push" in each) trial.push(each.push);
          else {
            trial.offer(each.offer, each.indirect);
            trial.driver.publish();
          }
        }
      } catch (error) {
        if (!(error instanceof Death)) throw error;
      }
      // Nobody stops the queue: what the process had in mind is gone.
      deaths++;
    }
    trial.table.left = Number.POSITIVE_INFINITY;
    trial.takeBack();
    trial.open();
    trial.drain();
    expect([...trial.missed]).toEqual([]);
    expect(trial.queue.fault).toBeUndefined();
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
