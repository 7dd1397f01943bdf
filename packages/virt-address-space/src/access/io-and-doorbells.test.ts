import { describe, expect, test } from "vitest";
import { arrayBufferMemory, type DoorbellSpec, gpa, type IoHandler, LocalNotifier, type SpaceFault, VirtAddressSpace } from "../index.ts";

const PAGE = 4096;

interface Call {
  readonly op: "read" | "write";
  readonly offset: number;
  readonly size: number;
  readonly value?: number | bigint;
}

/** A window that answers with its offset and writes down each access. */
function device(calls: Call[], wide = false): IoHandler {
  return {
    read: (offset, size) => {
      calls.push({ op: "read", offset, size });
      return 0x1_0000_0000 + 0x4030_2010 + offset;
    },
    write: (offset, size, value) => {
      calls.push({ op: "write", offset, size, value });
    },
    ...(wide && {
      read64: (offset: number) => {
        calls.push({ op: "read", offset, size: 8 });
        return (1n << 64n) + 0x8877_6655_4433_2211n;
      },
      write64: (offset: number, value: bigint) => {
        calls.push({ op: "write", offset, size: 8, value });
      },
    }),
  };
}

function withWindow(wide = false): { space: VirtAddressSpace; calls: Call[]; faults: SpaceFault[] } {
  const calls: Call[] = [];
  const faults: SpaceFault[] = [];
  const space = VirtAddressSpace.create({ name: "guest", onFault: (fault) => faults.push(fault) });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
  space.map({ kind: "io", name: "dev", base: gpa(0x1000), size: 0x20, handler: device(calls, wide) });
  space.map({ name: "above", base: gpa(0x1020), memory: arrayBufferMemory(PAGE) });
  return { space, calls, faults };
}

describe("an I/O window", () => {
  test("is called once for a scalar, with its size and its offset, unaligned or not", () => {
    const { space, calls } = withWindow();
    expect(space.readU8(gpa(0x1000))).toBe(0x10);
    expect(space.readU16(gpa(0x1001))).toBe(0x2011);
    expect(space.readU32(gpa(0x1004))).toBe(0x4030_2014);
    expect(space.writeU16(gpa(0x1003), 0x1_abcd)).toBe(true);
    expect(calls).toEqual([
      { op: "read", offset: 0, size: 1 },
      { op: "read", offset: 1, size: 2 },
      { op: "read", offset: 4, size: 4 },
      { op: "write", offset: 3, size: 2, value: 0xabcd },
    ]);
  });

  test("sees 8 bytes as two accesses of 4, the lower first, unless it takes 8", () => {
    const { space, calls } = withWindow();
    expect(space.readBigU64(gpa(0x1008))).toBe(0x4030_201c_4030_2018n);
    expect(space.writeBigU64(gpa(0x1008), 0x1122_3344_5566_7788n)).toBe(true);
    expect(calls.map(({ offset, size, value }) => [offset, size, value])).toEqual([
      [8, 4, undefined],
      [12, 4, undefined],
      [8, 4, 0x5566_7788],
      [12, 4, 0x1122_3344],
    ]);
    const wide = withWindow(true);
    expect(wide.space.readBigU64(gpa(0x1008))).toBe(0x8877_6655_4433_2211n);
    expect(wide.space.writeBigU64(gpa(0x1008), 0x1122_3344_5566_7788n)).toBe(true);
    expect(wide.calls.map(({ size }) => size)).toEqual([8, 8]);
  });

  test("sees a copy as naturally aligned accesses", () => {
    const { space, calls } = withWindow();
    const target = new Uint8Array(10);
    expect(space.copyFrom(gpa(0x1001), target)).toBe(0);
    expect(calls.map(({ offset, size }) => [offset, size])).toEqual([
      [1, 1],
      [2, 2],
      [4, 4],
      [8, 2],
      [10, 1],
    ]);
    expect([...target]).toEqual([0x11, 0x12, 0x20, 0x14, 0x20, 0x30, 0x40, 0x18, 0x20, 0x1a]);
  });

  test("gets its part of a copy that begins in RAM and ends in RAM", () => {
    const { space, calls } = withWindow();
    const bytes = Uint8Array.from({ length: 0x28 }, (_, i) => i);
    expect(space.copyTo(gpa(0xffc), bytes)).toBe(0);
    expect(calls).toHaveLength(8);
    expect(calls[0]).toEqual({ op: "write", offset: 0, size: 4, value: 0x0706_0504 });
    expect(space.readU32(gpa(0xffc))).toBe(0x0302_0100);
    expect(space.readU32(gpa(0x1020))).toBe(0x2726_2524);
  });

  test("gets its part of a scalar that crosses its edge", () => {
    const { space, calls } = withWindow();
    space.writeU32(gpa(0x101e), 0x4433_2211);
    expect(calls).toEqual([{ op: "write", offset: 0x1e, size: 2, value: 0x2211 }]);
    expect(space.readU16(gpa(0x1020))).toBe(0x4433);
    expect(space.readU32(gpa(0x101e))).toBe(0x4433_202e);
  });

  test("that throws fails its access, is reported once and goes on being called", () => {
    const faults: SpaceFault[] = [];
    using space = VirtAddressSpace.create({ name: "guest", onFault: (fault) => faults.push(fault) });
    let calls = 0;
    const broken = (): never => {
      calls++;
      throw new Error("a bug");
    };
    space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    space.map({ kind: "io", name: "broken", base: gpa(0x1000), size: 0x20, handler: { read: broken, write: broken } });
    expect(space.readU32(gpa(0x1000))).toBeUndefined();
    expect(space.writeU32(gpa(0x1000), 1)).toBe(false);
    expect(space.copyTo(gpa(0xffe), new Uint8Array(8))).toBe(6);
    expect(space.copyFrom(gpa(0xffe), new Uint8Array(8))).toBe(6);
    expect(calls).toBe(4);
    expect(faults).toEqual([expect.objectContaining({ code: "handler-failed", name: "broken", cause: new Error("a bug") })]);
  });

  test("whose handler comes back to it is refused there (CVE-2021-3416), and may use other memory", () => {
    const faults: SpaceFault[] = [];
    using space = VirtAddressSpace.create({ name: "guest", onFault: (fault) => faults.push(fault) });
    const ram = space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    let left = -1;
    space.map({
      kind: "io",
      name: "dma",
      base: gpa(0x1000),
      size: 0x10,
      handler: {
        read: () => 0,
        write: () => {
          left = space.copyTo(gpa(0xffc), new Uint8Array(8).fill(0xee));
        },
      },
    });
    space.map({ kind: "alias", name: "back door", base: gpa(0x2000), target: space.regions[1] as typeof ram });
    expect(space.writeU32(gpa(0x1000), 1)).toBe(true);
    expect(left).toBe(4);
    expect(space.readU32(gpa(0xffc))).toBe(0xeeee_eeee);
    expect(faults).toEqual([{ code: "reentered", name: "dma" }]);
    expect(space.writeU32(gpa(0x2000), 1)).toBe(true);
  });

  test("may be unmapped by its own handler in the middle of a copy: the copy stops there", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    let calls = 0;
    const region = space.map({
      kind: "io",
      name: "suicidal",
      base: gpa(0),
      size: 0x10,
      handler: {
        read: () => 0,
        write: () => {
          if (++calls === 2) void space.unmap(region);
        },
      },
    });
    expect(space.copyTo(gpa(0), new Uint8Array(16))).toBe(8);
    expect(calls).toBe(2);
  });

  test("may take the source of a copy away: what is left counts as not copied", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const source = new Uint8Array(16);
    const target = new Uint8Array(16);
    space.map({
      kind: "io",
      name: "thief",
      base: gpa(0),
      size: 0x10,
      handler: {
        read: () => {
          structuredClone(target.buffer, { transfer: [target.buffer] });
          return 0;
        },
        write: () => {
          structuredClone(source.buffer, { transfer: [source.buffer] });
        },
      },
    });
    expect(space.copyTo(gpa(0), source)).toBe(12);
    expect(space.copyFrom(gpa(0), target)).toBe(12);
  });

  test("can't have a window of memory, nor atomics", () => {
    const { space } = withWindow();
    expect(space.tryVmap(gpa(0x1000), 4)).toMatchObject({ code: "not-memory", region: "dev" });
    expect(space.atomicLoad(gpa(0x1000), 32)).toBeUndefined();
    expect(space.atomicStore(gpa(0x1000), 32, 1)).toBe(false);
  });

  test("is reached by ioRead and ioWrite too", async () => {
    const { space, calls } = withWindow();
    expect(await space.ioRead(gpa(0x1004), 4)).toBe(0x4030_2014n);
    expect(await space.ioWrite(gpa(0x1004), 2, 0x12345)).toBe(true);
    expect(calls.at(-1)).toEqual({ op: "write", offset: 4, size: 2, value: 0x2345 });
    expect(await space.ioRead(gpa(0), 4)).toBeUndefined();
    expect(await space.ioWrite(gpa(0x101e), 4, 1)).toBe(false);
  });
});

describe("a doorbell", () => {
  function bell(space: VirtAddressSpace, spec: Partial<DoorbellSpec>): LocalNotifier {
    const notifier = new LocalNotifier();
    space.addDoorbell({ address: gpa(0x1010), length: 4, notifier, ...spec });
    return notifier;
  }

  test("rings for a write of its length, and the handler does not see it", () => {
    const { space, calls } = withWindow();
    const notifier = bell(space, {});
    expect(space.writeU32(gpa(0x1010), 7)).toBe(true);
    expect(notifier.take()).toBe(1);
    expect(calls).toEqual([]);
    space.writeU16(gpa(0x1010), 7);
    space.writeU32(gpa(0x1014), 7);
    expect(notifier.take()).toBe(0);
    expect(calls).toHaveLength(2);
  });

  test("of length 0 rings for any length", () => {
    const { space, calls } = withWindow();
    const notifier = bell(space, { length: 0 });
    space.writeU8(gpa(0x1010), 1);
    space.writeU16(gpa(0x1010), 1);
    space.writeU32(gpa(0x1010), 1);
    space.writeBigU64(gpa(0x1010), 1n);
    expect(notifier.take()).toBe(4);
    expect(calls).toEqual([]);
  });

  test("with a datamatch rings for that value alone; each value may have its own", () => {
    const { space, calls } = withWindow();
    const zero = bell(space, { length: 2, datamatch: 0 });
    const one = bell(space, { length: 2, datamatch: 1 });
    const wide = bell(space, { length: 8, datamatch: 0xffff_ffff_0000_0001n });
    space.writeU16(gpa(0x1010), 1);
    space.writeU16(gpa(0x1010), 1);
    space.writeU16(gpa(0x1010), 2);
    space.writeBigU64(gpa(0x1010), 0xffff_ffff_0000_0001n);
    expect([zero.take(), one.take(), wide.take()]).toEqual([0, 2, 1]);
    expect(calls).toEqual([{ op: "write", offset: 0x10, size: 2, value: 2 }]);
  });

  test("rings in a hole and on ROM, and not on RAM", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    space.map({ kind: "rom", name: "rom", base: gpa(0x2000), memory: arrayBufferMemory(PAGE) });
    const [ram, rom, hole] = [0x10, 0x2010, 0x9000].map((address) => bell(space, { address: gpa(address) })) as LocalNotifier[];
    for (const address of [0x10, 0x2010, 0x9000]) expect(space.writeU32(gpa(address), 5)).toBe(true);
    expect([ram?.take(), rom?.take(), hole?.take()]).toEqual([0, 1, 1]);
    expect(space.readU32(gpa(0x10))).toBe(5);
    expect(space.readU32(gpa(0x2010))).toBe(0);
    expect(space.copyTo(gpa(0x9000), new Uint8Array(8))).toBe(4);
    expect(hole?.take()).toBe(1);
  });

  test("that would ring for the same writes as another is refused, by KVM's rule", () => {
    const { space } = withWindow();
    bell(space, { length: 4, datamatch: 1 });
    const refused: readonly Partial<DoorbellSpec>[] = [{ length: 4 }, { length: 4, datamatch: 1 }, { length: 0 }];
    for (const spec of refused) expect(() => bell(space, spec)).toThrow(expect.objectContaining({ code: "duplicate-doorbell" }));
    bell(space, { length: 4, datamatch: 2 });
    bell(space, { length: 2 });
    bell(space, { address: gpa(0x1014), length: 0 });
    expect(space.doorbells).toHaveLength(4);
  });

  test.each([
    ["an odd length", "invalid-length", { length: 3 }],
    ["a datamatch that does not fit", "invalid-argument", { length: 1, datamatch: 256 }],
    ["a negative datamatch", "invalid-argument", { datamatch: -1 }],
    ["a fractional datamatch", "invalid-argument", { datamatch: 0.5 }],
    ["a datamatch without a length", "invalid-argument", { length: 0, datamatch: 1 }],
    ["no address", "invalid-address", { address: -1 }],
  ])("with %s is refused", (_, code, spec) => {
    const { space } = withWindow();
    expect(() => bell(space, spec as unknown as DoorbellSpec)).toThrow(expect.objectContaining({ code }));
    expect(space.doorbells).toHaveLength(0);
  });

  test("is gone when it is disposed, twice too, and in a transaction as a whole", () => {
    const { space, calls } = withWindow();
    const notifier = new LocalNotifier();
    const doorbell = space.addDoorbell({ address: gpa(0x1010), length: 4, notifier });
    doorbell[Symbol.dispose]();
    doorbell[Symbol.dispose]();
    space.writeU32(gpa(0x1010), 1);
    expect([notifier.take(), calls.length]).toEqual([0, 1]);
    expect(() =>
      space.transaction((change) => {
        change.addDoorbell({ address: gpa(0x1010), length: 4, notifier });
        change.addDoorbell({ address: gpa(0x1010), length: 0, notifier });
      }),
    ).toThrow(expect.objectContaining({ code: "duplicate-doorbell" }));
    expect(space.doorbells).toHaveLength(0);
  });
});
