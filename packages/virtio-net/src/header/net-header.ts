/**
 * The header in front of each frame in a queue.
 *
 * @see virtio 1.3, section 5.1.6 (`struct virtio_net_hdr`)
 * @module
 */
import type { Offload, Segmentation } from "@virtspace/network";
import { type FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { NetFeature } from "../feature/net-feature.ts";

const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const GSO_TCP4 = 1;
const GSO_TCP6 = 4;
const GSO_UDP = 5;
const GSO_ECN = 0x80;

/** Bytes of the longest header. */
export const MOST_HEADER_BYTES = 20;
/** Where the number of buffers is. */
export const NUM_BUFFERS_OFFSET = 10;
/** Where the hash is. */
export const HASH_OFFSET = 12;

/** Bytes of the header. */
export function headerBytes(features: FeatureSet): number {
  if (features.has(NetFeature.HashReport)) return MOST_HEADER_BYTES;
  return features.has(VirtioFeature.Version1) || features.has(NetFeature.MrgRxbuf) ? 12 : 10;
}

/** A header that was read, to be used again and again. */
export class HeaderOffload implements Offload {
  needsChecksum = false;
  checksumStart = 0;
  checksumOffset = 0;
  segmentation: Segmentation = "none";
  segmentSize = 0;
  headerLength = 0;
  ecn = false;
  dataValid = false;

  /**
   * Reads the header of a frame to be sent, once.
   *
   * @param length - bytes of the frame
   * @returns whether it makes sense: a driver may not ask for what it did not negotiate, nor for a checksum past the frame
   */
  read(view: DataView, at: number, length: number, features: FeatureSet): boolean {
    const flags = view.getUint8(at);
    const gso = view.getUint8(at + 1);
    this.headerLength = view.getUint16(at + 2, true);
    this.segmentSize = view.getUint16(at + 4, true);
    this.checksumStart = view.getUint16(at + 6, true);
    this.checksumOffset = view.getUint16(at + 8, true);
    this.needsChecksum = (flags & NEEDS_CSUM) !== 0;
    this.dataValid = false;
    this.ecn = (gso & GSO_ECN) !== 0;
    const sumFits = this.checksumStart + this.checksumOffset + 2 <= length;
    if (this.needsChecksum && !(sumFits && features.has(NetFeature.Csum))) return false;
    return this.#readSegmentation(gso & ~GSO_ECN, features);
  }

  #readSegmentation(kind: number, features: FeatureSet): boolean {
    this.segmentation = "none";
    if (kind === 0) return !this.ecn;
    if (!this.needsChecksum || this.segmentSize === 0) return false;
    if (kind === GSO_TCP4 && features.has(NetFeature.HostTso4)) this.segmentation = "tcp4";
    else if (kind === GSO_TCP6 && features.has(NetFeature.HostTso6)) this.segmentation = "tcp6";
    else if (kind === GSO_UDP && features.has(NetFeature.HostUso)) this.segmentation = "udp";
    else return false;
    return !this.ecn || (this.segmentation !== "udp" && features.has(NetFeature.HostEcn));
  }
}

const GSO_OF = { none: 0, tcp4: GSO_TCP4, tcp6: GSO_TCP6, udp: GSO_UDP } as const;

/** Writes the header of a frame that was received; the number of buffers and the hash come later. */
export function writeNetHeader(view: DataView, offload: Offload, checksums: boolean): void {
  const valid = offload.dataValid && checksums ? DATA_VALID : 0;
  view.setUint8(0, offload.needsChecksum ? NEEDS_CSUM : valid);
  view.setUint8(1, GSO_OF[offload.segmentation] | (offload.ecn ? GSO_ECN : 0));
  view.setUint16(2, offload.headerLength, true);
  view.setUint16(4, offload.segmentSize, true);
  view.setUint16(6, offload.checksumStart, true);
  view.setUint16(8, offload.checksumOffset, true);
}
