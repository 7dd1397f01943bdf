/** Ethernet's header. @module */
import { copyFrame, type Frame } from "./frame.ts";

/** Bytes of the header: two addresses and a type. */
export const HEADER_BYTES = 14;

/** The most bytes of a frame that anybody sends: a segment of 64 KiB with its headers. */
export const MAX_FRAME_BYTES: number = 65550;

/** Everybody. */
export const BROADCAST = 0xffff_ffff_ffff;

/** A MAC address as a number of 48 bits. Throws a RangeError for what is none. */
export function macAddress(text: string): number {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) throw new RangeError(`"${text}" is no MAC address: write it as 52:54:00:12:34:56`);
  return Number.parseInt(text.replaceAll(":", ""), 16);
}

/** A MAC address as people write it. */
export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/..(?=.)/g, "$&:");
}

/** Whether an address is for more than one. */
export const isGroup = (mac: number): boolean => (Math.floor(mac / 2 ** 40) & 1) === 1;

/** The MAC address at a place in some bytes. */
export function readMac(bytes: Uint8Array, at: number): number {
  let high = 0;
  let low = 0;
  for (let i = 0; i < 2; i++) high = high * 256 + (bytes[at + i] ?? 0);
  for (let i = 2; i < 6; i++) low = low * 256 + (bytes[at + i] ?? 0);
  return high * 2 ** 32 + low;
}

/** Writes a MAC address. */
export function writeMac(bytes: Uint8Array, at: number, mac: number): void {
  let rest = mac;
  for (let i = 5; i >= 0; i--) {
    bytes[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** The addresses of a frame. */
export class EthernetAddresses {
  /** For whom it is. */
  target = 0;
  /** Who sent it. */
  source = 0;
  readonly #look = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#look.buffer);

  /** Reads those of a frame, once. @returns whether its header is there */
  read(frame: Frame): boolean {
    if (frame.length < HEADER_BYTES) return false;
    const { bytes, data } = frame.memory(0);
    const at = frame.offset(0);
    if (frame.size(0) >= HEADER_BYTES && at + HEADER_BYTES <= bytes.length) {
      this.#take(data, at);
      return true;
    }
    if (copyFrame(frame, 0, this.#look) < HEADER_BYTES) return false;
    this.#take(this.#view, 0);
    return true;
  }

  #take(view: DataView, at: number): void {
    this.target = view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);
    this.source = view.getUint16(at + 6) * 2 ** 32 + view.getUint32(at + 8);
  }
}

/** Writes the header of a frame. */
export function writeHeader(bytes: Uint8Array, target: number, source: number, type: number): void {
  writeMac(bytes, 0, target);
  writeMac(bytes, 6, source);
  bytes[12] = type >>> 8;
  bytes[13] = type & 0xff;
}
