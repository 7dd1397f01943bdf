/**
 * Loads an image as a multiboot boot loader does: one that says in its header where it goes, or an ELF file that does.
 *
 * @see Multiboot Specification 0.6.96, sections 3.1 to 3.3
 * @module
 */
import { flat32, type X86Registers } from "@virtspace/hypervisor";
import { PAGE_SIZE, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { asciiBytes } from "../text/ascii.ts";
import { elfSegments } from "./elf.ts";
import { requireRoom, writeInto } from "./guest-room.ts";
import { type MemoryPiece, writableMemory } from "./memory-map.ts";

const MAGIC = 0x1bad_b002;
/** What a loader leaves in eax. */
const BOOTED = 0x2bad_b002;
/** The header is within this. */
const SEARCHED = 8192;
const HEADER = 12;
const WITH_ADDRESSES = 32;
const HAS_ADDRESSES = 1 << 16;
/** Requirements that a loader must know; this one gives memory and aligns modules, and has no display. */
const KNOWN_REQUIREMENTS = 0b11;
const REQUIREMENTS = 0xffff;

const INFO_BYTES = 116;
const Info = { flags: 0, lower: 4, upper: 8, commandLine: 16, moduleCount: 20, modules: 24, mapLength: 44, map: 48, loader: 64 } as const;
const Has = { memory: 1, commandLine: 4, modules: 8, map: 0x40, loader: 0x200 } as const;
const MAP_ENTRY = 24;
const MODULE_ENTRY = 16;
const RAM = 1;
const LOADER = "virtspace";
const KiB = 1024;
const ONE_MEBIBYTE = 1024 * KiB;
/** Where what the guest is told stands: below the display adapter's hole. */
const TOLD_AT = 0x9_0000;

/** A file beside the kernel. */
export interface MultibootModule {
  /** What it holds. */
  readonly bytes: Uint8Array;
  /** A string for the kernel. */
  readonly commandLine?: string;
}

/** What goes with an image. */
export interface MultibootOptions {
  /** For the kernel, its own name first. */
  readonly commandLine?: string;
  /** Files beside it. */
  readonly modules?: readonly MultibootModule[];
}

interface Piece {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Zeros behind the bytes. */
  readonly zeros: number;
}

/**
 * Writes an image, and what it is told, into a guest's memory. Everything is checked before anything is written.
 *
 * @returns what the first vCPU begins with
 * @throws {@link PcPlatformError} `bad-image`, `no-room`
 */
export function loadMultiboot(
  space: VirtAddressSpace,
  image: Uint8Array,
  { commandLine = "kernel", modules = [] }: MultibootOptions = {},
): Partial<X86Registers> {
  const { entry, pieces } = kernelOf(image);
  let free = aligned(Math.max(...pieces.map(endOf)));
  const placed = modules.map(({ bytes, commandLine: text = "" }) => {
    const address = free;
    free = aligned(address + bytes.length);
    return { address, bytes, text };
  });
  const information = informationFor(TOLD_AT, space, commandLine, placed);
  const told = { address: TOLD_AT, bytes: information, zeros: 0 };
  const files = placed.map(({ address, bytes }) => ({ address, bytes, zeros: 0 }));
  for (const piece of [...pieces, ...files, told]) requireRoom(space, piece.address, endOf(piece) - piece.address);
  if ([...pieces, ...files].some((piece) => piece.address < endOf(told) && endOf(piece) > TOLD_AT)) {
    throw new PcPlatformError("no-room", `the image is where it is told of its machine, at 0x${TOLD_AT.toString(16)}: link it to 1 MiB`);
  }
  for (const { address, bytes, zeros } of [...pieces, ...files, told]) writeInto(space, address, bytes, zeros);
  return { ...flat32(entry), rax: BigInt(BOOTED), rbx: BigInt(TOLD_AT) };
}

const endOf = ({ address, bytes, zeros }: Piece): number => address + bytes.length + zeros;
const aligned = (address: number): number => Math.ceil(address / PAGE_SIZE) * PAGE_SIZE;

function kernelOf(image: Uint8Array): { readonly entry: number; readonly pieces: readonly Piece[] } {
  const data = new DataView(image.buffer, image.byteOffset, image.length);
  const at = headerOf(data);
  const flags = data.getUint32(at + 4, true);
  if ((flags & REQUIREMENTS & ~KNOWN_REQUIREMENTS) !== 0) {
    throw bad(`it needs what this loader has not (flags 0x${flags.toString(16)}): a display, say`);
  }
  if ((flags & HAS_ADDRESSES) === 0) return elfSegments(data);
  if (at + WITH_ADDRESSES > data.byteLength) throw bad("it ends within its multiboot header");
  const [header, load, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((offset) => data.getUint32(at + offset, true)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const from = at - (header - load);
  const length = loadEnd === 0 ? image.length - from : loadEnd - load;
  if (header < load || from < 0 || length <= 0 || from + length > image.length)
    throw bad("the addresses in its header lead out of the file");
  const zeros = bssEnd === 0 ? 0 : bssEnd - (load + length);
  if (zeros < 0) throw bad("in its header, what is to be zeros ends before what is loaded");
  return { entry, pieces: [{ address: load, bytes: image.subarray(from, from + length), zeros }] };
}

function headerOf(data: DataView): number {
  for (let at = 0; at + HEADER <= Math.min(data.byteLength, SEARCHED); at += 4) {
    if (data.getUint32(at, true) !== MAGIC) continue;
    if ((MAGIC + data.getUint32(at + 4, true) + data.getUint32(at + 8, true)) % 2 ** 32 === 0) return at;
  }
  throw bad(`its first ${SEARCHED} bytes hold no multiboot header`);
}

interface PlacedModule {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** The structure that the guest is told of, and what it points to. */
function informationFor(base: number, space: VirtAddressSpace, commandLine: string, modules: readonly PlacedModule[]): Uint8Array {
  const memory = writableMemory(space);
  const strings = [commandLine, LOADER, ...modules.map(({ text }) => text)].map((text) => asciiBytes(`${text}\0`));
  const mapAt = INFO_BYTES;
  const modulesAt = mapAt + memory.length * MAP_ENTRY;
  let textAt = modulesAt + modules.length * MODULE_ENTRY;
  const textsAt = strings.map(({ length }) => {
    const at = textAt;
    textAt += length;
    return at;
  });
  const bytes = new Uint8Array(textAt);
  const data = new DataView(bytes.buffer);
  const put = (offset: number, value: number): void => data.setUint32(offset, value, true);
  put(Info.flags, Has.memory | Has.commandLine | Has.map | Has.loader | (modules.length > 0 ? Has.modules : 0));
  put(Info.lower, Math.min(sizeFrom(memory, 0), 640 * KiB) / KiB);
  put(Info.upper, Math.min(sizeFrom(memory, ONE_MEBIBYTE) / KiB, 0xffff_ffff));
  put(Info.commandLine, base + (textsAt[0] as number));
  put(Info.loader, base + (textsAt[1] as number));
  put(Info.moduleCount, modules.length);
  put(Info.modules, base + modulesAt);
  put(Info.mapLength, memory.length * MAP_ENTRY);
  put(Info.map, base + mapAt);
  memory.forEach(({ start, size }, index) => {
    const at = mapAt + index * MAP_ENTRY;
    // An entry's size does not count itself.
    put(at, MAP_ENTRY - 4);
    data.setBigUint64(at + 4, BigInt(start), true);
    data.setBigUint64(at + 12, BigInt(size), true);
    put(at + 20, RAM);
  });
  modules.forEach(({ address, bytes: { length } }, index) => {
    const at = modulesAt + index * MODULE_ENTRY;
    put(at, address);
    put(at + 4, address + length);
    put(at + 8, base + (textsAt[2 + index] as number));
  });
  strings.forEach((text, index) => {
    bytes.set(text, textsAt[index]);
  });
  return bytes;
}

/** How much memory there is in one piece from an address on. */
function sizeFrom(memory: readonly MemoryPiece[], address: number): number {
  const range = memory.find(({ start, size }) => start <= address && address < start + size);
  return range === undefined ? 0 : range.start + range.size - address;
}

function bad(why: string): PcPlatformError {
  return new PcPlatformError("bad-image", `this is no multiboot image: ${why}`);
}
