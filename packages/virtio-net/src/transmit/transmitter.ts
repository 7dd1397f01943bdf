/** A queue of frames from the driver. @module */
import { HEADER_BYTES, type NetworkPort } from "@virtspace/network";
import type { Chain, Virtqueue } from "@virtspace/virtio";
import { countDrop, type NetDropReason, type NetQueueCounters } from "../counters/net-queue-counters.ts";
import { headerBytes, MOST_HEADER_BYTES } from "../header/net-header.ts";
import { ChainFrame } from "./chain-frame.ts";

/** What a transmitter asks of its device. */
export interface TransmitterOwner {
  readonly port: NetworkPort;
  readonly counters: NetQueueCounters;
  /** Whether frames go out now; else the reason why they are dropped. */
  closed(): NetDropReason | undefined;
  /** A frame went out: its flow's answers belong to the queue of the same pair. */
  sent(frame: ChainFrame): void;
}

/** Sends what a queue holds. */
export class Transmitter {
  readonly #queue: Virtqueue;
  readonly #owner: TransmitterOwner;
  readonly #header: number;
  readonly #frame = new ChainFrame();
  readonly #scratch = new Uint8Array(MOST_HEADER_BYTES);
  readonly #scratchView = new DataView(this.#scratch.buffer);

  constructor(queue: Virtqueue, owner: TransmitterOwner) {
    this.#queue = queue;
    this.#owner = owner;
    this.#header = headerBytes(queue.features);
    queue.serve((chain) => this.#transmit(chain), { batchEnd: () => owner.port.flush() });
  }

  /** The backend has room again. */
  resume(): void {
    this.#queue.resume();
  }

  /** @returns false where the frame has to wait */
  #transmit(chain: Chain): boolean {
    const { counters, port } = this.#owner;
    const closed = chain.again ? "in-flight" : this.#owner.closed();
    const reason = closed ?? this.#read(chain);
    if (reason !== undefined) {
      countDrop(counters, reason);
      return true;
    }
    const frame = this.#frame;
    if (!port.send(frame)) {
      counters.waits++;
      return false;
    }
    counters.frames++;
    counters.bytes += frame.length;
    this.#owner.sent(frame);
    return true;
  }

  /** Makes the frame of what is in the chain. @returns why it is none */
  #read(chain: Chain): NetDropReason | undefined {
    const header = this.#header;
    if (chain.readableBytes < header + HEADER_BYTES) return "short";
    const frame = this.#frame;
    frame.over(chain, header);
    const range = chain.range(0);
    let view: DataView = this.#scratchView;
    let at = 0;
    if (chain.length(0) >= header && range.alive()) {
      view = range.data;
      at = chain.offset(0);
    } else if (chain.copyFrom(0, this.#scratch.subarray(0, header)) > 0) {
      return "gone";
    }
    // Flags and kind of segmentation: mostly there is nothing to do.
    if (view.getUint16(at, true) === 0) return undefined;
    const { header: offload } = frame;
    // All of it is taken out of the guest's memory before any of it is believed.
    for (let i = 0; i < header; i++) this.#scratch[i] = view.getUint8(at + i);
    if (!offload.read(this.#scratchView, 0, frame.length, this.#queue.features)) return "bad-header";
    frame.offload = offload;
    return undefined;
  }
}
