/**
 * Loads Linux as a 64-bit boot loader does: a bzImage, its first files and its command line. The first vCPU begins at the kernel's
 * 64-bit entry, in long mode, with the first 4 GiB mapped to themselves.
 *
 * @see Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"
 * @see Documentation/arch/x86/zero-page.rst
 * @module
 */
import { flatCode, flatData, type X86Registers } from "@virtspace/hypervisor";
import { PAGE_SIZE, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { asciiBytes } from "../text/ascii.ts";
import { type BzImage, HEADER_AT, parseBzImage } from "./bzimage.ts";
import { requireRoom, writeInto } from "./guest-room.ts";
import { type MemoryPiece, writableMemory } from "./memory-map.ts";

const GDT_AT = 0x500;
const ZERO_PAGE_AT = 0x7000;
const TABLES_AT = 0x9000;
const COMMAND_LINE_AT = 0x2_0000;
/** From the display adapter's hole to 1 MiB: nobody's. */
const LEGACY_HOLE = { start: 0xa_0000, end: 0x10_0000 } as const;

const ENTRY_64 = 0x200;
const CODE = 0x10;
const DATA = 0x18;
/** Flat descriptors, as the protocol has them: 64-bit code at 0x10, data at 0x18. */
const GDT = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn];

const PRESENT_WRITABLE = 3n;
const LARGE = 0x80n;
const LARGE_PAGE = 0x20_0000;
const GIBIBYTES = 4;
const ENTRIES = 512;
const LONG_MODE = 0x500;
const PHYSICAL_ADDRESS_EXTENSION = 0x20;
const PROTECTED_WITH_PAGING = 0x8000_0001;

/** Offsets in the zero page. */
const Zero = { acpi: 0x70, mapEntries: 0x1e8, header: HEADER_AT, loader: 0x210, files: 0x218, commandLine: 0x228, map: 0x2d0 } as const;
/** A loader that has no number of its own. */
const UNDEFINED_LOADER = 0xff;
const MAP_ENTRY = 20;
const MOST_ENTRIES = 128;
const Kind = { ram: 1, reserved: 2 } as const;

/** What goes with a kernel. */
export interface LinuxOptions {
  /** Its first files: an initrd or initramfs. */
  readonly initrd?: Uint8Array;
  /** Its command line. */
  readonly commandLine?: string;
  /** Where its ACPI tables begin: {@link writeAcpiTables} says. */
  readonly acpi?: number;
}

/**
 * Writes a kernel and what it is told into a guest's memory. Everything is checked before anything is written.
 *
 * @returns what the first vCPU begins with
 * @throws {@link PcPlatformError} `bad-image`, `no-room`
 */
export function loadLinux(
  space: VirtAddressSpace,
  image: Uint8Array,
  { initrd = new Uint8Array(), commandLine = "", acpi = 0 }: LinuxOptions = {},
): Partial<X86Registers> {
  const parsed = parseBzImage(image);
  const line = Uint8Array.from(asciiBytes(`${commandLine}\0`));
  if (line.length - 1 > parsed.commandLineSize) {
    throw new PcPlatformError(
      "no-room",
      `the command line has ${line.length - 1} bytes, and this kernel takes ${parsed.commandLineSize}: shorten it`,
    );
  }
  const memory = writableMemory(space);
  const kernelAt = kernelAddress(memory, parsed);
  const initrdAt = initrd.length === 0 ? 0 : initrdAddress(memory, kernelAt + parsed.initSize, initrd.length, parsed.initrdMax);
  const zeroPage = zeroPageOf(parsed, memory, { commandLine: COMMAND_LINE_AT, initrd: initrdAt, initrdSize: initrd.length, acpi });
  const pieces: readonly (readonly [address: number, bytes: Uint8Array])[] = [
    [GDT_AT, quads(GDT)],
    [ZERO_PAGE_AT, zeroPage],
    [TABLES_AT, identityTables()],
    [COMMAND_LINE_AT, line],
    [kernelAt, parsed.kernel],
    [initrdAt, initrd],
  ];
  for (const [address, bytes] of pieces) requireRoom(space, address, bytes.length);
  for (const [address, bytes] of pieces) writeInto(space, address, bytes);
  return entryRegisters(kernelAt + ENTRY_64);
}

function entryRegisters(entry: number): Partial<X86Registers> {
  const data = flatData(DATA);
  return {
    ...{ rip: BigInt(entry), rsi: BigInt(ZERO_PAGE_AT), rsp: 0n, rbp: 0n, rflags: 2n },
    ...{ cs: flatCode(CODE, 64), ds: data, es: data, fs: data, gs: data, ss: data },
    ...{ gdt: { base: GDT_AT, limit: GDT.length * 8 - 1 }, idt: { base: 0, limit: 0 } },
    ...{ cr0: PROTECTED_WITH_PAGING, cr3: TABLES_AT, cr4: PHYSICAL_ADDRESS_EXTENSION, efer: LONG_MODE },
  };
}

/** Where it likes to be, or, if it may be elsewhere, the first place from 1 MiB on that has room for it. */
function kernelAddress(memory: readonly MemoryPiece[], { preferredAddress, relocatable, alignment, initSize }: BzImage): number {
  if (fits(memory, preferredAddress, initSize)) return preferredAddress;
  if (relocatable) {
    for (const { start } of memory) {
      const address = Math.ceil(Math.max(start, LEGACY_HOLE.end) / alignment) * alignment;
      if (address < GIBIBYTES * 2 ** 30 && fits(memory, address, initSize)) return address;
    }
  }
  throw new PcPlatformError(
    "no-room",
    `this kernel wants ${initSize} bytes from 0x${preferredAddress.toString(16)} on: give the guest more memory`,
  );
}

/** As high as it may be: the kernel below needs room to unpack itself. */
function initrdAddress(memory: readonly MemoryPiece[], from: number, length: number, last: number): number {
  for (const { start, size } of memory.toReversed()) {
    const address = Math.floor((Math.min(start + size, last + 1) - length) / PAGE_SIZE) * PAGE_SIZE;
    if (address >= Math.max(start, from)) return address;
  }
  throw new PcPlatformError("no-room", `there is no memory behind the kernel for ${length} bytes of its first files: give the guest more`);
}

const fits = (memory: readonly MemoryPiece[], address: number, length: number): boolean =>
  memory.some(({ start, size }) => start <= address && address + length <= start + size);

interface Told {
  readonly commandLine: number;
  readonly initrd: number;
  readonly initrdSize: number;
  readonly acpi: number;
}

function zeroPageOf({ header }: BzImage, memory: readonly MemoryPiece[], { commandLine, initrd, initrdSize, acpi }: Told): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  const data = new DataView(bytes.buffer);
  bytes.set(header, Zero.header);
  data.setUint8(Zero.loader, UNDEFINED_LOADER);
  data.setUint32(Zero.commandLine, commandLine, true);
  data.setUint32(Zero.files, initrd, true);
  data.setUint32(Zero.files + 4, initrdSize, true);
  data.setBigUint64(Zero.acpi, BigInt(acpi), true);
  const entries = memory.flatMap(aroundTheHole).slice(0, MOST_ENTRIES);
  entries.forEach(([start, end, kind], index) => {
    const at = Zero.map + index * MAP_ENTRY;
    data.setBigUint64(at, BigInt(start), true);
    data.setBigUint64(at + 8, BigInt(end - start), true);
    data.setUint32(at + 16, kind, true);
  });
  data.setUint8(Zero.mapEntries, entries.length);
  return bytes;
}

type MapEntry = readonly [start: number, end: number, kind: number];

/** Where a PC has its display adapter and its firmware, a kernel doesn't look for memory. */
function aroundTheHole({ start, size }: MemoryPiece): MapEntry[] {
  const end = start + size;
  const pieces: MapEntry[] = [
    [start, Math.min(end, LEGACY_HOLE.start), Kind.ram],
    [Math.max(start, LEGACY_HOLE.start), Math.min(end, LEGACY_HOLE.end), Kind.reserved],
    [Math.max(start, LEGACY_HOLE.end), end, Kind.ram],
  ];
  return pieces.filter(([from, to]) => from < to);
}

/** Page tables that show the first 4 GiB where they are. */
function identityTables(): Uint8Array {
  const table = (index: number): bigint => BigInt(TABLES_AT + index * PAGE_SIZE) | PRESENT_WRITABLE;
  const entries = new BigUint64Array((2 + GIBIBYTES) * ENTRIES);
  entries[0] = table(1);
  for (let i = 0; i < GIBIBYTES; i++) entries[ENTRIES + i] = table(2 + i);
  for (let i = 0; i < GIBIBYTES * ENTRIES; i++) entries[2 * ENTRIES + i] = BigInt(i * LARGE_PAGE) | PRESENT_WRITABLE | LARGE;
  return quads(entries);
}

function quads(values: ArrayLike<bigint>): Uint8Array {
  const data = new DataView(new ArrayBuffer(values.length * 8));
  for (let i = 0; i < values.length; i++) data.setBigUint64(i * 8, values[i] as bigint, true);
  return new Uint8Array(data.buffer);
}
