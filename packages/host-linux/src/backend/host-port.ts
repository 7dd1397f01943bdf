/**
 * A port whose other end is a file descriptor: what all such backends do the same way. Reads a bounded number of frames in a turn,
 * keeps one that its device has no room for until it has, and makes its device wait where the descriptor has no room. What a
 * side can't take is finished for it.
 *
 * @module
 */

import {
  BytesFrame,
  canTake,
  type DropReason,
  deliver,
  type Frame,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  type NetworkEndpoint,
  type NetworkPort,
  type Offload,
  type OffloadSupport,
  PortCounters,
  Segmenter,
} from "@virtspace/network";
import { DisposableStack } from "@virtspace/virt-address-space";
import type { Fd } from "../fd/fd.ts";
import type { Poller, Watch } from "../poll/poller.ts";

/** A frame that was read. */
export interface ReadFrame {
  readonly bytes: Uint8Array;
  readonly offload: Offload;
}

/** What a port does with its descriptor. Nothing of it throws. */
export interface FrameChannel {
  readonly fd: Fd;
  readonly accepts: OffloadSupport;
  /** Reads a frame; it is good until the next call. @returns undefined where there is none now; "ended" where there will be none */
  read(): ReadFrame | undefined | "ended";
  /** Writes one that is acceptable. @returns "wait" where there is no room; a reason where it can't be sent at all */
  write(frame: Frame): "sent" | "wait" | "ended" | DropReason;
  /** Whether a frame was read ahead, of which no poll tells. */
  readonly ahead?: boolean;
  /** Whether more is to be written before the channel has room. */
  readonly pending?: boolean;
  /** Writes what is pending. */
  flush?(): void;
  /** After a "wait": a descriptor to wait for instead of the channel's own. It is the caller's. */
  blocker?(): Fd | undefined;
}

/** Frames of one turn of the event loop. */
const BUDGET = 256;

/** A port over a channel. */
export class HostPort implements NetworkPort {
  readonly counters: PortCounters = new PortCounters();
  readonly #endpoint: NetworkEndpoint;
  readonly #channel: FrameChannel;
  readonly #poller: Poller;
  readonly #watch: Watch;
  readonly #onGone: () => void;
  readonly #inbound = new Segmenter();
  readonly #outbound = new Segmenter();
  /** The frame that the device has no room for: a copy. */
  #kept: BytesFrame | undefined;
  #waiting = false;
  #blocked: DisposableStack | undefined;
  #onRoom: () => void = () => {};
  #open = true;

  /**
   * @param channel - the port's from now on, also where this throws
   * @param onGone - told once when the other side went away
   */
  constructor(endpoint: NetworkEndpoint, channel: FrameChannel, poller: Poller, onGone: () => void) {
    this.#endpoint = endpoint;
    this.#channel = channel;
    this.#poller = poller;
    this.#onGone = onGone;
    try {
      this.#watch = poller.watch(channel.fd, { readable: true }, ({ readable, writable }) => {
        if (writable) this.#hasRoom();
        if (readable) this.#read();
      });
    } catch (error) {
      channel.fd[Symbol.dispose]();
      throw error;
    }
  }

  get accepts(): OffloadSupport {
    return this.#channel.accepts;
  }

  #interest(): void {
    const writable = (this.#waiting && this.#blocked === undefined) || this.#channel.pending === true;
    if (this.#open) this.#watch.change({ readable: this.#kept === undefined, writable });
  }

  #wait(): void {
    this.#waiting = true;
    const blocker = this.#blocked === undefined ? this.#channel.blocker?.() : undefined;
    if (blocker !== undefined) {
      const stack = new DisposableStack();
      stack.use(blocker);
      this.#blocked = stack;
      stack.use(this.#poller.watch(blocker, { writable: true }, () => this.#hasRoom()));
    }
    this.#interest();
  }

  #unblock(): void {
    this.#blocked?.dispose();
    this.#blocked = undefined;
  }

  #hasRoom(): void {
    if (!this.#open) return;
    this.#unblock();
    this.#channel.flush?.();
    const waited = this.#waiting && this.#channel.pending !== true;
    if (waited) this.#waiting = false;
    this.#interest();
    if (waited) this.#onRoom();
  }

  #read(): void {
    const channel = this.#channel;
    let some = false;
    for (let left = BUDGET; (left > 0 || channel.ahead === true) && this.#open && this.#kept === undefined; left--) {
      const read = channel.read();
      if (read === undefined) break;
      if (read === "ended") {
        this.#end();
        break;
      }
      some = true;
      if (!this.#take(new BytesFrame(read.bytes, read.offload))) this.#keep(read);
    }
    if (some) this.#endpoint.flush();
  }

  /** @returns false where the device has no room */
  #take(frame: Frame): boolean {
    const reason = unfit(frame);
    const delivery = reason === undefined ? deliver(this.#endpoint, frame, this.#inbound) : "unfit";
    if (delivery === "no-room") return false;
    if (delivery === "taken") this.counters.received(frame.length);
    else this.counters.dropped(reason ?? (delivery === "offload" ? "offload" : "no-room"));
    return true;
  }

  #keep({ bytes, offload }: ReadFrame): void {
    this.#kept = new BytesFrame(bytes.slice(), offload);
    this.#interest();
  }

  send(frame: Frame): boolean {
    const reason = this.#open ? unfit(frame) : "unplugged";
    if (reason !== undefined) {
      this.counters.dropped(reason);
      return true;
    }
    const frames = canTake(this.accepts, frame.offload) ? [frame] : this.#outbound.frames(frame);
    const outcome = frames === undefined ? "offload" : this.#write(frames);
    if (outcome === "wait") {
      this.#wait();
      return false;
    }
    if (outcome === "sent") this.counters.sent(frame.length);
    else this.counters.dropped(outcome === "ended" ? "unplugged" : outcome);
    if (outcome === "ended") this.#end();
    else if (this.#channel.pending === true) this.#interest();
    return true;
  }

  #write(frames: Iterable<Frame>): "sent" | "wait" | "ended" | DropReason {
    let some = false;
    for (const frame of frames) {
      const outcome = this.#channel.write(frame);
      // The rest of a segment that was cut is lost, as on a wire.
      if (outcome !== "sent") return some && outcome === "wait" ? "no-room" : outcome;
      some = true;
    }
    return "sent";
  }

  flush(): void {}

  roomAgain(): void {
    const kept = this.#kept;
    if (kept === undefined || !this.#open || !this.#take(kept)) return;
    this.#kept = undefined;
    this.#endpoint.flush();
    this.#interest();
    this.#read();
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  #end(): void {
    if (!this.#open) return;
    this[Symbol.dispose]();
    // Nobody waits for a side that is gone.
    if (this.#waiting) this.#onRoom();
    this.#onGone();
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#unblock();
    this.#watch[Symbol.dispose]();
    this.#channel.fd[Symbol.dispose]();
  }
}

/** Why no frame has that length. */
function unfit({ length }: Frame): DropReason | undefined {
  if (length < HEADER_BYTES) return "short";
  return length > MAX_FRAME_BYTES ? "long" : undefined;
}
