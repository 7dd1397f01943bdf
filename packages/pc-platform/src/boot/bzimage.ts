/** What a bzImage says of itself in its setup header. @see Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" @module */
import { PcPlatformError } from "../error/pc-platform-error.ts";

/** Where the header begins: in the file, and in the zero page. */
export const HEADER_AT = 0x1f1;
const BOOT_FLAG = 0xaa55;
const MAGIC = 0x5372_6448;
/** The first version with a size for initialisation, and flags for 64 bits (2.12). */
const OLDEST = 0x020c;
const LOADED_HIGH = 1;
const HAS_64_BIT_ENTRY = 1;
const SECTOR = 512;
/** Of files that say 0. */
const DEFAULT_SECTORS = 4;
const MOST_HEADER = 0x290;

/** A kernel. */
export interface BzImage {
  /** Its setup header, as the zero page takes it. */
  readonly header: Uint8Array;
  /** What runs in protected and long mode. */
  readonly kernel: Uint8Array;
  /** Where it would like to be. */
  readonly preferredAddress: number;
  /** Whether it may be elsewhere. */
  readonly relocatable: boolean;
  /** Where it may be: multiples of this. */
  readonly alignment: number;
  /** How much memory it uses from where it is until it has read its memory map. */
  readonly initSize: number;
  /** The last address that a byte of its first files may have. */
  readonly initrdMax: number;
  /** The longest command line, without the 0 behind it. */
  readonly commandLineSize: number;
}

/** Reads a file's header. @throws {@link PcPlatformError} `bad-image` */
export function parseBzImage(image: Uint8Array): BzImage {
  const data = new DataView(image.buffer, image.byteOffset, image.length);
  if (image.length < MOST_HEADER || data.getUint16(0x1fe, true) !== BOOT_FLAG || data.getUint32(0x202, true) !== MAGIC)
    throw bad("it has no setup header");
  const version = data.getUint16(0x206, true);
  if (version < OLDEST) throw bad(`it speaks version ${version >> 8}.${version & 255} of the boot protocol: give Linux 3.8 or later`);
  if ((data.getUint8(0x211) & LOADED_HIGH) === 0) throw bad("it is a zImage, which is loaded low: build a bzImage");
  if ((data.getUint16(0x236, true) & HAS_64_BIT_ENTRY) === 0) throw bad("it has no 64-bit entry: give a 64-bit kernel");
  const headerEnd = 0x202 + data.getUint8(0x201);
  const kernelAt = ((data.getUint8(HEADER_AT) || DEFAULT_SECTORS) + 1) * SECTOR;
  // In the file it is counted in paragraphs.
  const kernelSize = data.getUint32(0x1f4, true) * 16;
  if (headerEnd > MOST_HEADER || kernelSize === 0 || kernelAt + kernelSize > roundedUp(image.length)) throw bad("it was cut");
  const alignment = data.getUint32(0x230, true);
  const preferred = data.getBigUint64(0x258, true);
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0 || preferred > 0xffff_ffffn) throw bad("its header makes no sense");
  return {
    header: image.subarray(HEADER_AT, headerEnd),
    kernel: image.subarray(kernelAt, kernelAt + kernelSize),
    preferredAddress: Number(preferred),
    relocatable: data.getUint8(0x234) !== 0,
    alignment,
    initSize: Math.max(data.getUint32(0x260, true), kernelSize),
    initrdMax: data.getUint32(0x22c, true),
    commandLineSize: data.getUint32(0x238, true),
  };
}

/** Its size is told in whole paragraphs, whatever the file's end. */
const roundedUp = (length: number): number => Math.ceil(length / 16) * 16;

function bad(why: string): PcPlatformError {
  return new PcPlatformError("bad-image", `this is no Linux kernel that can be loaded: ${why}`);
}
