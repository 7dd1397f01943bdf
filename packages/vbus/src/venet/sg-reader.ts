/** What stands before a frame's pieces: copied out of the guest's memory once, and then believed as far as it holds. @module */
import { NO_OFFLOAD, type Offload, type Segmentation } from "@virtspace/network";
import type { ByteViews } from "@virtspace/virt-address-space";
import type { HeaderSource } from "./header-source.ts";
import { PieceList } from "./piece-list.ts";
import { GsoType, MOST_GSO, MOST_PIECES, SgCapability, SgFlag, VenetIov, VenetSg } from "./venet-abi.ts";

const ETHERNET_HEADER = 14;

/** Why it is none. */
export type SgRefusal = "gone" | "too-many-pieces" | "bad-length" | "bad-offload";

/** Reads headers, into memory of its own: what it found is good until it reads the next. */
export class SgReader {
  /** Bytes of the frame. */
  length = 0;
  /** What is left to do. */
  offload: Offload = NO_OFFLOAD;
  readonly #most: number;
  readonly #bytes = new Uint8Array(VenetSg.iov + MOST_PIECES * VenetIov.size);
  readonly #data = new DataView(this.#bytes.buffer);
  readonly #header: ByteViews = { bytes: this.#bytes, data: this.#data };
  readonly #list = new PieceList();

  /** @param most - bytes of a frame that is no large segment */
  constructor(most: number) {
    this.#most = most;
  }

  /** Where the frame's bytes are. */
  get list(): PieceList {
    return this.#list;
  }

  /** The driver's word for the frame. */
  get cookie(): bigint {
    return this.#data.getBigUint64(VenetSg.cookie, true);
  }

  /**
   * Reads one.
   *
   * @param headers - where they are; undefined while that is nowhere
   * @param ptr - where it is
   * @param length - bytes of header and pieces, by the descriptor's word
   * @param capabilities - agreed upon
   * @returns why it is none
   */
  read(headers: HeaderSource | undefined, ptr: number, length: number, capabilities: number): SgRefusal | undefined {
    if (length < VenetSg.iov) return "bad-length";
    if (length > this.#bytes.length) return "too-many-pieces";
    const data = this.#data;
    if (headers?.read(this.#header, ptr, length) !== true) return "gone";
    const count = data.getUint32(VenetSg.count, true);
    if (count > MOST_PIECES) return "too-many-pieces";
    if (VenetSg.iov + count * VenetIov.size !== length) return "bad-length";
    const sum = this.#list.read(data, count);
    const total = data.getUint32(VenetSg.len, true);
    const offload = offloadOf(data, total, capabilities);
    if (offload === undefined) return "bad-offload";
    if (sum !== total || total > (offload.segmentation === "none" ? this.#most : MOST_GSO)) return "bad-length";
    this.length = total;
    this.offload = offload;
    return undefined;
  }
}

const KINDS: Readonly<Record<number, readonly [Segmentation, number]>> = {
  [GsoType.tcp4]: ["tcp4", SgCapability.tso4],
  [GsoType.udp]: ["udp", SgCapability.ufo],
  [GsoType.tcp6]: ["tcp6", SgCapability.tso6],
};

/** @returns undefined for what was not agreed upon, or can't be */
function offloadOf(data: DataView, length: number, capabilities: number): Offload | undefined {
  const flags = data.getUint32(VenetSg.flags, true);
  if ((flags & (SgFlag.needsCsum | SgFlag.gso)) === 0) return NO_OFFLOAD;
  const [checksumStart, checksumOffset] = [data.getUint16(VenetSg.csumStart, true), data.getUint16(VenetSg.csumOffset, true)];
  const needsChecksum = (flags & SgFlag.needsCsum) !== 0;
  if (needsChecksum && (checksumStart < ETHERNET_HEADER || checksumStart + checksumOffset + 2 > length)) return undefined;
  const plain = { ...NO_OFFLOAD, needsChecksum, checksumStart, checksumOffset };
  if ((flags & SgFlag.gso) === 0) return plain;
  const [segmentation, needed] = KINDS[data.getUint16(VenetSg.gsoType, true)] ?? ["none", 0];
  const ecn = (flags & SgFlag.ecn) !== 0;
  const segmentSize = data.getUint16(VenetSg.gsoSize, true);
  if ((capabilities & needed) === 0 || !needsChecksum || segmentSize === 0) return undefined;
  if (ecn && (capabilities & SgCapability.ecn) === 0) return undefined;
  return { ...plain, segmentation, segmentSize, ecn, headerLength: data.getUint16(VenetSg.gsoHeader, true) };
}
