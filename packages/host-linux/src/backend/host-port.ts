/**
 * A port whose other end is a file descriptor: what all such backends do the same way. Reads a bounded number of frames in a turn,
 * keeps one that its device has no room for until it has, and makes its device wait where the descriptor has no room.
 *
 * @module
 */
import {
  BytesFrame,
  type Frame,
  type NetworkEndpoint,
  type NetworkPort,
  type Offload,
  type OffloadSupport,
  PortCounters,
} from "@virtspace/network";
import type { Fd } from "../fd/fd.ts";
import type { Poller, Watch } from "../poll/poller.ts";

/** A frame that was read. */
export interface ReadFrame {
  readonly bytes: Uint8Array;
  readonly offload: Offload;
}

/** What a port does with its descriptor. */
export interface FrameChannel {
  readonly fd: Fd;
  readonly accepts: OffloadSupport;
  /** Reads a frame; it is good until the next call. @returns undefined where there is none now; "gone" where there will be none */
  read(): ReadFrame | undefined | "gone";
  /** Writes one. @returns "wait" where there is no room; "dropped" where it can't be sent at all */
  write(frame: Frame): "sent" | "wait" | "dropped" | "gone";
  /** Whether more is to be written before the channel has room. */
  readonly pending?: boolean;
  /** Writes what is pending. */
  flush?(): void;
}

/** Frames of one turn of the event loop. */
const BUDGET = 256;

/** A port over a channel. */
export class HostPort implements NetworkPort {
  readonly counters: PortCounters = new PortCounters();
  readonly #endpoint: NetworkEndpoint;
  readonly #channel: FrameChannel;
  readonly #watch: Watch;
  readonly #onGone: () => void;
  /** The frame that the device has no room for: a copy. */
  #kept: BytesFrame | undefined;
  #waiting = false;
  #onRoom: () => void = () => {};
  #open = true;

  /** @param onGone - told once when the other side went away */
  constructor(endpoint: NetworkEndpoint, channel: FrameChannel, poller: Poller, onGone: () => void) {
    this.#endpoint = endpoint;
    this.#channel = channel;
    this.#onGone = onGone;
    this.#watch = poller.watch(channel.fd, { readable: true }, ({ readable, writable }) => {
      if (writable) this.#hasRoom();
      if (readable) this.#read();
    });
  }

  get accepts(): OffloadSupport {
    return this.#channel.accepts;
  }

  #interest(): void {
    const writable = this.#waiting || this.#channel.pending === true;
    if (this.#open) this.#watch.change({ readable: this.#kept === undefined, writable });
  }

  #hasRoom(): void {
    this.#channel.flush?.();
    const waited = this.#waiting && this.#channel.pending !== true;
    if (waited) this.#waiting = false;
    this.#interest();
    if (waited) this.#onRoom();
  }

  #read(): void {
    let left = BUDGET;
    for (; left > 0 && this.#open && this.#kept === undefined; left--) {
      const read = this.#channel.read();
      if (read === undefined) break;
      if (read === "gone") {
        this.#end();
        break;
      }
      const frame = new BytesFrame(read.bytes, read.offload);
      if (this.#endpoint.receive(frame)) this.counters.received(frame.length);
      else this.#keep(read);
    }
    this.#endpoint.flush();
    // What a channel has read ahead no poll tells of.
    if (left === 0) setImmediate(() => this.#read());
  }

  #keep({ bytes, offload }: ReadFrame): void {
    this.#kept = new BytesFrame(bytes.slice(), offload);
    this.#interest();
  }

  send(frame: Frame): boolean {
    if (!this.#open) {
      this.counters.dropped("unplugged");
      return true;
    }
    const outcome = this.#channel.write(frame);
    if (outcome === "wait") {
      this.#waiting = true;
      this.#interest();
      return false;
    }
    if (outcome === "sent") this.counters.sent(frame.length);
    else this.counters.dropped(outcome === "dropped" ? "gone" : "unplugged");
    if (outcome === "gone") this.#end();
    else if (this.#channel.pending === true) this.#interest();
    return true;
  }

  flush(): void {}

  roomAgain(): void {
    const kept = this.#kept;
    if (kept === undefined || !this.#open) return;
    if (!this.#endpoint.receive(kept)) return;
    this.#kept = undefined;
    this.counters.received(kept.length);
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
    this.#watch[Symbol.dispose]();
    this.#channel.fd[Symbol.dispose]();
  }
}
