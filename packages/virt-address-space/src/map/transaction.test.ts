import { describe, expect, test } from "vitest";
import { type GuestAddress, gpa, VirtAddressSpace } from "../index.ts";
import { arrayBufferMemory } from "../memory/array-buffer-memory.ts";
import type { RegionSpec } from "../region/region.ts";

const PAGE = 4096;
const silent = { read: () => 0, write: () => {} };

function code(expected: string): unknown {
  return expect.objectContaining({ name: "VirtAddressSpaceError", code: expected });
}

function shape(space: VirtAddressSpace): [string, number, number][] {
  return space.view().ranges.map(({ region, start, size }) => [region.name, start, size]);
}

describe("mapping", () => {
  test("RAM, ROM, an alias and an I/O window show where they were put", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = arrayBufferMemory(4 * PAGE);
    const ram = space.map({ name: "ram", base: gpa(0), memory });
    space.map({ kind: "rom", name: "rom", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
    space.map({ kind: "alias", name: "high", base: gpa(0x20000), target: ram, offset: PAGE, size: PAGE });
    space.map({ kind: "io", name: "uart", base: gpa(0x30000), size: 8, handler: silent });

    expect(shape(space)).toEqual([
      ["ram", 0, 4 * PAGE],
      ["rom", 0x10000, PAGE],
      ["high", 0x20000, PAGE],
      ["uart", 0x30000, 8],
    ]);
    const high = space.lookup(gpa(0x20000));
    expect(high?.source).toBe(ram);
    expect(high?.offset).toBe(PAGE);
    expect(high?.memory?.provider).toBe(memory);
    expect(space.lookup(gpa(0x10000))?.writable).toBe(false);
    expect(space.lookup(gpa(0x30000))?.io).toBe(true);
    expect(space.view().generation).toBe(4);
    expect(space.regions.map(({ id, base }) => [id, base])).toEqual([
      [1, 0],
      [2, 0x10000],
      [3, 0x20000],
      [4, 0x30000],
    ]);
  });

  test("an alias of an alias shows the end of the chain, and read-only anywhere in it makes it read-only", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const ram = space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4 * PAGE), offset: PAGE, size: 3 * PAGE });
    const one = space.map({ kind: "alias", name: "one", base: gpa(0x10000), target: ram, offset: 0x10, readOnly: true });
    space.map({ kind: "alias", name: "two", base: gpa(0x20000), target: one, offset: 0x20, size: 0x30 });
    space.writeU8(gpa(0x30), 7);
    expect(space.readU8(gpa(0x20000))).toBe(7);
    expect(space.writeU8(gpa(0x20000), 8)).toBe(false);
    expect(space.lookup(gpa(0x20000))).toMatchObject({ offset: PAGE + 0x30, writable: false, source: ram });
  });

  test("a part of a memory, and the same memory twice", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = arrayBufferMemory(4 * PAGE);
    space.map({ name: "first", base: gpa(0), memory, size: PAGE });
    space.map({ name: "last", base: gpa(0x8000), memory, offset: 3 * PAGE });
    space.map({ name: "again", base: gpa(0x10000), memory });
    space.writeU32(gpa(0x8000), 0x1234_5678);
    expect(space.readU32(gpa(0x10000 + 3 * PAGE))).toBe(0x1234_5678);
    expect(space.readU32(gpa(0))).toBe(0);
  });

  test("a greater priority shows above a smaller one, wherever it was mapped first", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const over = space.map({ kind: "io", name: "vga", base: gpa(0xa000), size: 0x2000, handler: silent, priority: 1 });
    space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(0x10000) });
    space.map({ kind: "io", name: "top", base: gpa(0xb000), size: 0x10, handler: silent, priority: 2 });
    expect(shape(space)).toEqual([
      ["ram", 0, 0xa000],
      ["vga", 0xa000, 0x1000],
      ["top", 0xb000, 0x10],
      ["vga", 0xb010, 0xff0],
      ["ram", 0xc000, 0x4000],
    ]);
    expect(space.lookup(gpa(0xc000))?.offset).toBe(0xc000);
    void space.unmap(over);
    expect(shape(space)).toEqual([
      ["ram", 0, 0xb000],
      ["top", 0xb000, 0x10],
      ["ram", 0xb010, 0x4ff0],
    ]);
  });

  test("port I/O is a space of 64 KiB", () => {
    using ports = VirtAddressSpace.create({ name: "ports", size: 0x10000 });
    ports.map({ kind: "io", name: "last", base: gpa(0xffff), size: 1, handler: silent });
    expect(() => ports.map({ kind: "io", name: "past", base: gpa(0xfffe), size: 3, handler: silent })).toThrow(code("out-of-bounds"));
  });
});

describe("what can't be mapped changes nothing", () => {
  const memory = arrayBufferMemory(PAGE);
  const cases: readonly (readonly [string, string, Record<string, unknown>])[] = [
    ["no name", "invalid-argument", { name: "" }],
    ["a negative base", "invalid-address", { base: -4096 }],
    ["a fractional base", "invalid-address", { base: 0.5 }],
    ["NaN as a base", "invalid-address", { base: Number.NaN }],
    ["a base past 2^52", "invalid-address", { base: 2 ** 52 }],
    ["an end past the space", "out-of-bounds", { base: 2 ** 52 - 1 }],
    ["no memory", "invalid-argument", { memory: undefined }],
    ["memory that is none", "invalid-argument", { memory: new Uint8Array(16) }],
    ["a size past the memory", "out-of-bounds", { size: PAGE + 1 }],
    ["an offset past the memory", "out-of-bounds", { offset: PAGE }],
    ["a negative offset", "invalid-length", { offset: -1 }],
    ["a fractional size", "invalid-length", { size: 1.5 }],
    ["no size", "out-of-bounds", { size: 0 }],
    ["NaN as a size", "invalid-length", { size: Number.NaN }],
    ["a fractional priority", "invalid-argument", { priority: 0.5 }],
    ["an unknown kind", "invalid-argument", { kind: "mmio" }],
    ["an I/O window without a handler", "invalid-argument", { kind: "io", size: 8 }],
    ["an I/O window of no size", "invalid-length", { kind: "io", size: 0, handler: silent }],
    ["an alias of nothing", "unknown-region", { kind: "alias", target: undefined }],
    ["overlap at one byte", "overlap", { base: 0x10fff }],
    ["overlap from below", "overlap", { base: 0x10000 - PAGE + 1 }],
  ];

  test.each(cases)("%s", (_, expected, change) => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
    const before = space.view();
    const spec = { name: "new", base: gpa(0), memory, ...change } as unknown as RegionSpec;
    expect(() => space.map(spec)).toThrow(code(expected));
    expect(space.view()).toBe(before);
    expect(space.regions).toHaveLength(1);
  });

  test("released memory, and an alias of a region that was unmapped", async () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const short = arrayBufferMemory(PAGE);
    const region = space.map({ name: "ram", base: gpa(0), memory: short });
    await space.unmap(region);
    expect(() => space.map({ name: "ram", base: gpa(0), memory: short })).toThrow(code("released"));
    expect(() => space.map({ kind: "alias", name: "alias", base: gpa(0), target: region })).toThrow(code("unknown-region"));
  });

  test("regions that touch do not overlap", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "a", base: gpa(0x1000), memory: arrayBufferMemory(PAGE) });
    space.map({ name: "b", base: gpa(0x2000), memory: arrayBufferMemory(PAGE) });
    space.map({ name: "c", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    expect(space.view().ranges).toHaveLength(3);
  });

  test("the message of an overlap names both and the remedy", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    expect(() => space.map({ kind: "io", name: "uart", base: gpa(0x800), size: 8, handler: silent })).toThrow(
      'region "uart" at 0x800 overlaps "ram" at 0x0: move one of them, or give one a greater priority',
    );
  });
});

describe("unmapping and moving", () => {
  test("a region is gone at once, its memory with the last holder", async () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = arrayBufferMemory(PAGE);
    const region = space.map({ name: "ram", base: gpa(0), memory });
    const settled = space.unmap(region);
    expect(space.readU8(gpa(0))).toBeUndefined();
    expect(region.base).toBeUndefined();
    await settled;
    expect(memory.released).toBe(true);
  });

  test("memory stays while another region shows it, or somebody retains it", async () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const memory = arrayBufferMemory(PAGE);
    const one = space.map({ name: "one", base: gpa(0), memory });
    const two = space.map({ name: "two", base: gpa(0x10000), memory });
    const reference = memory.retain();
    await space.unmap(one);
    await space.unmap(two);
    expect(memory.released).toBe(false);
    reference[Symbol.dispose]();
    expect(memory.released).toBe(true);
  });

  test("the target of an alias goes with the alias, or not at all", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const ram = space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const alias = space.map({ kind: "alias", name: "shadow", base: gpa(0x10000), target: ram });
    expect(() => space.unmap(ram)).toThrow('shown by the alias "shadow"');
    expect(space.regions).toHaveLength(2);
    space.transaction((change) => {
      change.unmap(alias);
      change.unmap(ram);
    });
    expect(space.regions).toHaveLength(0);
  });

  test("a move takes the bytes along", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const ram = space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    space.writeU32(gpa(0x10), 42);
    const { generation } = space.move(ram, gpa(0x10000));
    expect(generation).toBe(2);
    expect(ram.base).toBe(0x10000);
    expect(space.readU32(gpa(0x10))).toBeUndefined();
    expect(space.readU32(gpa(0x10010))).toBe(42);
    expect(() => space.move(ram, gpa(2 ** 52 - 1))).toThrow(code("out-of-bounds"));
    expect(() => space.move(ram, -1 as GuestAddress)).toThrow(code("invalid-address"));
  });

  test("what is not mapped here can't be unmapped or moved", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    using other = VirtAddressSpace.create({ name: "other" });
    const foreign = other.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    expect(() => space.unmap(foreign)).toThrow(code("unknown-region"));
    expect(() => space.move(foreign, gpa(0))).toThrow(code("unknown-region"));
    expect(() => space.unmap(undefined as never)).toThrow(code("unknown-region"));
  });
});

describe("a transaction", () => {
  test("is one step for readers", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const a = space.map({ name: "a", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const { generation } = space.transaction((change) => {
      change.unmap(a);
      const b = change.map({ name: "b", base: gpa(0), memory: arrayBufferMemory(PAGE) });
      change.map({ kind: "alias", name: "c", base: gpa(0x10000), target: b });
      change.move(b, gpa(0x20000));
    });
    expect(generation).toBe(2);
    expect(shape(space)).toEqual([
      ["c", 0x10000, PAGE],
      ["b", 0x20000, PAGE],
    ]);
  });

  test("that swaps two regions never overlaps in between", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const a = space.map({ name: "a", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const b = space.map({ name: "b", base: gpa(PAGE), memory: arrayBufferMemory(PAGE) });
    space.transaction((change) => {
      change.move(a, gpa(PAGE));
      change.move(b, gpa(0));
    });
    expect(shape(space).map(([name]) => name)).toEqual(["b", "a"]);
  });

  test("whose body throws has not happened", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const kept = space.map({ name: "kept", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const before = space.view();
    const memory = arrayBufferMemory(PAGE);
    expect(() =>
      space.transaction((change) => {
        change.unmap(kept);
        change.map({ name: "new", base: gpa(0), memory });
        throw new Error("on second thoughts");
      }),
    ).toThrow("on second thoughts");
    expect(space.view()).toBe(before);
    expect(kept.base).toBe(0);
    // The memory was never retained, so it can still be used.
    space.map({ name: "new", base: gpa(0x10000), memory });
  });

  test("that overlaps in the end has not happened, and leaves the memory usable", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "kept", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    const memory = arrayBufferMemory(2 * PAGE);
    expect(() =>
      space.transaction((change) => {
        change.map({ name: "fine", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
        change.map({ name: "new", base: gpa(0), memory });
      }),
    ).toThrow(code("overlap"));
    expect(shape(space)).toEqual([["kept", 0, PAGE]]);
    expect(space.view().generation).toBe(1);
    expect(memory.released).toBe(false);
    space.map({ name: "new", base: gpa(0x10000), memory });
  });

  test("is dead once it is over", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    let kept: Parameters<Parameters<VirtAddressSpace["transaction"]>[0]>[0] | undefined;
    space.transaction((change) => {
      kept = change;
    });
    expect(() => kept?.map({ name: "late", base: gpa(0), memory: arrayBufferMemory(PAGE) })).toThrow("this transaction is over");
    expect(space.view().generation).toBe(0);
  });

  test("does not take another inside it", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    expect(() =>
      space.transaction((change) => {
        space.map({ name: "inner", base: gpa(0), memory: arrayBufferMemory(PAGE) });
        change.map({ name: "outer", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
      }),
    ).toThrow(code("busy"));
    expect(space.regions).toHaveLength(0);
  });
});
