/** What a sender of frames leaves to others: checksums, and cutting large segments. @module */

/** How a large segment is to be cut. */
export type Segmentation = "none" | "tcp4" | "tcp6" | "udp";

/**
 * What is left to do with a frame.
 *
 * @see virtio 1.3, section 5.1.6 (`struct virtio_net_hdr`), where the same fields have these meanings
 */
export interface Offload {
  /** Whether a checksum is missing: to be taken from `checksumStart` on and put `checksumOffset` behind that. */
  readonly needsChecksum: boolean;
  /** Bytes from the start of the frame. */
  readonly checksumStart: number;
  /** Bytes from `checksumStart`. */
  readonly checksumOffset: number;
  /** How it is to be cut. */
  readonly segmentation: Segmentation;
  /** Bytes of payload in each segment. */
  readonly segmentSize: number;
  /** Bytes of all headers, a hint. */
  readonly headerLength: number;
  /** Whether the segments carry congestion marks. */
  readonly ecn: boolean;
  /** Whether the checksums have been checked. */
  readonly dataValid: boolean;
}

/** A frame that is as it goes on a wire. */
export const NO_OFFLOAD: Offload = {
  needsChecksum: false,
  checksumStart: 0,
  checksumOffset: 0,
  segmentation: "none",
  segmentSize: 0,
  headerLength: 0,
  ecn: false,
  dataValid: false,
};

/** What frames a side can take, beyond those that are as they go on a wire. */
export interface OffloadSupport {
  /** Frames whose checksum is missing. */
  readonly checksum: boolean;
  /** Large segments of these kinds. */
  readonly segmentation: readonly Exclude<Segmentation, "none">[];
  /** Whether large segments may carry congestion marks; they may not unless given. */
  readonly ecn?: boolean;
}

/** Takes only what goes on a wire. */
export const NO_OFFLOAD_SUPPORT: OffloadSupport = { checksum: false, segmentation: [] };

/** Whether a side that supports this can take a frame with that left to do. */
export function canTake(support: OffloadSupport, offload: Offload): boolean {
  if (offload === NO_OFFLOAD) return true;
  if (offload.needsChecksum && !support.checksum) return false;
  if (offload.ecn && support.ecn !== true) return false;
  return offload.segmentation === "none" || support.segmentation.includes(offload.segmentation);
}
