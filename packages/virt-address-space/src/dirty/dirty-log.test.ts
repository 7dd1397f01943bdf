import { fc, test as prop } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { arrayBufferMemory, EngineMemory, gpa, MiB, PAGE_SIZE, type SpaceFault, sharedMemory, VirtAddressSpace } from "../index.ts";
import { DirtyBitmap } from "./dirty-bitmap.ts";

const KiB4 = PAGE_SIZE;

function runs(bitmap: DirtyBitmap): [number, number][] {
  const found: [number, number][] = [];
  bitmap.harvest((first, pages) => found.push([first, pages]));
  return found;
}

describe("a bitmap", () => {
  prop.prop(
    [
      fc.integer({ min: 1, max: 40_000 }),
      fc.array(fc.tuple(fc.nat(40_000), fc.integer({ min: 1, max: 3000 })), { maxLength: 20 }),
      fc.boolean(),
    ],
    { numRuns: 300 },
  )("gives back exactly the pages that were marked, once, joined and in order", (pages, marks, shared) => {
    const local = new DirtyBitmap(pages * KiB4, shared ? undefined : new ArrayBuffer(8 * (pages + 4096)));
    const expected = new Set<number>();
    for (const [first, count] of marks) {
      const from = first % pages;
      const to = Math.min(from + count, pages);
      local.markBytes(from * KiB4 + 5, (to - from) * KiB4 - 10);
      for (let page = from; page < to; page++) expected.add(page);
    }
    const harvested = runs(local);
    const flat = harvested.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));
    expect(flat).toEqual([...expected].sort((a, b) => a - b));
    for (let i = 1; i < harvested.length; i++) {
      const [before, now] = [harvested[i - 1], harvested[i]] as [[number, number], [number, number]];
      expect(before[0] + before[1]).toBeLessThan(now[0]);
    }
    expect(runs(local)).toEqual([]);
  });

  test("is the same bitmap for everyone who has its buffer", () => {
    const one = new DirtyBitmap(MiB);
    const two = new DirtyBitmap(MiB, one.buffer);
    two.mark(200);
    expect(runs(one)).toEqual([[200, 1]]);
    one.mark(200);
    expect(runs(two)).toEqual([[200, 1]]);
    expect(runs(one)).toEqual([]);
  });
});

describe("a dirty log", () => {
  function guest(): VirtAddressSpace {
    const space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "low", base: gpa(0), memory: arrayBufferMemory(16 * KiB4) });
    space.map({ name: "high", base: gpa(0x10_0000), memory: sharedMemory(16 * KiB4) });
    return space;
  }

  test("has the pages of every kind of write, as guest addresses, and of no read", () => {
    using space = guest();
    space.writeU8(gpa(0), 1);
    using log = space.dirtyLog("client");
    expect(log.harvest()).toEqual([]);
    space.copyTo(gpa(0x1fff), new Uint8Array(2));
    space.writeU32(gpa(0x4000), 1);
    space.fill(gpa(0x6000), 1);
    space.atomicStore(gpa(0x8000), 32, 1);
    space.atomicCompareExchange64(gpa(0xa000), 0n, 1n);
    space.writeU16(gpa(0xcfff), 1);
    space.copyTo(gpa(0x10_0000), new Uint8Array(3 * KiB4));
    space.markDirty(gpa(0xf800), 0xf0900);
    space.copyFrom(gpa(0x2000), new Uint8Array(KiB4));
    space.readU32(gpa(0xe000));
    expect(log.harvest()).toEqual([
      { address: 0x1000, length: 0x2000 },
      { address: 0x4000, length: KiB4 },
      { address: 0x6000, length: KiB4 },
      { address: 0x8000, length: KiB4 },
      { address: 0xa000, length: KiB4 },
      { address: 0xc000, length: 0x2000 },
      { address: 0xf000, length: KiB4 },
      { address: 0x10_0000, length: 3 * KiB4 },
    ]);
    expect(log.harvest()).toEqual([]);
  });

  test("of one client is left alone by another's harvest", () => {
    using space = guest();
    using one = space.dirtyLog("one");
    space.writeU8(gpa(0), 1);
    using two = space.dirtyLog("two");
    space.writeU8(gpa(0x3000), 1);
    expect(two.harvest()).toEqual([{ address: 0x3000, length: KiB4 }]);
    expect(one.harvest().map(({ address }) => address)).toEqual([0, 0x3000]);
    two[Symbol.dispose]();
    two[Symbol.dispose]();
    space.writeU8(gpa(0x5000), 1);
    expect(one.harvest()).toEqual([{ address: 0x5000, length: KiB4 }]);
  });

  test("counts an open writable window as dirty, each time and once when it closes; not one that marks or reads", () => {
    using space = guest();
    using log = space.dirtyLog("client");
    const open = space.vmap(gpa(0x1800), KiB4);
    using marking = space.vmap(gpa(0x6000), 2 * KiB4, { marks: true });
    using reading = space.vmap(gpa(0x9000), KiB4, { write: false });
    const window = [{ address: 0x1000, length: 2 * KiB4 }];
    expect(log.harvest()).toEqual(window);
    expect(log.harvest()).toEqual(window);
    marking.u8[KiB4] = 1;
    marking.markDirty(KiB4, 1);
    marking.markDirty(-5, 5);
    marking.markDirty(2 * KiB4, 100);
    expect(log.harvest()).toEqual([...window, { address: 0x7000, length: KiB4 }]);
    open[Symbol.dispose]();
    expect(log.harvest()).toEqual(window);
    expect(log.harvest()).toEqual([]);
    expect(reading.u8[0]).toBe(0);
  });

  test("has what a window wrote before its region was moved away", () => {
    using space = guest();
    using log = space.dirtyLog("client");
    const window = space.vmap(gpa(0), 8);
    window.u8[0] = 1;
    const [low] = space.regions;
    space.move(low as NonNullable<typeof low>, gpa(0x20_0000));
    // All of it is new where it is now, what was written with it.
    expect(log.harvest()).toEqual([{ address: 0x20_0000, length: 16 * KiB4 }]);
  });

  test("tells a page at each address that shows it, and by memory even where none does", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = arrayBufferMemory(4 * KiB4);
    const ram = space.map({ name: "ram", base: gpa(0), memory });
    space.map({ kind: "alias", name: "alias", base: gpa(0x10_0800), target: ram, offset: 0x1800, size: 0x1000 });
    using log = space.dirtyLog("client");
    space.writeU8(gpa(0x10_0900), 1);
    expect(log.harvest()).toEqual([
      { address: 0x1000, length: KiB4 },
      { address: 0x10_0800, length: 0x800 },
    ]);
    space.writeU8(gpa(0x1000), 1);
    space.map({ kind: "io", name: "cover", base: gpa(0), size: 4 * KiB4, priority: 1, handler: { read: () => 0, write: () => {} } });
    expect(log.harvestMemory()).toEqual([{ memory, offset: KiB4, length: KiB4 }]);
  });

  test("counts memory that joins while it runs as wholly dirty, and ends at the memory's end", () => {
    using space = guest();
    using log = space.dirtyLog("client");
    const memory = arrayBufferMemory(KiB4 + 100);
    space.map({ name: "new", base: gpa(0x80_0000), memory });
    expect(log.harvest()).toEqual([{ address: 0x80_0000, length: KiB4 + 100 }]);
    expect(log.harvest()).toEqual([]);
  });

  test("asks its sources at each harvest, for all clients; one that throws makes everything dirty", () => {
    const faults: SpaceFault[] = [];
    using space = VirtAddressSpace.create({ name: "guest", onFault: (fault) => faults.push(fault) });
    space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4 * KiB4) });
    using one = space.dirtyLog("one");
    using two = space.dirtyLog("two");
    const pending: number[] = [1, 3];
    const source = space.addDirtySource({
      name: "kvm",
      sync: (mark) => {
        for (const page of pending.splice(0)) mark(gpa(page * KiB4), KiB4);
        // A hypervisor may tell of more than is mapped by now.
        mark(gpa(0x100_0000), KiB4);
      },
    });
    expect(one.harvest().map(({ address }) => address)).toEqual([KiB4, 3 * KiB4]);
    expect(two.harvest().map(({ address }) => address)).toEqual([KiB4, 3 * KiB4]);
    using broken = space.addDirtySource({
      name: "broken",
      sync: () => {
        throw new Error("no");
      },
    });
    expect(one.harvest()).toEqual([{ address: 0, length: 4 * KiB4 }]);
    expect(faults).toEqual([expect.objectContaining({ name: "broken" })]);
    broken[Symbol.dispose]();
    source[Symbol.dispose]();
    two.harvest();
    expect(two.harvest()).toEqual([]);
  });

  test("sees writes to an engine's memory, which is told of them as well", () => {
    const buffer = new ArrayBuffer(4 * KiB4);
    const wrote: number[] = [];
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = new EngineMemory({ size: buffer.byteLength, buffer: () => buffer, hostWrote: (offset) => wrote.push(offset) });
    space.map({ name: "ram", base: gpa(0), memory });
    using log = space.dirtyLog("client");
    space.writeU8(gpa(0x1004), 1);
    using window = space.vmap(gpa(0x2000), 16);
    window.u8[0] = 1;
    expect([...memory.openWindows()]).toEqual([{ offset: 0x2000, length: 16 }]);
    expect(wrote).toEqual([0x1004]);
    window[Symbol.dispose]();
    expect([...memory.openWindows()]).toEqual([]);
    expect(wrote).toEqual([0x1004, 0x2000]);
    expect(log.harvest()).toEqual([{ address: 0x1000, length: 2 * KiB4 }]);
  });
});
