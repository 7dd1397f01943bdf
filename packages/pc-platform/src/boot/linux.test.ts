import { fc, test as property } from "@fast-check/vitest";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { loadLinux } from "./linux.ts";

let memory: VirtAddressSpace;
beforeEach(() => {
  memory = space(64 * MiB);
});

function space(size: number): VirtAddressSpace {
  const made = VirtAddressSpace.create({ name: "guest" });
  made.map({ name: "ram", base: gpa(0), memory: sharedMemory(size) });
  return made;
}

const u32 = (address: number): number => memory.readU32(gpa(address)) as number;
const u64 = (address: number): bigint => memory.readBigU64(gpa(address)) as bigint;
const bytesAt = (address: number, length: number): number[] => {
  const bytes = new Uint8Array(length);
  memory.copyFrom(gpa(address), bytes);
  return [...bytes];
};

const KERNEL = 0x1000;
const SECTORS = 3;

/** A bzImage whose kernel is a pattern. */
function bzImage(change: (data: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array((SECTORS + 1) * 512 + KERNEL);
  bytes.fill(0xaa, (SECTORS + 1) * 512);
  const data = new DataView(bytes.buffer);
  data.setUint8(0x1f1, SECTORS);
  data.setUint32(0x1f4, KERNEL / 16, true);
  data.setUint16(0x1fe, 0xaa55, true);
  data.setUint8(0x201, 0x66);
  data.setUint32(0x202, 0x5372_6448, true);
  data.setUint16(0x206, 0x020f, true);
  data.setUint8(0x211, 1);
  data.setUint32(0x22c, 0x7fff_ffff, true);
  data.setUint32(0x230, 2 * MiB, true);
  data.setUint8(0x234, 1);
  data.setUint16(0x236, 1, true);
  data.setUint32(0x238, 100, true);
  data.setBigUint64(0x258, BigInt(16 * MiB), true);
  data.setUint32(0x260, 8 * MiB, true);
  change(data);
  return bytes;
}

test("a kernel stands where it likes to be, and begins in long mode at its 64-bit entry", () => {
  const registers = loadLinux(memory, bzImage());
  expect(registers).toMatchObject({ rip: BigInt(16 * MiB + 0x200), rsi: 0x7000n, cr0: 0x8000_0001, cr3: 0x9000, cr4: 0x20, efer: 0x500 });
  expect([registers.cs?.selector, registers.cs?.long, registers.ds?.selector, registers.gdt]).toEqual([
    0x10,
    true,
    0x18,
    { base: 0x500, limit: 31 },
  ]);
  expect([u32(16 * MiB), u32(16 * MiB + KERNEL - 4), u32(16 * MiB + KERNEL)]).toEqual([0xaaaa_aaaa, 0xaaaa_aaaa, 0]);
  expect([u64(0x510), u64(0x518)]).toEqual([0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn]);
});

test("the first 4 GiB are where they are", () => {
  const { cr3 = 0 } = loadLinux(memory, bzImage());
  for (const address of [0, 5 * MiB, 2 ** 30 + 2 * MiB, 2 ** 32 - 1]) {
    const directory = Number(u64(Number(u64(cr3) & ~0xfffn) + 8 * Math.floor(address / 2 ** 30)) & ~0xfffn);
    const entry = u64(directory + 8 * (Math.floor(address / (2 * MiB)) % 512));
    expect(entry).toBe(BigInt(Math.floor(address / (2 * MiB)) * 2 * MiB) | 0x83n);
  }
});

test("a kernel is told of its header, its command line, its first files, its tables and its memory", () => {
  memory.map({ name: "high", base: gpa(2 ** 32), memory: sharedMemory(4 * MiB) });
  loadLinux(memory, bzImage(), { commandLine: "console=ttyS0", initrd: new Uint8Array(5000).fill(9), acpi: 0xe_0000 });
  const zero = 0x7000;
  expect([u32(zero + 0x202), memory.readU8(gpa(zero + 0x210)), u64(zero + 0x70)]).toEqual([0x5372_6448, 0xff, 0xe_0000n]);
  expect(String.fromCharCode(...bytesAt(u32(zero + 0x228), 14))).toBe("console=ttyS0\0");
  const initrd = u32(zero + 0x218);
  expect([initrd % 4096, u32(zero + 0x21c), bytesAt(initrd, 5001).filter((byte) => byte === 9).length]).toEqual([0, 5000, 5000]);
  // As high as the kernel takes it, above its own room.
  expect(initrd).toBe(64 * MiB - 8192);
  const entries = memory.readU8(gpa(zero + 0x1e8)) as number;
  const map = Array.from({ length: entries }, (_, i) => {
    const at = zero + 0x2d0 + 20 * i;
    return [Number(u64(at)), Number(u64(at + 8)), u32(at + 16)];
  });
  expect(map).toEqual([
    [0, 0xa_0000, 1],
    [0xa_0000, 0x6_0000, 2],
    [0x10_0000, 63 * MiB, 1],
    [2 ** 32, 4 * MiB, 1],
  ]);
});

test("a small guest has its kernel at the first place that is aligned, if it may be there", () => {
  memory = space(12 * MiB);
  expect(loadLinux(memory, bzImage()).rip).toBe(BigInt(2 * MiB + 0x200));
  expect(() =>
    loadLinux(
      memory,
      bzImage((data) => data.setUint8(0x234, 0)),
    ),
  ).toThrow("give the guest more memory");
});

describe("what is refused changes nothing", () => {
  const altered = (change: (data: DataView) => void): Uint8Array => bzImage(change);
  test.each([
    ["no file", new Uint8Array(), "bad-image"],
    ["no kernel", new Uint8Array(0x2000), "bad-image"],
    ["an old kernel", altered((data) => data.setUint16(0x206, 0x0207, true)), "bad-image"],
    ["a zImage", altered((data) => data.setUint8(0x211, 0)), "bad-image"],
    ["a kernel of 32 bits", altered((data) => data.setUint16(0x236, 0, true)), "bad-image"],
    ["a cut file", bzImage().subarray(0, 0x1000), "bad-image"],
    ["an empty kernel", altered((data) => data.setUint32(0x1f4, 0, true)), "bad-image"],
    ["a header past its place", altered((data) => data.setUint8(0x201, 0xff)), "bad-image"],
    ["an alignment that is none", altered((data) => data.setUint32(0x230, 3, true)), "bad-image"],
    ["no alignment", altered((data) => data.setUint32(0x230, 0, true)), "bad-image"],
    ["an address past 4 GiB", altered((data) => data.setBigUint64(0x258, 2n ** 40n, true)), "bad-image"],
    ["a kernel that unpacks itself to more than there is", altered((data) => data.setUint32(0x260, 0xf000_0000, true)), "no-room"],
  ])("%s", (_what, image, code) => {
    expect(() => loadLinux(memory, image)).toThrow(expect.objectContaining({ name: "PcPlatformError", code }));
    expect([u32(0x500), u32(0x7202), u32(0x9000)]).toEqual([0, 0, 0]);
  });

  test.each([
    ["a command line that is too long", { commandLine: "x".repeat(101) }],
    ["first files without room", { initrd: new Uint8Array(41 * MiB) }],
  ])("%s", (_what, options) => {
    expect(() => loadLinux(memory, bzImage(), options)).toThrow(expect.objectContaining({ code: "no-room" }));
    expect([u32(0x500), u32(0x7202), u32(0x9000)]).toEqual([0, 0, 0]);
  });
});

property.prop([fc.array(fc.tuple(fc.integer({ min: 0x1f0, max: 0x268 }), fc.nat(255)), { maxLength: 12 }), fc.nat(0x2000)])(
  "an image with bytes changed and its end cut is loaded or refused, and never anything else",
  (changes, length) => {
    const image = bzImage((data) => {
      for (const [at, value] of changes) data.setUint8(at, value);
    });
    try {
      loadLinux(memory, image.subarray(0, length));
    } catch (error) {
      expect(PcPlatformError.is(error)).toBe(true);
    }
  },
);
