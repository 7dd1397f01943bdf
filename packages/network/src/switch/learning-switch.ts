/**
 * A learning switch between any number of devices. It learns which address is behind which port, sends what it knows to one
 * and the rest to all others, and copies nothing: the receiver copies out of the
 * sender's memory. Only what a receiver can't take as it is (large segments, missing checksums) is finished in between.
 *
 * @see IEEE 802.1D, section 7 (learning, filtering, ageing)
 */
import { HEADER_BYTES, isGroup, MAX_FRAME_BYTES, readHeader, readMac } from "../frame/ethernet.ts";
import type { Frame } from "../frame/frame.ts";
import { deliver } from "../offload/delivery.ts";
import type { OffloadSupport } from "../offload/offload.ts";
import { Segmenter } from "../offload/segmenter.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "../port/network-backend.ts";
import { PortCounters } from "../port/port-counters.ts";
import { FloodLimit } from "./flood-limit.ts";
import { MacTable, type MacTableOptions } from "./mac-table.ts";

/** How a switch behaves. */
export interface LearningSwitchOptions extends MacTableOptions {
  /** For people; "switch" unless given. */
  readonly name?: string;
  /** Frames a second that one port may send to everybody; 10,000 unless given. */
  readonly floodsPerSecond?: number;
  /**
   * What becomes of a frame for one receiver that has no room: `drop`, as a switch of iron does, or `wait`, which slows its
   * sender down instead. `drop` unless given; frames for everybody never wait.
   */
  readonly whenFull?: "drop" | "wait";
  /** Milliseconds since some moment; the wall clock unless given. */
  readonly now?: () => number;
}

/** A switch. */
export class LearningSwitch implements NetworkBackend {
  readonly name: string;
  readonly #table: MacTable<SwitchPort>;
  readonly #ports = new Set<SwitchPort>();
  readonly #options: Required<Pick<LearningSwitchOptions, "floodsPerSecond" | "whenFull" | "now">>;
  readonly #header = new Uint8Array(HEADER_BYTES);

  constructor(options: LearningSwitchOptions = {}) {
    const { name = "switch", floodsPerSecond = 10_000, whenFull = "drop", now = Date.now } = options;
    this.name = name;
    this.#options = { floodsPerSecond, whenFull, now };
    this.#table = new MacTable(options);
  }

  /** Addresses that it knows. */
  get known(): number {
    return this.#table.size;
  }

  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { floodsPerSecond, now } = this.#options;
    const port = new SwitchPort(endpoint, new FloodLimit(floodsPerSecond, now()), {
      forward: (from, frame) => this.#forward(from, frame),
      unplug: (each) => {
        this.#ports.delete(each);
        this.#table.forget(each);
      },
    });
    this.#ports.add(port);
    return port;
  }

  /** @returns false where the sender is to wait */
  #forward(from: SwitchPort, frame: Frame): boolean {
    const { counters } = from;
    if (frame.length < HEADER_BYTES) counters.dropped("short");
    else if (frame.length > MAX_FRAME_BYTES) counters.dropped("long");
    else if (!readHeader(frame, this.#header)) counters.dropped("gone");
    else return this.#deliver(from, frame, readMac(this.#header, 0), readMac(this.#header, 6));
    return true;
  }

  #deliver(from: SwitchPort, frame: Frame, target: number, source: number): boolean {
    const now = this.#options.now();
    if (isGroup(source)) {
      from.counters.dropped("bad-source");
      return true;
    }
    const to = isGroup(target) ? undefined : this.#table.find(target, now);
    if (to === undefined) {
      this.#table.learn(source, from, now);
      this.#flood(from, frame, now);
      return true;
    }
    if (to !== from && !to.take(frame, this.#options.whenFull === "wait" ? from : undefined)) return false;
    this.#table.learn(source, from, now);
    from.counters.sent(frame.length);
    if (to !== from) from.touch(to);
    return true;
  }

  #flood(from: SwitchPort, frame: Frame, now: number): void {
    if (!from.limit.take(now)) {
      from.counters.dropped("flood-limit");
      return;
    }
    from.counters.sent(frame.length);
    for (const to of this.#ports) {
      if (to === from) continue;
      to.take(frame, undefined);
      from.touch(to);
    }
  }
}

const EVERYTHING: OffloadSupport = { checksum: true, segmentation: ["tcp4", "tcp6", "udp"], ecn: true };

interface PortOwner {
  forward(from: SwitchPort, frame: Frame): boolean;
  unplug(port: SwitchPort): void;
}

class SwitchPort implements NetworkPort {
  readonly counters = new PortCounters();
  readonly limit: FloodLimit;
  readonly #endpoint: NetworkEndpoint;
  readonly #owner: PortOwner;
  readonly #segmenter = new Segmenter();
  /** Ports that got something from this one since its last flush. */
  readonly #touched = new Set<SwitchPort>();
  /** Ports that wait for room here. */
  readonly #waiting = new Set<SwitchPort>();
  #onRoom: () => void = () => {};
  #plugged = true;

  constructor(endpoint: NetworkEndpoint, limit: FloodLimit, owner: PortOwner) {
    this.#endpoint = endpoint;
    this.limit = limit;
    this.#owner = owner;
  }

  get accepts(): OffloadSupport {
    // Who will receive is not known beforehand: what a receiver can't take is finished for it on the way.
    return EVERYTHING;
  }

  send(frame: Frame): boolean {
    if (this.#plugged) return this.#owner.forward(this, frame);
    this.counters.dropped("unplugged");
    return true;
  }

  /** Gives the device a frame. @returns false where its sender is to wait for room */
  take(frame: Frame, sender: SwitchPort | undefined): boolean {
    const delivery = deliver(this.#endpoint, frame, this.#segmenter);
    if (delivery === "taken") {
      this.counters.received(frame.length);
      return true;
    }
    if (delivery === "offload") {
      this.counters.dropped("offload");
      return true;
    }
    if (sender !== undefined && delivery === "no-room") {
      this.#waiting.add(sender);
      return false;
    }
    this.counters.dropped("no-room");
    return true;
  }

  touch(port: SwitchPort): void {
    this.#touched.add(port);
  }

  flush(): void {
    for (const port of this.#touched) if (port.#plugged) port.#endpoint.flush();
    this.#touched.clear();
  }

  roomAgain(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const port of waiting) if (port.#plugged) port.#onRoom();
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  [Symbol.dispose](): void {
    if (!this.#plugged) return;
    this.#plugged = false;
    this.#owner.unplug(this);
    this.#touched.clear();
    // Nobody waits for a device that is gone.
    this.roomAgain();
  }
}
