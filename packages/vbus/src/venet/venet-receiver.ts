/** Frames that come in: into the buffers that the guest posts on its ring. @module */
import type { Frame, NetworkPort } from "@virtspace/network";
import type { FlatRange } from "@virtspace/virt-address-space";
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import type { GuestPiece, VbusMemctx } from "../memory/vbus-memctx.ts";
import { PieceList } from "./piece-list.ts";
import { GsoType, MOST_PIECES, SgCapability, SgFlag, VenetIov, VenetSg } from "./venet-abi.ts";
import type { VenetCounters } from "./venet-counters.ts";

/** What it needs. */
export interface ReceiverParts {
  readonly ring: Ioq;
  readonly memctx: VbusMemctx;
  readonly port: NetworkPort;
  readonly counters: VenetCounters;
  /** Agreed upon. */
  readonly capabilities: () => number;
}

/** Puts frames into a ring's buffers. */
export class VenetReceiver implements Disposable {
  readonly #parts: ReceiverParts;
  readonly #iterator: IoqIterator;
  readonly #header = new Uint8Array(VenetSg.iov + MOST_PIECES * VenetIov.size);
  readonly #data = new DataView(this.#header.buffer);
  /** Views of it are made anew only where headers change their length. */
  #part = this.#header;
  readonly #list = new PieceList();
  readonly #described = this.#header.subarray(0, VenetSg.count);
  /** What is being copied: one visitor serves all parts. */
  #source: Uint8Array = this.#header;
  #from = 0;
  readonly #visit = (range: FlatRange, offset: number, length: number): void => {
    if (!range.writable) return;
    this.#from += range.copyIn(offset, this.#source, this.#from, length);
  };
  #untold = 0;
  #wanted = false;
  #closed = false;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#iterator = parts.ring.iterator("inuse", { autoUpdate: true, quiet: true });
    parts.ring.signal.listener = () => {
      if (!this.#wanted || this.#closed) return;
      this.#wanted = false;
      parts.port.roomAgain();
    };
    parts.ring.signal.enable();
  }

  /** Takes a frame. @returns whether there was a buffer */
  receive(frame: Frame): boolean {
    const { counters } = this.#parts;
    for (let tried = 0; tried < this.#parts.ring.count; tried++) {
      if (this.#closed || this.#iterator.seek("tail") !== 0 || !this.#iterator.mine || !this.#iterator.valid) break;
      const written = this.#put(frame);
      this.#iterator.len = written === undefined ? 0 : this.#isSg ? this.#iterator.len : written;
      if (this.#iterator.push() !== 0) break;
      this.#untold++;
      if (written === undefined) continue;
      counters.rxFrames++;
      counters.rxBytes += frame.length;
      return true;
    }
    this.#wanted = true;
    counters.waits++;
    return false;
  }

  /** The guest hears of what came. */
  flush(): void {
    if (this.#untold === 0 || this.#closed) return;
    this.#untold = 0;
    this.#parts.ring.signal.inject();
  }

  /** Gives every buffer back, with a length of 0 each. The guest is not told: it asked for it. */
  giveBack(): void {
    for (let i = 0; i < this.#parts.ring.count; i++) {
      if (this.#iterator.seek("tail") !== 0 || !this.#iterator.mine || !this.#iterator.valid) return;
      this.#iterator.len = 0;
      if (this.#iterator.push() !== 0) return;
    }
  }

  /** Gives the ring back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.ring[Symbol.dispose]();
  }

  get #isSg(): boolean {
    return (this.#parts.capabilities() & SgCapability.sg) !== 0;
  }

  /** @returns bytes; undefined for a buffer that is none, or too small */
  #put(frame: Frame): number | undefined {
    const { ptr, len } = this.#iterator;
    if (!this.#isSg) return len < frame.length ? undefined : this.#fill(frame, [{ ptr, len }]);
    const pieces = this.#piecesAt(ptr, len);
    if (pieces === undefined) return undefined;
    const written = this.#fill(frame, pieces);
    if (written === undefined) return undefined;
    this.#describe(frame);
    return this.#parts.memctx.copyTo(ptr, this.#described) === 0 ? written : undefined;
  }

  #piecesAt(ptr: number, len: number): readonly GuestPiece[] | undefined {
    const data = this.#data;
    if (len < VenetSg.iov || len > this.#header.length) return undefined;
    if (this.#part.length !== len) this.#part = this.#header.subarray(0, len);
    if (this.#parts.memctx.copyFrom(this.#part, ptr) > 0) return undefined;
    const count = data.getUint32(VenetSg.count, true);
    if (VenetSg.iov + count * VenetIov.size !== len) return undefined;
    this.#list.read(data, count);
    return this.#list.pieces;
  }

  #fill(frame: Frame, pieces: readonly GuestPiece[]): number | undefined {
    const { memctx } = this.#parts;
    let [index, used] = [0, 0];
    for (let piece = 0; piece < frame.pieces; piece++) {
      const { bytes } = frame.memory(piece);
      const start = frame.offset(piece);
      const size = frame.size(piece);
      if (start + size > bytes.length) return undefined;
      for (let done = 0; done < size; ) {
        const target = pieces[index];
        if (target === undefined) return undefined;
        const part = Math.min(target.len - used, size - done);
        this.#source = bytes;
        this.#from = start + done;
        memctx.forEachPart(target.ptr + used, part, this.#visit);
        if (this.#from !== start + done + part) return undefined;
        done += part;
        used += part;
        if (used >= target.len) [index, used] = [index + 1, 0];
      }
    }
    return frame.length;
  }

  /** What is left to do, as far as the guest takes it; else the port has done it. */
  #describe({ length, offload }: Frame): void {
    const data = this.#data;
    const gso = offload.segmentation !== "none";
    const flags = (offload.needsChecksum ? SgFlag.needsCsum : 0) | (gso ? SgFlag.gso : 0) | (offload.ecn ? SgFlag.ecn : 0);
    data.setUint32(VenetSg.flags, flags, true);
    data.setUint32(VenetSg.len, length, true);
    data.setUint16(VenetSg.csumStart, offload.checksumStart, true);
    data.setUint16(VenetSg.csumOffset, offload.checksumOffset, true);
    data.setUint16(VenetSg.gsoType, gso ? GsoType[offload.segmentation as keyof typeof GsoType] : 0, true);
    data.setUint16(VenetSg.gsoHeader, offload.headerLength, true);
    data.setUint16(VenetSg.gsoSize, offload.segmentSize, true);
  }
}
