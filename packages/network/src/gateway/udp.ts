/** UDP datagrams. @module */

import { foldedSum, partialSum } from "../frame/checksum.ts";
import { HEADER_BYTES } from "../frame/ethernet.ts";
import { IP_BYTES, type IpPacket, Protocol, writeIp } from "./ipv4.ts";

/** Bytes of a datagram's header. */
const UDP_BYTES = 8;

/** What a datagram's header says. */
export interface Datagram {
  /** The sender's port. */
  readonly source: number;
  /** The receiver's port. */
  readonly target: number;
  /** Where its payload begins in the frame. */
  readonly from: number;
  /** Where it ends. */
  readonly to: number;
}

/** What a checksum takes from the packet around a datagram. */
function pseudoSum({ source, target }: Pick<IpPacket, "source" | "target">, length: number): number {
  const words = [source >>> 16, source & 0xffff, target >>> 16, target & 0xffff, Protocol.Udp, length];
  return words.reduce((sum, word) => sum + word, 0);
}

/**
 * Reads the header of a datagram.
 *
 * @param unsummed - whether its checksum was left to others
 * @returns undefined for one that is not right
 */
export function parseUdp(view: DataView, packet: IpPacket, unsummed: boolean): Datagram | undefined {
  const { from, to } = packet;
  if (to - from < UDP_BYTES) return undefined;
  const length = view.getUint16(from + 4);
  if (length < UDP_BYTES || from + length > to) return undefined;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const summed = !unsummed && view.getUint16(from + 6) !== 0;
  if (summed && foldedSum(partialSum(bytes, from, from + length, pseudoSum(packet, length))) !== 0) return undefined;
  return { source: view.getUint16(from), target: view.getUint16(from + 2), from: from + UDP_BYTES, to: from + length };
}

/** Makes a frame with a datagram in it; its Ethernet header is left to the caller. */
export function makeUdp(
  packet: Pick<IpPacket, "source" | "target">,
  ports: Pick<Datagram, "source" | "target">,
  payload: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + IP_BYTES + UDP_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  const at = HEADER_BYTES + IP_BYTES;
  const length = UDP_BYTES + payload.length;
  view.setUint16(at, ports.source);
  view.setUint16(at + 2, ports.target);
  view.setUint16(at + 4, length);
  frame.set(payload, at + UDP_BYTES);
  // A sum of 0 would say that there is none.
  view.setUint16(at + 6, foldedSum(partialSum(frame, at, at + length, pseudoSum(packet, length))) || 0xffff);
  writeIp(view, { ...packet, protocol: Protocol.Udp });
  return frame;
}
