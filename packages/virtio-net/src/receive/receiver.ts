/** A queue of buffers for frames to the driver. @module */
import { type Frame, type FrameMemory, NO_OFFLOAD, type Offload } from "@virtspace/network";
import { copyViews } from "@virtspace/virt-address-space";
import type { Chain, Virtqueue } from "@virtspace/virtio";
import { countDrop, type NetQueueCounters } from "../counters/net-queue-counters.ts";
import { NetFeature } from "../feature/net-feature.ts";
import { HASH_OFFSET, headerBytes, MOST_HEADER_BYTES, NUM_BUFFERS_OFFSET, writeNetHeader } from "../header/net-header.ts";
import type { FlowHash } from "../steering/flow-hash.ts";

/** What a receiver asks of its device. */
export interface ReceiverOwner {
  readonly counters: NetQueueCounters;
  /** There are buffers again after there were none. */
  roomAgain(): void;
}

function headerMemory(): FrameMemory {
  const bytes = new Uint8Array(MOST_HEADER_BYTES);
  return { bytes, data: new DataView(bytes.buffer) };
}

/** Fills the buffers of a queue. */
export class Receiver {
  readonly #queue: Virtqueue;
  readonly #owner: ReceiverOwner;
  readonly #headerBytes: number;
  readonly #mergeable: boolean;
  readonly #checksums: boolean;
  readonly #hashes: boolean;
  readonly #header: FrameMemory = headerMemory();
  /** Buffers of the frame at hand. */
  readonly #chains: Chain[] = [];
  #count = 0;
  /** What the header in `#header` says, where it is the same for all such frames. */
  #written: Offload | undefined;
  #starved = false;
  #dirty = false;

  constructor(queue: Virtqueue, owner: ReceiverOwner) {
    const { features } = queue;
    this.#queue = queue;
    this.#owner = owner;
    this.#headerBytes = headerBytes(features);
    this.#mergeable = features.has(NetFeature.MrgRxbuf);
    this.#checksums = features.has(NetFeature.GuestCsum);
    this.#hashes = features.has(NetFeature.HashReport);
    queue.ignoreKicks();
    queue.onKick(() => this.#kicked());
  }

  /** The driver has new buffers: of interest to who waited for some. */
  #kicked(): void {
    if (!this.#starved) return;
    this.#starved = false;
    this.#queue.ignoreKicks();
    this.#owner.roomAgain();
  }

  /**
   * Puts a frame into the driver's buffers. All of it is there before the driver sees any.
   *
   * @param hash - of its flow, where the driver wants to know
   * @returns false where there are not enough buffers
   */
  receive(frame: Frame, hash: FlowHash | undefined): boolean {
    const { counters } = this.#owner;
    const refusal = this.#collect(this.#headerBytes + frame.length);
    // A queue that the driver broke will have no room again: nobody is to wait for it.
    if (refusal === "none" && this.#queue.running) {
      counters.waits++;
      return false;
    }
    const whole = refusal === undefined && this.#write(frame, hash);
    for (let i = 0; i < this.#count; i++) {
      const chain = this.#chains[i] as Chain;
      this.#queue.push(chain, whole ? chain.written : 0);
    }
    this.#count = 0;
    this.#dirty = true;
    if (whole) {
      counters.frames++;
      counters.bytes += frame.length;
    } else {
      countDrop(counters, refusal === undefined || refusal === "none" ? "gone" : refusal);
    }
    return true;
  }

  /** Shows the driver what came. */
  flush(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#queue.flush();
  }

  /**
   * Takes buffers until they hold so many bytes; where they don't, none.
   *
   * @returns why not
   */
  #collect(needed: number): "none" | "too-big" | "bad-buffer" | undefined {
    const chains = this.#chains;
    let room = 0;
    for (let looked = 0; looked <= this.#queue.size; ) {
      const chain = this.#queue.pop();
      if (chain === undefined) {
        if (!this.#queue.askForKicks()) return this.#starve();
        this.#queue.ignoreKicks();
        looked++;
        continue;
      }
      looked++;
      if (this.#count === 0 && chain.writableBytes < this.#headerBytes) {
        this.#queue.push(chain, 0);
        this.#dirty = true;
        continue;
      }
      if (chains[this.#count] !== chain) chains[this.#count] = chain;
      this.#count++;
      room += chain.writableBytes;
      if (room >= needed) return undefined;
      if (!this.#mergeable || this.#count === this.#queue.size) break;
    }
    if (this.#count === 0) return "bad-buffer";
    this.#putBack();
    return "too-big";
  }

  /** The driver tells of the next buffer: it was asked to with all of the present ones taken. */
  #starve(): "none" {
    this.#starved = true;
    this.#putBack();
    return "none";
  }

  #putBack(): void {
    while (this.#count > 0) this.#queue.putBack(this.#chains[--this.#count] as Chain);
  }

  /** @returns whether all of it could be written */
  #write(frame: Frame, hash: FlowHash | undefined): boolean {
    this.#setHeader(frame.offload, hash);
    let chain = this.#chains[0] as Chain;
    if (this.#count === 1 && frame.pieces === 1 && chain.pieces === chain.readablePieces + 1) return this.#writePlainly(frame, chain);
    let at = 0;
    let offset = this.#headerBytes;
    if (chain.copyTo(0, this.#header, 0, offset) > 0) return false;
    for (let piece = 0; piece < frame.pieces; piece++) {
      const source = frame.memory(piece);
      let from = frame.offset(piece);
      let left = frame.size(piece);
      if (from + left > source.bytes.length) return false;
      while (left > 0) {
        const n = Math.min(left, chain.writableBytes - offset);
        if (n === 0) {
          chain = this.#chains[++at] as Chain;
          offset = 0;
          continue;
        }
        if (chain.copyTo(offset, source, from, n) > 0) return false;
        from += n;
        left -= n;
        offset += n;
      }
    }
    return true;
  }

  /** As mostly: a frame in one piece, into a buffer that is one. */
  #writePlainly(frame: Frame, chain: Chain): boolean {
    const header = this.#headerBytes;
    const source = frame.memory(0);
    const from = frame.offset(0);
    const size = frame.size(0);
    const range = chain.range(chain.readablePieces);
    const at = chain.offset(chain.readablePieces);
    if (from + size > source.bytes.length || header + size > chain.writableBytes || !range.alive()) return false;
    copyViews(this.#header, 0, range, at, header);
    copyViews(source, from, range, at + header, size);
    range.wrote(at, header + size);
    chain.written = header + size;
    return true;
  }

  #setHeader(offload: Offload, hash: FlowHash | undefined): void {
    const view = this.#header.data;
    if (offload !== this.#written) {
      writeNetHeader(view, offload, this.#checksums);
      this.#written = offload === NO_OFFLOAD ? offload : undefined;
    }
    if (this.#headerBytes > NUM_BUFFERS_OFFSET) view.setUint16(NUM_BUFFERS_OFFSET, this.#count, true);
    if (this.#hashes) {
      view.setUint32(HASH_OFFSET, hash?.value ?? 0, true);
      view.setUint16(HASH_OFFSET + 4, hash?.report ?? 0, true);
    }
  }
}
