/**
 * The bytes of a saved space.
 *
 * A header (8 bytes of magic, a 32-bit version), then records: {type, length of the payload, payload, CRC-32C}. Each
 * checksum goes on from the one before, so that a record that was changed, dropped, doubled or moved shows. The first
 * record is the map as JSON in ASCII, then come runs of bytes that are not zero, at last an end record. All numbers are
 * little-endian.
 *
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { crc32c } from "./crc32c.ts";

export const MAGIC: readonly number[] = Array.from("virtspc\n", (letter) => letter.charCodeAt(0));
export const STATE_VERSION = 1;
export const HEADER_BYTES = 12;
/** Type and length before a payload. */
export const RECORD_HEAD = 8;
/** The checksum behind it. */
export const RECORD_TAIL = 4;
/** What stands before the bytes in a data record: the memory's index (32 bits) and the offset in it (64 bits). */
export const DATA_HEAD = 12;
export const MAX_DATA: number = 256 * 1024;
/** A map may not be larger: a file must not make its reader allocate at will. */
export const MAX_MAP: number = 16 * 1024 * 1024;

export const RecordType = { map: 1, data: 2, end: 3 } as const;

/** A region in a saved map. */
export interface SavedRegion {
  /** As it was given. */
  readonly name: string;
  /** What stood behind it. */
  readonly kind: "ram" | "rom" | "alias" | "io";
  /** The first guest address. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /** Where regions overlap, the greater one shows. */
  readonly priority: number;
  /** Bytes from the start of its memory or target. */
  readonly offset: number;
  /** Whether writes stopped at it. */
  readonly readOnly: boolean;
  /** Index of its memory. */
  readonly memory?: number | undefined;
  /** Index of its target among the regions; targets come first. */
  readonly target?: number | undefined;
}

/** A saved map. */
export interface SavedMap {
  readonly name: string;
  readonly size: number;
  readonly generation: number;
  /** Sizes of the memories, bytes. */
  readonly memories: readonly number[];
  readonly regions: readonly SavedRegion[];
}

/** What a damaged file is refused with. */
export function damaged(why: string): VirtAddressSpaceError {
  return new VirtAddressSpaceError("damaged-state", `the saved state is damaged: ${why}; nothing was changed`);
}

/** Writes records, each with its checksum. */
export class RecordWriter {
  #crc = 0;

  header(): Uint8Array {
    const bytes = new Uint8Array(HEADER_BYTES);
    bytes.set(MAGIC);
    new DataView(bytes.buffer).setUint32(MAGIC.length, STATE_VERSION, true);
    this.#crc = crc32c(bytes);
    return bytes;
  }

  /** A record of `length` payload bytes that `fill` writes. */
  record(type: number, length: number, fill: (payload: Uint8Array, view: DataView) => void): Uint8Array {
    const bytes = new Uint8Array(RECORD_HEAD + length + RECORD_TAIL);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, length, true);
    const payload = bytes.subarray(RECORD_HEAD, RECORD_HEAD + length);
    fill(payload, new DataView(bytes.buffer, RECORD_HEAD, length));
    this.#crc = crc32c(bytes.subarray(0, RECORD_HEAD + length), this.#crc);
    view.setUint32(RECORD_HEAD + length, this.#crc, true);
    return bytes;
  }
}

/** JSON in ASCII: other letters are escaped, so that no encoder is needed. */
export function toAscii(value: unknown): Uint8Array {
  const text = JSON.stringify(value).replace(/[^ -~]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** The text of ASCII bytes. */
export function fromAscii(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}
