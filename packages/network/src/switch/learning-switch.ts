/**
 * A learning switch between any number of devices. It learns which address is behind which port, sends what it knows to one
 * and the rest to all others, and copies nothing: the receiver copies out of the
 * sender's memory. Only what a receiver can't take as it is (large segments, missing checksums) is finished in between.
 *
 * @see IEEE 802.1D, section 7 (learning, filtering, ageing)
 */
import { EthernetAddresses, HEADER_BYTES, isGroup, MAX_FRAME_BYTES } from "../frame/ethernet.ts";
import type { Frame } from "../frame/frame.ts";
import { defaultNetworkHost, type NetworkHost } from "../host/host.ts";
import { deliver } from "../offload/delivery.ts";
import type { OffloadSupport } from "../offload/offload.ts";
import { Segmenter } from "../offload/segmenter.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "../port/network-backend.ts";
import { PortCounters } from "../port/port-counters.ts";
import { FloodLimit } from "./flood-limit.ts";
import { MacTable, type MacTableOptions } from "./mac-table.ts";
import { Patience } from "./patience.ts";

/** How a switch behaves. */
export interface LearningSwitchOptions extends MacTableOptions {
  /** For people; "switch" unless given. */
  readonly name?: string;
  /** Frames a second that one port may send to everybody; 10,000 unless given. */
  readonly floodsPerSecond?: number;
  /** What becomes of a frame for one receiver that has no room; `drop` unless given. Frames for everybody never wait. */
  readonly whenFull?: WhenFull;
  /** Milliseconds since some moment; the wall clock unless given. */
  readonly now?: NetworkHost["now"];
  /** Timers, for `pace`; the host's unless given. */
  readonly after?: NetworkHost["after"];
}

/**
 * What becomes of a frame for one receiver that has no room:
 *
 * - `drop`: it is dropped, as by a switch of iron
 * - `wait`: its sender waits, however long that is: nothing is lost, and a receiver can hold up all who send to it
 * - `pace`: its sender waits for a receiver that takes frames at a fair pace, 5 ms at the most; for another one it is dropped
 */
export type WhenFull = "drop" | "wait" | "pace";

/** A switch. */
export class LearningSwitch implements NetworkBackend {
  readonly name: string;
  readonly #table: MacTable<SwitchPort>;
  readonly #ports = new Set<SwitchPort>();
  readonly #options: Required<Pick<LearningSwitchOptions, "floodsPerSecond" | "whenFull" | "now" | "after">>;
  readonly #addresses = new EthernetAddresses();

  constructor(options: LearningSwitchOptions = {}) {
    const {
      name = "switch",
      floodsPerSecond = 10_000,
      whenFull = "drop",
      now = defaultNetworkHost.now,
      after = defaultNetworkHost.after,
    } = options;
    this.name = name;
    this.#options = { floodsPerSecond, whenFull, now, after };
    this.#table = new MacTable(options);
  }

  /** Addresses that it knows. */
  get known(): number {
    return this.#table.size;
  }

  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { floodsPerSecond, now, after, whenFull } = this.#options;
    const port = new SwitchPort(endpoint, new FloodLimit(floodsPerSecond, now()), {
      patience: whenFull === "pace" ? { now, after } : undefined,
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
    else if (!this.#addresses.read(frame)) counters.dropped("gone");
    else return this.#deliver(from, frame, this.#addresses.target, this.#addresses.source);
    return true;
  }

  #deliver(from: SwitchPort, frame: Frame, target: number, source: number): boolean {
    const { flow } = from;
    // Frames come in trains: as long as nothing changed, the next one goes where the last one went.
    if (target === flow.target && source === flow.source && flow.version === this.#table.version && from.inBatch) {
      return this.#forwardTo(flow.port as SwitchPort, from, frame);
    }
    if (isGroup(source)) {
      from.counters.dropped("bad-source");
      return true;
    }
    const now = from.batchTime(this.#options.now);
    const to = isGroup(target) ? undefined : this.#table.find(target, now);
    if (to === undefined) {
      this.#table.learn(source, from, now);
      this.#flood(from, frame, now);
      return true;
    }
    if (!this.#forwardTo(to, from, frame)) return false;
    this.#table.learn(source, from, now);
    flow.target = target;
    flow.source = source;
    flow.port = to;
    flow.version = this.#table.version;
    return true;
  }

  /** @returns false where the sender is to wait */
  #forwardTo(to: SwitchPort, from: SwitchPort, frame: Frame): boolean {
    if (to !== from && !to.take(frame, this.#options.whenFull === "drop" ? undefined : from)) return false;
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
  /** For a port with which senders have some patience. */
  readonly patience: NetworkHost | undefined;
  forward(from: SwitchPort, frame: Frame): boolean;
  unplug(port: SwitchPort): void;
}

/** Where the last frame of a port went. */
interface LastFlow {
  target: number;
  source: number;
  port: SwitchPort | undefined;
  version: number;
}

class SwitchPort implements NetworkPort {
  readonly counters = new PortCounters();
  readonly limit: FloodLimit;
  readonly #endpoint: NetworkEndpoint;
  readonly #owner: PortOwner;
  readonly #segmenter = new Segmenter();
  readonly flow: LastFlow = { target: -1, source: -1, port: undefined, version: -1 };
  /** Ports that got something from this one since its last flush, and the last of them. */
  readonly #touched = new Set<SwitchPort>();
  #lastTouched: SwitchPort | undefined;
  /** When the batch began: time stands still until it is flushed. */
  #batchTime: number | undefined;
  /** Ports that wait for room here. */
  readonly #waiting = new Set<SwitchPort>();
  readonly #patience: Patience | undefined;
  #onRoom: () => void = () => {};
  #plugged = true;

  constructor(endpoint: NetworkEndpoint, limit: FloodLimit, owner: PortOwner) {
    this.#endpoint = endpoint;
    this.limit = limit;
    this.#owner = owner;
    this.#patience = owner.patience && new Patience(owner.patience, () => this.#wakeSenders());
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
      this.#patience?.took();
      this.counters.received(frame.length);
      return true;
    }
    if (delivery === "offload") {
      this.counters.dropped("offload");
      return true;
    }
    if (sender !== undefined && delivery === "no-room" && this.#patience?.wait() !== false) {
      this.#waiting.add(sender);
      return false;
    }
    this.counters.dropped("no-room");
    return true;
  }

  touch(port: SwitchPort): void {
    if (port === this.#lastTouched) return;
    this.#lastTouched = port;
    this.#touched.add(port);
  }

  /** Whether frames were sent since the last flush. */
  get inBatch(): boolean {
    return this.#batchTime !== undefined;
  }

  /** The time of the batch. */
  batchTime(now: () => number): number {
    this.#batchTime ??= now();
    return this.#batchTime;
  }

  flush(): void {
    this.#batchTime = undefined;
    this.#lastTouched = undefined;
    for (const port of this.#touched) {
      // First: what it is sent while it is told is told again.
      this.#touched.delete(port);
      if (port.#plugged) port.#endpoint.flush();
    }
    this.#lastTouched = undefined;
  }

  roomAgain(): void {
    this.#patience?.end();
    this.#wakeSenders();
  }

  #wakeSenders(): void {
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
    this.#lastTouched = undefined;
    // Nobody waits for a device that is gone.
    this.roomAgain();
  }
}
