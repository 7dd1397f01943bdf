import { fc, test as property } from "@fast-check/vitest";
import { gpa, KiB, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { loadMultiboot } from "./multiboot.ts";

let memory: VirtAddressSpace;
beforeEach(() => {
  memory = VirtAddressSpace.create({ name: "guest" });
  memory.map({ name: "ram", base: gpa(0), memory: sharedMemory(4 * MiB) });
});

const u32 = (address: number): number => memory.readU32(gpa(address)) as number;
const text = (address: number): string => {
  let found = "";
  for (let at = address; memory.readU8(gpa(at)) !== 0; at++) found += String.fromCharCode(memory.readU8(gpa(at)) as number);
  return found;
};

interface Header {
  readonly at?: number;
  readonly flags?: number;
  readonly checksum?: number;
  readonly addresses?: readonly number[];
}

/** An image with its header at an offset, and a pattern behind it. */
function image(
  length: number,
  { at = 4, flags = 0x1_0000, checksum, addresses = [0x10_0004, 0x10_0000, 0, 0, 0x10_0040] }: Header = {},
): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
  const data = new DataView(bytes.buffer);
  data.setUint32(at, 0x1bad_b002, true);
  data.setUint32(at + 4, flags, true);
  data.setUint32(at + 8, checksum ?? -(0x1bad_b002 + flags) >>> 0, true);
  addresses.forEach((address, i) => data.setUint32(at + 12 + 4 * i, address, true));
  return bytes;
}

function elf(change: (data: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(0x200);
  const data = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  data.setUint16(16, 2, true);
  data.setUint16(18, 3, true);
  data.setUint32(24, 0x10_0010, true);
  data.setUint32(28, 52, true);
  data.setUint16(42, 32, true);
  data.setUint16(44, 1, true);
  [1, 0x100, 0x10_0000, 0x10_0000, 0x80, 0x1000].forEach((value, i) => data.setUint32(52 + 4 * i, value, true));
  bytes.set(image(0x100, { at: 0, flags: 0, addresses: [] }).subarray(0, 12), 0x100);
  change(data);
  return bytes;
}

test("an image goes where its header says, and begins there", () => {
  const bytes = image(0x2000, { addresses: [0x10_0004, 0x10_0000, 0x10_1000, 0x10_3000, 0x10_0040] });
  memory.fill(gpa(0x10_0000), 0x4000, 0xee);
  const registers = loadMultiboot(memory, bytes);
  expect(registers).toMatchObject({ rip: 0x10_0040n, rax: 0x2bad_b002n, cr0: 1 });
  const there = new Uint8Array(0x4000);
  memory.copyFrom(gpa(0x10_0000), there);
  expect(there.subarray(0, 0x1000)).toEqual(bytes.subarray(0, 0x1000));
  expect([there[0x1000], there[0x2fff], there[0x3000]]).toEqual([0, 0, 0xee]);
});

test("an ELF file goes where its segments say", () => {
  memory.fill(gpa(0x10_0000), 0x2000, 0xee);
  expect(loadMultiboot(memory, elf()).rip).toBe(0x10_0010n);
  expect([u32(0x10_0000), memory.readU8(gpa(0x10_0fff)), memory.readU8(gpa(0x10_1000))]).toEqual([0x1bad_b002, 0, 0xee]);
});

test("the guest is told of its memory, its command line and its modules", () => {
  memory.map({ name: "more", base: gpa(16 * MiB), memory: sharedMemory(2 * MiB) });
  const modules = [{ bytes: Uint8Array.of(1, 2, 3), commandLine: "first" }, { bytes: new Uint8Array(5000).fill(9) }];
  const info = Number(loadMultiboot(memory, image(0x100), { commandLine: "kernel quiet", modules }).rbx);
  expect([u32(info) & 0b1000, u32(info + 4), u32(info + 8)]).toEqual([8, 640, 3 * KiB]);
  expect([text(u32(info + 16)), text(u32(info + 64)), u32(info + 20)]).toEqual(["kernel quiet", "virtspace", 2]);
  const [first, second] = [u32(info + 24), u32(info + 24) + 16];
  expect([u32(first) % 4096, u32(first + 4) - u32(first), text(u32(first + 8))]).toEqual([0, 3, "first"]);
  expect([u32(second) - u32(first), u32(second + 4) - u32(second), memory.readU8(gpa(u32(second + 4) - 1))]).toEqual([4096, 5000, 9]);
  const entries = u32(info + 44) / 24;
  const map = Array.from({ length: entries }, (_, i) => [u32(u32(info + 48) + 24 * i + 4), u32(u32(info + 48) + 24 * i + 12)]);
  expect(map).toEqual([
    [0, 4 * MiB],
    [16 * MiB, 2 * MiB],
  ]);
});

describe("what is refused changes nothing", () => {
  test.each([
    ["no header", new Uint8Array(9000), "bad-image"],
    ["a header past the first 8 KiB", image(9000, { at: 8184 }), "bad-image"],
    ["a checksum that is off", image(100, { checksum: 5 }), "bad-image"],
    ["a display", image(100, { flags: 0x1_0004 }), "bad-image"],
    ["a requirement that nobody knows", image(100, { flags: 0x1_8000 }), "bad-image"],
    ["a header that is cut", image(20, { addresses: [] }), "bad-image"],
    ["a load address behind the header", image(100, { addresses: [0x10_0000, 0x10_0004, 0, 0, 0] }), "bad-image"],
    ["a header at an address before the file", image(100, { addresses: [0x10_0004, 0, 0, 0, 0] }), "bad-image"],
    ["an end past the file", image(100, { addresses: [0x10_0004, 0x10_0000, 0x20_0000, 0, 0] }), "bad-image"],
    ["zeros that end before the data", image(100, { addresses: [0x10_0004, 0x10_0000, 0, 0x10_0010, 0] }), "bad-image"],
    ["4 GiB of zeros", image(100, { addresses: [0x10_0004, 0x10_0000, 0, 0xffff_ffff, 0] }), "no-room"],
    ["an address without memory", image(100, { addresses: [0xe000_0004, 0xe000_0000, 0, 0, 0] }), "no-room"],
    ["the place where it is told", image(100, { addresses: [0x9_0004, 0x9_0000, 0, 0, 0] }), "no-room"],
    ["neither addresses nor an ELF file", image(100, { flags: 0, addresses: [] }), "bad-image"],
    ["an ELF file for another processor", elf((data) => data.setUint16(18, 62, true)), "bad-image"],
    ["a table of segments past the file", elf((data) => data.setUint32(28, 0x1_0000, true)), "bad-image"],
    ["too many segments", elf((data) => data.setUint16(44, 1000, true)), "bad-image"],
    ["a segment past the file", elf((data) => data.setUint32(52 + 16, 0x1000, true)), "bad-image"],
    ["a segment that shrinks", elf((data) => data.setUint32(52 + 20, 4, true)), "bad-image"],
    ["nothing to load", elf((data) => data.setUint32(52, 4, true)), "bad-image"],
  ])("%s", (_what, bytes, code) => {
    expect(() => loadMultiboot(memory, bytes)).toThrow(expect.objectContaining({ name: "PcPlatformError", code }));
    expect([...memory.save()].length).toBe([...zeros().save()].length);
  });
});

function zeros(): VirtAddressSpace {
  const empty = VirtAddressSpace.create({ name: "guest" });
  empty.map({ name: "ram", base: gpa(0), memory: sharedMemory(4 * MiB) });
  return empty;
}

property.prop([fc.array(fc.tuple(fc.nat(0x1ff), fc.nat(255)), { maxLength: 12 }), fc.boolean(), fc.nat(0x200)])(
  "an image with bytes changed and its end cut is loaded or refused, and never anything else",
  (changes, isElf, length) => {
    const bytes = isElf ? elf() : image(0x200);
    for (const [at, value] of changes) bytes[at] = value;
    try {
      loadMultiboot(memory, bytes.subarray(0, length));
    } catch (error) {
      expect(PcPlatformError.is(error)).toBe(true);
    }
  },
);
