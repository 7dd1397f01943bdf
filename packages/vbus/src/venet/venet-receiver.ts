/** Frames that come in: into the buffers that the guest posts on its ring. @module */
import type { Frame, NetworkPort } from "@virtspace/network";
import type { ByteViews, FlatRange } from "@virtspace/virt-address-space";
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import { quadAt } from "../memory/guest-struct.ts";
import type { GuestPiece, VbusMemctx } from "../memory/vbus-memctx.ts";
import type { HeaderSource } from "./header-source.ts";
import type { GuestPage, PageQueue } from "./page-queue.ts";
import { GsoType, MOST_PIECES, SgFlag, VenetIov, VenetSg } from "./venet-abi.ts";
import type { VenetCounters } from "./venet-counters.ts";

/** How large frames come in: headers in a pool, and pages for what is more than a buffer. */
export interface LargeFrames {
  readonly headers: HeaderSource;
  readonly pages: PageQueue;
}

/** What it needs. */
export interface ReceiverParts {
  readonly ring: Ioq;
  readonly memctx: VbusMemctx;
  readonly port: NetworkPort;
  readonly counters: VenetCounters;
  /** Where large frames were agreed upon; else each descriptor is a buffer. */
  readonly large: () => LargeFrames | undefined;
}

/** `bad`: the buffer is none; `wait`: pages are missing; `drop`: the frame can't be had by this guest. */
type Refusal = "bad" | "wait" | "drop";

/** Puts frames into a ring's buffers. */
export class VenetReceiver implements Disposable {
  readonly #parts: ReceiverParts;
  readonly #iterator: IoqIterator;
  readonly #header = new Uint8Array(VenetSg.iov + MOST_PIECES * VenetIov.size);
  readonly #data = new DataView(this.#header.buffer);
  readonly #views: ByteViews = { bytes: this.#header, data: this.#data };
  /** The fixed part and the first piece. */
  readonly #first = this.#header.subarray(0, VenetSg.iov + VenetIov.size);
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
    parts.ring.signal.listener = () => this.room();
    parts.ring.signal.enable();
  }

  /** Takes a frame. @returns whether there was a buffer */
  receive(frame: Frame): boolean {
    const { counters } = this.#parts;
    const iterator = this.#iterator;
    for (let tried = 0; tried < this.#parts.ring.count; tried++) {
      if (this.#closed || !iterator.reach("tail")) break;
      const refusal = this.#put(frame);
      if (refusal === "wait") break;
      if (refusal === "drop") {
        counters.dropped("too-many-pieces");
        return true;
      }
      iterator.len = refusal === undefined ? frame.length : 0;
      if (iterator.push() !== 0) break;
      this.#untold++;
      if (refusal === "bad") continue;
      counters.rxFrames++;
      counters.rxBytes += frame.length;
      return true;
    }
    this.#wanted = true;
    counters.waits++;
    return false;
  }

  /** The guest gave buffers, or pages: whoever waits may send again. */
  room(): void {
    if (!this.#wanted || this.#closed) return;
    this.#wanted = false;
    this.#parts.port.roomAgain();
  }

  /** The guest hears of what came. */
  flush(): void {
    if (this.#untold === 0 || this.#closed) return;
    this.#untold = 0;
    this.#parts.ring.signal.inject();
  }

  /** Gives every buffer back, with a length of 0 each. The guest is not told: it asked for it. */
  giveBack(): void {
    const headers = this.#parts.large()?.headers;
    for (let i = 0; i < this.#parts.ring.count; i++) {
      if (!this.#iterator.reach("tail")) return;
      // Where there is a header, it is what the guest looks at.
      headers?.write(this.#iterator.ptr + VenetSg.len, new Uint8Array(4));
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

  #put(frame: Frame): Refusal | undefined {
    // Each is read once: the guest may write there now.
    const { ptr, len } = this.#iterator;
    const large = this.#parts.large();
    if (large !== undefined) return this.#putLarge(frame, ptr, len, large);
    if (len < frame.length) return "bad";
    return this.#putFlat(frame, ptr, len) ? undefined : "bad";
  }

  /** Into one buffer, which has room for all of it. */
  #putFlat(frame: Frame, ptr: number, len: number): boolean {
    const range = this.#parts.memctx.rangeOf(ptr, frame.length);
    if (range === undefined) return this.#fill(frame, [{ ptr, len }]);
    let at = ptr - range.start;
    let left = frame.length;
    for (let piece = 0; piece < frame.pieces; piece++) {
      const size = Math.min(frame.size(piece), left);
      if (range.copyIn(at, frame.memory(piece).bytes, frame.offset(piece), size) !== size) return false;
      at += size;
      left -= size;
    }
    return true;
  }

  /** A header from the pool says where the first buffer is; what is more goes into pages, which the header names then. */
  #putLarge(frame: Frame, at: number, len: number, { headers, pages }: LargeFrames): Refusal | undefined {
    const data = this.#data;
    if (len < this.#first.length || !headers.read(this.#views, at, this.#first.length)) return "bad";
    const buffer = { ptr: quadAt(data, VenetSg.iov + VenetIov.ptr), len: data.getUint32(VenetSg.iov + VenetIov.len, true) };
    const more = Math.max(frame.length - buffer.len, 0);
    if (more > 0 && frame.offload.segmentation === "none") return "bad";
    const found = more === 0 ? [] : pages.look(more, Math.floor((len - this.#first.length) / VenetIov.size));
    if (found === "few") return "wait";
    if (found === "small") return "drop";
    if (!this.#fill(frame, [buffer, ...found])) return "bad";
    this.#describe(frame);
    this.#list(frame.length, buffer, found);
    if (!headers.write(at, this.#header.subarray(0, VenetSg.iov + (1 + found.length) * VenetIov.size))) return "bad";
    pages.take(found.length);
    return undefined;
  }

  #fill(frame: Frame, pieces: readonly GuestPiece[]): boolean {
    const { memctx } = this.#parts;
    let index = 0;
    let used = 0;
    for (let piece = 0; piece < frame.pieces; piece++) {
      const { bytes } = frame.memory(piece);
      const start = frame.offset(piece);
      const size = frame.size(piece);
      if (start + size > bytes.length) return false;
      for (let done = 0; done < size; ) {
        const target = pieces[index];
        if (target === undefined) return false;
        const part = Math.min(target.len - used, size - done);
        this.#source = bytes;
        this.#from = start + done;
        memctx.forEachPart(target.ptr + used, part, this.#visit);
        if (this.#from !== start + done + part) return false;
        done += part;
        used += part;
        if (used < target.len) continue;
        index++;
        used = 0;
      }
    }
    return true;
  }

  /** What is left to do, as far as the guest takes it; else the port has done it. The guest's cookie stays. */
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

  /** Which bytes are where: a page goes by the guest's own word for it. */
  #list(length: number, buffer: GuestPiece, pages: readonly GuestPage[]): void {
    const data = this.#data;
    data.setUint32(VenetSg.count, 1 + pages.length, true);
    let left = length;
    [{ ...buffer, cookie: buffer.ptr }, ...pages].forEach(({ len, cookie }, index) => {
      const at = VenetSg.iov + index * VenetIov.size;
      const part = Math.min(len, left);
      left -= part;
      data.setUint32(at + VenetIov.len, part, true);
      data.setUint32(at + VenetIov.ptr, cookie % 2 ** 32, true);
      data.setUint32(at + VenetIov.ptr + 4, cookie / 2 ** 32, true);
    });
  }
}
