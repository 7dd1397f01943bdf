/** What of an ELF file goes into memory. @see ELF 1.2, program headers @module */
import { PcPlatformError } from "../error/pc-platform-error.ts";

const MAGIC = 0x464c_457f;
const CLASS_32 = 1;
const LITTLE_ENDIAN = 1;
const I386 = 3;
const LOAD = 1;
const HEADER = 52;
const PROGRAM_HEADER = 32;
const MOST_SEGMENTS = 64;

/** A part of a file, for an address. */
export interface Segment {
  /** Its physical address. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Zeros behind the bytes. */
  readonly zeros: number;
}

/**
 * Reads a 32-bit ELF file's segments.
 *
 * @throws {@link PcPlatformError} `bad-image`
 */
export function elfSegments(data: DataView): { readonly entry: number; readonly pieces: readonly Segment[] } {
  if (data.byteLength < HEADER || data.getUint32(0, true) !== MAGIC) throw bad("it has no addresses in its header, and is no ELF file");
  if (data.getUint8(4) !== CLASS_32 || data.getUint8(5) !== LITTLE_ENDIAN || data.getUint16(18, true) !== I386)
    throw bad("it is for another processor");
  const [at, size, count] = [data.getUint32(28, true), data.getUint16(42, true), data.getUint16(44, true)];
  if (size < PROGRAM_HEADER || count > MOST_SEGMENTS || at + size * count > data.byteLength)
    throw bad("its table of segments leads out of the file");
  const pieces: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const header = at + i * size;
    if (data.getUint32(header, true) !== LOAD) continue;
    const [offset, address, length, memory] = [4, 12, 16, 20].map((field) => data.getUint32(header + field, true)) as [
      number,
      number,
      number,
      number,
    ];
    if (offset + length > data.byteLength || memory < length) throw bad("a segment leads out of the file");
    pieces.push({ address, bytes: new Uint8Array(data.buffer, data.byteOffset + offset, length), zeros: memory - length });
  }
  if (pieces.length === 0) throw bad("it has nothing to load");
  return { entry: data.getUint32(24, true), pieces };
}

function bad(why: string): PcPlatformError {
  return new PcPlatformError("bad-image", `this is no multiboot image: ${why}`);
}
