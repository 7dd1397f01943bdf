import { describe, expect, test } from "vitest";
import { arrayBufferMemory, EngineMemory, type GuestAddress, gpa, type MemoryProvider, sharedMemory, VirtAddressSpace } from "../index.ts";

const PAGE = 4096;

function invalid(code: string): unknown {
  return expect.objectContaining({ name: "VirtAddressSpaceError", code });
}

/** RAM at 0, RAM that follows it at once, a hole of a page, ROM, RAM. */
function guest(): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest" });
  const rom = arrayBufferMemory(PAGE);
  rom.bytes().fill(0x90);
  space.map({ name: "low", base: gpa(0), memory: arrayBufferMemory(PAGE) });
  space.map({ name: "next", base: gpa(0x1000), memory: sharedMemory(PAGE) });
  space.map({ kind: "rom", name: "rom", base: gpa(0x3000), memory: rom });
  space.map({ name: "top", base: gpa(0x4000), memory: arrayBufferMemory(PAGE) });
  return space;
}

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i + 1);

describe("copies return the bytes not copied", () => {
  test.each([
    ["within a region", 0x10, 100, 0, 0],
    ["up to a region's end", 0xff0, 16, 0, 0],
    ["one past a region's end, into the next", 0xff0, 17, 0, 0],
    ["up to a hole", 0x1ff0, 16, 0, 0],
    ["one byte into a hole", 0x1ff0, 17, 1, 1],
    ["across a hole", 0x1ff0, 0x1100, 0x10f0, 0x10f0],
    ["in a hole", 0x2800, 8, 8, 8],
    ["past everything", 2 ** 52 - 8, 8, 8, 8],
    ["into ROM", 0x3000, 8, 8, 0],
    ["from ROM into RAM", 0x3ff8, 16, 16, 0],
    ["of nothing", 0x10, 0, 0, 0],
    ["of nothing in a hole", 0x2800, 0, 0, 0],
  ])("%s", (_, address, length, notWritten, notRead) => {
    using space = guest();
    const source = counting(length);
    expect(space.copyTo(gpa(address), source)).toBe(notWritten);
    const target = new Uint8Array(length);
    expect(space.copyFrom(gpa(address), target)).toBe(notRead);
    const written = length - notWritten;
    expect(target.subarray(0, written)).toEqual(source.subarray(0, written));
    expect([...target.subarray(length - notRead)].every((byte) => byte === 0)).toBe(true);
  });

  test("fill stops where a copy does", () => {
    using space = guest();
    expect(space.fill(gpa(0xff0), 0x20, 0xab)).toBe(0);
    expect(space.fill(gpa(0x1ff0), 0x20, 0xcd)).toBe(0x10);
    expect(space.readU8(gpa(0x100f))).toBe(0xab);
    expect(space.readU8(gpa(0x1fff))).toBe(0xcd);
    expect(space.fill(gpa(0x1ff0), 0x10)).toBe(0);
    expect(space.readU8(gpa(0x1fff))).toBe(0);
  });

  test("a copy crosses a hundred regions of a hundred memories", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.transaction((change) => {
      for (let i = 0; i < 100; i++) change.map({ name: `r${i}`, base: gpa(i * 16), memory: arrayBufferMemory(16) });
    });
    const source = Uint8Array.from({ length: 1600 }, (_, i) => i % 251);
    expect(space.copyTo(gpa(0), source)).toBe(0);
    const target = new Uint8Array(1601);
    expect(space.copyFrom(gpa(0), target)).toBe(1);
    expect(target.subarray(0, 1600)).toEqual(source);
  });

  test("scatter and gather go through ranges in turn and stop at the first that stops", () => {
    using space = guest();
    const ranges = [
      { address: gpa(0x4000), length: 3 },
      { address: gpa(0x10), length: 0 },
      { address: gpa(0xffe), length: 4 },
    ];
    expect(space.scatter(ranges, counting(7))).toBe(0);
    const target = new Uint8Array(7);
    expect(space.gather(ranges, target)).toBe(0);
    expect(target).toEqual(counting(7));
    expect(space.scatter(ranges, counting(9))).toBe(2);
    expect(space.gather(ranges, new Uint8Array(2))).toBe(0);
    const broken = [
      { address: gpa(0x1ffe), length: 4 },
      { address: gpa(0x10), length: 4 },
    ];
    expect(space.scatter(broken, counting(8))).toBe(6);
    expect(space.readU32(gpa(0x10))).toBe(0);
    expect(() => space.gather([{ address: gpa(0), length: -1 }], target)).toThrow(invalid("invalid-length"));
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 52, Number.POSITIVE_INFINITY])("%d is no address: that throws and writes nothing", (wrong) => {
    using space = guest();
    const address = wrong as GuestAddress;
    const calls = [
      () => space.copyTo(address, counting(4)),
      () => space.copyFrom(address, counting(4)),
      () => space.copyTo(address, counting(0)),
      () => space.fill(address, 4),
      () => space.readU8(address),
      () => space.readU32(address),
      () => space.readBigU64(address),
      () => space.writeU8(address, 1),
      () => space.writeU64(address, 1),
      () => space.atomicLoad(address, 8),
      () => space.atomicStore(address, 32, 1),
      () => space.vmap(address, 4),
      () => space.markDirty(address, 4),
      () => space.lookup(address),
    ];
    for (const call of calls) expect(call).toThrow(invalid("invalid-address"));
    expect(space.readU64(gpa(0))).toBe(0);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("%d is no length", (length) => {
    using space = guest();
    expect(() => space.fill(gpa(0), length)).toThrow(invalid("invalid-length"));
    // A window's length may be a guest's: one that is merely too large leaves the region.
    expect(() => space.vmap(gpa(0), length)).toThrow(invalid(length > 1 ? "crosses-region" : "invalid-length"));
    expect(() => space.markDirty(gpa(0), length)).toThrow(invalid("invalid-length"));
  });
});

describe("scalars", () => {
  test("are little-endian, of any alignment", () => {
    using space = guest();
    space.copyTo(gpa(1), counting(8));
    expect(space.readU8(gpa(1))).toBe(1);
    expect(space.readU16(gpa(1))).toBe(0x0201);
    expect(space.readU32(gpa(1))).toBe(0x0403_0201);
    expect(space.readBigU64(gpa(1))).toBe(0x0807_0605_0403_0201n);
    expect(space.readU64(gpa(1))).toBe(Number(0x0807_0605_0403_0201n));
  });

  test("are written in their width, whatever more was given", () => {
    using space = guest();
    expect(space.writeU8(gpa(3), 0x1ff)).toBe(true);
    expect(space.writeU16(gpa(5), -1)).toBe(true);
    expect(space.writeU32(gpa(9), 0x1_0000_0002)).toBe(true);
    expect(space.writeBigU64(gpa(17), -2n)).toBe(true);
    expect([3, 5, 9].map((at) => space.readU32(gpa(at)))).toEqual([0xffff_00ff | 0, 0xffff, 2].map((n) => n >>> 0));
    expect(space.readBigU64(gpa(17))).toBe(0xffff_ffff_ffff_fffen);
  });

  test("cross from one region into the next", () => {
    using space = guest();
    for (const at of [0xff9, 0xffd, 0xfff]) {
      expect(space.writeBigU64(gpa(at), 0x1122_3344_5566_7788n)).toBe(true);
      expect(space.readBigU64(gpa(at))).toBe(0x1122_3344_5566_7788n);
      expect(space.readU64(gpa(at))).toBe(Number(0x1122_3344_5566_7788n));
    }
    expect(space.writeU16(gpa(0xfff), 0xbeef)).toBe(true);
    expect(space.readU16(gpa(0xfff))).toBe(0xbeef);
  });

  test("that would reach a hole or a ROM are not written, not in part either", () => {
    using space = guest();
    for (const at of [0x1ffd, 0x1fff, 0x2000, 0x3000, 0x3ffe]) {
      expect(space.writeU32(gpa(at), 0xffff_ffff)).toBe(false);
      expect(space.writeBigU64(gpa(at), -1n)).toBe(false);
    }
    expect(space.readU8(gpa(0x1fff))).toBe(0);
    expect(space.readU8(gpa(0x4000))).toBe(0);
    expect(space.readU32(gpa(0x1ffd))).toBeUndefined();
    expect(space.readU8(gpa(0x2000))).toBeUndefined();
    expect(space.readU32(gpa(0x3ffe))).toBe(0x9090);
  });

  test("of 64 bits as a number are exact to 2^53 - 1, and never below 2^53 beyond", () => {
    using space = guest();
    expect(space.writeU64(gpa(0), Number.MAX_SAFE_INTEGER)).toBe(true);
    expect(space.readU64(gpa(0))).toBe(Number.MAX_SAFE_INTEGER);
    space.writeBigU64(gpa(0), (1n << 53n) + 1n);
    expect(space.readU64(gpa(0))).toBeGreaterThanOrEqual(2 ** 53);
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => space.writeU64(gpa(0), value)).toThrow(invalid("invalid-argument"));
    }
  });
});

describe("atomics", () => {
  test("load, store and compare-exchange in every width", () => {
    using space = guest();
    for (const base of [0x100, 0x1100]) {
      for (const width of [8, 16, 32] as const) {
        const address = gpa(base + width);
        const top = 2 ** width - 1;
        expect(space.atomicStore(address, width, top)).toBe(true);
        expect(space.atomicLoad(address, width)).toBe(top);
        expect(space.atomicCompareExchange(address, width, 1, 2)).toBe(top);
        expect(space.atomicCompareExchange(address, width, top, 2)).toBe(top);
        expect(space.atomicLoad(address, width)).toBe(2);
      }
      const address = gpa(base + 64);
      expect(space.atomicStore64(address, -1n)).toBe(true);
      expect(space.atomicLoad64(address)).toBe(0xffff_ffff_ffff_ffffn);
      expect(space.atomicCompareExchange64(address, 0xffff_ffff_ffff_ffffn, 5n)).toBe(0xffff_ffff_ffff_ffffn);
      expect(space.readBigU64(address)).toBe(5n);
    }
  });

  test("are refused unaligned, in holes, and for writing on ROM", () => {
    using space = guest();
    expect(space.atomicLoad(gpa(0x101), 16)).toBeUndefined();
    expect(space.atomicLoad(gpa(0x102), 32)).toBeUndefined();
    expect(space.atomicLoad64(gpa(0x104))).toBeUndefined();
    expect(space.atomicStore(gpa(0x101), 32, 1)).toBe(false);
    expect(space.atomicLoad(gpa(0x2000), 32)).toBeUndefined();
    expect(space.atomicLoad(gpa(0x3000), 32)).toBe(0x9090_9090);
    expect(space.atomicStore(gpa(0x3000), 32, 1)).toBe(false);
    expect(space.atomicCompareExchange(gpa(0x3000), 32, 0x9090_9090, 1)).toBeUndefined();
    expect(space.atomicCompareExchange64(gpa(0x3000), 0n, 1n)).toBeUndefined();
    expect(space.readU32(gpa(0x3000))).toBe(0x9090_9090);
  });

  test("keep to the host's alignment where a region begins unaligned in its memory", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "odd", base: gpa(0), memory: arrayBufferMemory(64), offset: 4, size: 60 });
    expect(space.atomicStore(gpa(4), 32, 7)).toBe(true);
    expect(space.readU32(gpa(4))).toBe(7);
    expect(space.atomicStore64(gpa(8), 1n)).toBe(false);
    expect(space.atomicLoad(gpa(60), 32)).toBeUndefined();
  });
});

describe("memory that moves", () => {
  function engine(): { space: VirtAddressSpace; memory: EngineMemory; wasm: WebAssembly.Memory; wrote: [number, number][] } {
    const wasm = new WebAssembly.Memory({ initial: 1, maximum: 8 });
    const wrote: [number, number][] = [];
    const memory = new EngineMemory({
      size: PAGE,
      offset: 0x100,
      buffer: () => wasm.buffer,
      hostWrote: (offset, length) => wrote.push([offset, length]),
    });
    const space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0x1000), memory });
    return { space, memory, wasm, wrote };
  }

  test("is found again after a grow detached it, by every kind of access", () => {
    const { space, wasm } = engine();
    space.writeU32(gpa(0x1010), 42);
    const accesses = [
      () => space.readU32(gpa(0x1010)),
      () => space.readU8(gpa(0x1010)),
      () => space.atomicLoad(gpa(0x1010), 32),
      () => Number(space.readBigU64(gpa(0x1010))),
      () => new DataView(readBytes(space, 0x1010, 4).buffer).getUint32(0, true),
    ];
    for (const access of accesses) {
      wasm.grow(1);
      expect(access()).toBe(42);
    }
    wasm.grow(1);
    expect(space.writeU32(gpa(0x1010), 43)).toBe(true);
    expect(new DataView(wasm.buffer).getUint32(0x110, true)).toBe(43);
  });

  test("tells its engine of every write from the host's side", () => {
    const { space, wrote } = engine();
    space.copyTo(gpa(0x1000), counting(5));
    space.writeU16(gpa(0x1020), 1);
    space.fill(gpa(0x1030), 3);
    space.atomicStore(gpa(0x1040), 32, 1);
    space.markDirty(gpa(0x1050), 6);
    space.readU32(gpa(0x1000));
    expect(wrote).toEqual([
      [0, 5],
      [0x20, 2],
      [0x30, 3],
      [0x40, 4],
      [0x50, 6],
    ]);
  });

  test("that was replaced without being detached is followed once the engine says so", () => {
    let buffer = new ArrayBuffer(PAGE);
    const memory = new EngineMemory({ size: PAGE, buffer: () => buffer });
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory });
    space.writeU32(gpa(0), 1);
    buffer = buffer.slice(0);
    new Uint32Array(buffer)[0] = 2;
    memory.replaced();
    expect(space.readU32(gpa(0))).toBe(2);
  });

  test("that shrank away has no bytes, and has them again when it is back", () => {
    const buffer = new ArrayBuffer(PAGE, { maxByteLength: 2 * PAGE });
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory: new EngineMemory({ size: PAGE, buffer: () => buffer }) });
    space.writeU32(gpa(0), 1);
    buffer.resize(16);
    expect(space.readU32(gpa(0))).toBeUndefined();
    expect(space.writeU32(gpa(0), 2)).toBe(false);
    expect(space.copyTo(gpa(0), counting(8))).toBe(8);
    expect(space.fill(gpa(0), 8)).toBe(8);
    expect(space.tryVmap(gpa(0), 8)).toMatchObject({ code: "gone" });
    expect(space.atomicLoad(gpa(0), 32)).toBeUndefined();
    buffer.resize(PAGE);
    expect(space.readU32(gpa(0))).toBe(1);
  });

  function readBytes(space: VirtAddressSpace, address: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    expect(space.copyFrom(gpa(address), bytes)).toBe(0);
    return bytes;
  }
});

test("every reader follows the map, each with a cache of its own", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const memory = (value: number): MemoryProvider => {
    const made = arrayBufferMemory(PAGE);
    made.bytes().fill(value);
    return made;
  };
  const one = space.access();
  const two = space.access();
  const a = space.map({ name: "a", base: gpa(0), memory: memory(1) });
  space.map({ name: "b", base: gpa(0x1000), memory: memory(2) });
  expect([one.readU8(gpa(0)), two.readU8(gpa(0x1000))]).toEqual([1, 2]);
  space.transaction((change) => {
    change.unmap(a);
    change.map({ name: "c", base: gpa(0), memory: memory(3) });
  });
  expect([one.readU8(gpa(0)), two.readU8(gpa(0x1000))]).toEqual([3, 2]);
});
