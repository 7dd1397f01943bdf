import { describe, expect, test } from "vitest";
import { arrayBufferMemory, EngineMemory, gpa, sharedMemory, VirtAddressSpace, type Vmap, type VmapChange } from "../index.ts";

const PAGE = 4096;

function guest(): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "low", base: gpa(0), memory: arrayBufferMemory(PAGE) });
  space.map({ name: "next", base: gpa(0x1000), memory: sharedMemory(PAGE) });
  space.map({ kind: "rom", name: "rom", base: gpa(0x3000), memory: arrayBufferMemory(PAGE) });
  return space;
}

describe("a window", () => {
  test("shows guest memory both ways, in every width", () => {
    using space = guest();
    using window = space.vmap(gpa(0x1010), 16);
    window.u32[1] = 0x1234_5678;
    expect(space.readU32(gpa(0x1014))).toBe(0x1234_5678);
    space.writeBigU64(gpa(0x1018), 0x1122_3344_5566_7788n);
    expect(window.u64[1]).toBe(0x1122_3344_5566_7788n);
    expect(window.u16[2]).toBe(0x5678);
    expect(window.u8[4]).toBe(0x78);
    expect(window.data.getUint16(5, true)).toBe(0x3456);
    expect([window.u8.length, window.u16.length, window.u32.length, window.u64.length]).toEqual([16, 8, 4, 2]);
    expect(window.u32).toBe(window.u32);
  });

  test("of an odd address or length has the widths that fit", () => {
    using space = guest();
    using window = space.vmap(gpa(0x11), 7);
    expect([window.u8.length, window.u16.length, window.u32.length, window.u64.length]).toEqual([7, 0, 0, 0]);
    using even = space.vmap(gpa(0x12), 7);
    expect([even.u8.length, even.u16.length, even.u32.length]).toEqual([7, 3, 0]);
  });

  test.each([
    ["in a hole", 0x2000, 8, {}, "unmapped"],
    ["that ends in a hole", 0x1ff8, 9, {}, "crosses-region"],
    ["across two regions", 0xff8, 16, {}, "crosses-region"],
    ["on ROM, for writing", 0x3000, 8, {}, "read-only"],
    ["of no bytes", 0, 0, {}, "empty"],
  ])("%s is refused, as a value or an exception", (_, address, length, options, code) => {
    using space = guest();
    expect(space.tryVmap(gpa(address), length, options)).toMatchObject({ code });
    expect(() => space.vmap(gpa(address), length, options)).toThrow(expect.objectContaining({ code, name: "VirtAddressSpaceError" }));
  });

  test("fits exactly to a region's end, and reads ROM", () => {
    using space = guest();
    using whole = space.vmap(gpa(0), PAGE);
    expect(whole.u8.length).toBe(PAGE);
    using rom = space.vmap(gpa(0x3000), PAGE, { write: false });
    expect(rom.u8[0]).toBe(0);
    expect(rom.writable).toBe(false);
  });

  test("is revoked when its region goes, tells its holder once, and reads as nothing", async () => {
    using space = guest();
    const changes: VmapChange[] = [];
    const window = space.vmap(gpa(0), 64, { onChange: (change) => changes.push(change) });
    const kept = window.u32;
    const [low] = space.regions;
    await space.unmap(low as NonNullable<typeof low>);
    expect(changes).toEqual(["revoked"]);
    expect(window.valid).toBe(false);
    expect([window.u8[0], window.u16[0], window.u32[0], window.u64[0]]).toEqual([undefined, undefined, undefined, undefined]);
    window.u8[0] = 1;
    window.markDirty(0, 4);
    expect(() => window.data.getUint8(0)).toThrow(RangeError);
    expect(kept[0]).toBe(0);
    window[Symbol.dispose]();
    expect(changes).toEqual(["revoked"]);
  });

  test("stays while other regions come and go, and goes when another region shows above it", () => {
    using space = guest();
    const changes: VmapChange[] = [];
    using window = space.vmap(gpa(0x100), 64, { onChange: (change) => changes.push(change) });
    const other = space.map({ name: "other", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
    void space.unmap(other);
    space.map({ kind: "io", name: "beside", base: gpa(0x140), size: 4, priority: 1, handler: { read: () => 0, write: () => {} } });
    expect(window.valid).toBe(true);
    space.map({ kind: "io", name: "above", base: gpa(0x13f), size: 1, priority: 1, handler: { read: () => 0, write: () => {} } });
    expect([window.valid, changes]).toEqual([false, ["revoked"]]);
  });

  test("goes when its region moves, or is shown read-only", () => {
    using space = guest();
    const [low] = space.regions as [(typeof space.regions)[number]];
    using window = space.vmap(gpa(0), 64);
    using reading = space.vmap(gpa(0), 64, { write: false });
    space.map({ kind: "alias", name: "shadow", base: gpa(0), target: low, readOnly: true, priority: 1 });
    expect([window.valid, reading.valid]).toEqual([false, true]);
    space.move(low, gpa(0x20000));
    expect(reading.valid).toBe(true);
    expect(reading.u8.length).toBe(64);
  });

  test("follows memory that moved", () => {
    const wasm = new WebAssembly.Memory({ initial: 1, maximum: 4 });
    const memory = new EngineMemory({ size: PAGE, buffer: () => wasm.buffer });
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory });
    const changes: VmapChange[] = [];
    using window = space.vmap(gpa(16), 16, { onChange: (change) => changes.push(change) });
    window.u32[0] = 7;
    wasm.grow(1);
    expect([window.u32[0], window.u8[0], window.data.getUint8(0)]).toEqual([7, 7, 7]);
    memory.replaced();
    expect(changes).toEqual(["moved"]);
    expect(window.u32[0]).toBe(7);
  });

  test("whose holder throws when told harms nobody", () => {
    const faults: string[] = [];
    using space = VirtAddressSpace.create({ name: "guest", onFault: ({ code }) => faults.push(code) });
    const region = space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const told: string[] = [];
    space.vmap(gpa(0), 8, {
      onChange: () => {
        throw new Error("no");
      },
    });
    const other = space.vmap(gpa(0), 8);
    other.onChange((change) => told.push(change));
    const silenced = other.onChange(() => told.push("never"));
    silenced[Symbol.dispose]();
    void space.unmap(region);
    expect([faults, told]).toEqual([["listener-failed"], ["revoked"]]);
  });

  test("may change the map when it is told", () => {
    using space = guest();
    const [low] = space.regions as [(typeof space.regions)[number]];
    space.vmap(gpa(0), 8, {
      onChange: () => space.map({ name: "instead", base: gpa(0), memory: arrayBufferMemory(PAGE) }),
    });
    void space.unmap(low);
    expect(space.lookup(gpa(0))?.region.name).toBe("instead");
  });
});

describe("a scatter-gather map", () => {
  test("has a window for each entry, and one for each region that an entry spans", () => {
    using space = guest();
    using map = space.sgmap([
      { address: gpa(0x10), length: 16 },
      { address: gpa(0), length: 0 },
      { address: gpa(0xff0), length: 32 },
    ]);
    expect(map.segments.map(({ address, length }) => [address, length])).toEqual([
      [0x10, 16],
      [0xff0, 16],
      [0x1000, 16],
    ]);
    expect(map.length).toBe(48);
    (map.segments[2] as Vmap).u8[0] = 9;
    expect(space.readU8(gpa(0x1000))).toBe(9);
    const [low] = space.regions;
    void space.unmap(low as NonNullable<typeof low>);
    expect(map.valid).toBe(false);
    expect(map.segments.map(({ valid }) => valid)).toEqual([false, false, true]);
  });

  test("is all or nothing", () => {
    using space = guest();
    using log = space.dirtyLog("client");
    log.harvest();
    const list = [
      { address: gpa(0), length: 16 },
      { address: gpa(0x1ff0), length: 32 },
    ];
    expect(space.trySgmap(list)).toMatchObject({ code: "unmapped", address: 0x2000 });
    expect(() => space.sgmap(list)).toThrow(expect.objectContaining({ code: "unmapped" }));
    log.harvest();
    // Nothing was left open: an open window would count as dirty.
    expect(log.harvest()).toEqual([]);
    using empty = space.sgmap([]);
    expect([empty.length, empty.valid]).toEqual([0, true]);
  });
});
