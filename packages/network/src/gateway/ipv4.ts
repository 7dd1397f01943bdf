/** IPv4: addresses, checksums, and the header. @module */
import { foldedSum, partialSum } from "../frame/checksum.ts";
import { HEADER_BYTES } from "../frame/ethernet.ts";

/** Bytes of a header without options. */
export const IP_BYTES = 20;

/** Protocol numbers. */
export const Protocol = {
  /** Control messages. */
  Icmp: 1,
  /** Datagrams. */
  Udp: 17,
} as const;

/** An address as a number of 32 bits. Throws a RangeError for what is none. */
export function ipAddress(text: string): number {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || !parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)) {
    throw new RangeError(`"${text}" is no IPv4 address: write it as 10.0.2.2`);
  }
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** An address as people write it. */
export function formatIp(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

/** What a packet's header says. */
export interface IpPacket {
  /** A number of {@link Protocol}, or another. */
  readonly protocol: number;
  /** Who sent it. */
  readonly source: number;
  /** For whom it is. */
  readonly target: number;
  /** Where its payload begins in the frame. */
  readonly from: number;
  /** Where it ends. */
  readonly to: number;
}

/** Reads the header of a packet in a frame. @returns undefined for a header that is not right, and for fragments */
export function parseIp(view: DataView): IpPacket | undefined {
  if (view.byteLength < HEADER_BYTES + IP_BYTES) return undefined;
  const first = view.getUint8(HEADER_BYTES);
  const headerBytes = (first & 15) * 4;
  const length = view.getUint16(HEADER_BYTES + 2);
  const whole = first >>> 4 === 4 && headerBytes >= IP_BYTES && length >= headerBytes && HEADER_BYTES + length <= view.byteLength;
  if (!whole) return undefined;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (foldedSum(partialSum(bytes, HEADER_BYTES, HEADER_BYTES + headerBytes)) !== 0) return undefined;
  const fragment = view.getUint16(HEADER_BYTES + 6) & 0x3fff;
  if (fragment !== 0) return undefined;
  return {
    protocol: view.getUint8(HEADER_BYTES + 9),
    source: view.getUint32(HEADER_BYTES + 12),
    target: view.getUint32(HEADER_BYTES + 16),
    from: HEADER_BYTES + headerBytes,
    to: HEADER_BYTES + length,
  };
}

/** Writes the header of a packet whose payload is in the frame already. */
export function writeIp(view: DataView, packet: Pick<IpPacket, "protocol" | "source" | "target">): void {
  const at = HEADER_BYTES;
  view.setUint16(at, 0x4500);
  view.setUint16(at + 2, view.byteLength - at);
  view.setUint32(at + 4, 0);
  view.setUint8(at + 8, 64);
  view.setUint8(at + 9, packet.protocol);
  view.setUint16(at + 10, 0);
  view.setUint32(at + 12, packet.source);
  view.setUint32(at + 16, packet.target);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  view.setUint16(at + 10, foldedSum(partialSum(bytes, at, at + IP_BYTES)));
}
