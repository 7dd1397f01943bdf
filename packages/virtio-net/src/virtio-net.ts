/**
 * A network card as a virtio device: puts together what is sent, what is received, and what the driver sets. It knows no
 * network: it plugs into a backend.
 *
 * @see virtio 1.3, section 5.1
 * @module
 */
import {
  BROADCAST,
  BytesFrame,
  type Frame,
  isGroup,
  macAddress,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  type OffloadSupport,
  type PortCounters,
  writeHeader,
  writeMac,
} from "@virtspace/network";
import {
  type DeviceContext,
  FeatureSet,
  type QueueSpec,
  type QueueState,
  type VirtioDevice,
  VirtioDeviceType,
  type Virtqueue,
} from "@virtspace/virtio";
import { serveControl } from "./control/control-queue.ts";
import { NetSettings, NO_MODERATION } from "./control/net-settings.ts";
import { loadSettings, requireSettings, saveSettings } from "./control/settings-state.ts";
import { countDrop, freshCounters, type NetDropReason, type NetQueueCounters } from "./counters/net-queue-counters.ts";
import { guestSupport } from "./feature/guest-offloads.ts";
import { NetFeature } from "./feature/net-feature.ts";
import { offeredFeatures } from "./feature/offered-features.ts";
import { NetConfig } from "./net-config.ts";
import { Receiver } from "./receive/receiver.ts";
import { ALL_HASH_TYPES } from "./steering/flow-hash.ts";
import { Steering } from "./steering/steering.ts";
import type { ChainFrame } from "./transmit/chain-frame.ts";
import { Transmitter } from "./transmit/transmitter.ts";

/** How a card is made. */
export interface VirtioNetOptions {
  /** What it plugs into. */
  readonly backend: NetworkBackend;
  /** Its address, as text or as a number of 48 bits. */
  readonly mac: string | number;
  /** For people; "net" unless given. */
  readonly name?: string;
  /** Pairs of queues; 1 unless given. */
  readonly queuePairs?: number;
  /** The most descriptors of a queue; 256 unless given. */
  readonly queueSize?: number;
  /** The largest payload that the driver shall send, bytes; not told unless given. */
  readonly mtu?: number;
  /** What the driver shall believe, Mbit/s; not told unless given. */
  readonly speed?: number;
}

const MOST_QUEUE_PAIRS = 128;
const CONTROL_QUEUE_SIZE = 64;
const RARP = 0x8035;
/** What every IPv4 host must take, and the most that a length of 16 bits says. */
const LEAST_MTU = 68;
const MOST_MTU = 65535;

/** A network card. Dispose it to unplug it. */
export class VirtioNet implements VirtioDevice, NetworkEndpoint, Disposable {
  readonly name: string;
  readonly type: number = VirtioDeviceType.Network;
  readonly features: FeatureSet;
  readonly queues: readonly QueueSpec[];
  readonly config: NetConfig;
  /** How many pairs of queues a front-end may ask for. */
  readonly queueLimit: number;
  /** Counters of each queue, by its number. */
  readonly counters: readonly NetQueueCounters[];
  readonly #mac: number;
  readonly #pairs: number;
  readonly #port: NetworkPort;
  readonly #settings: NetSettings;
  readonly #steering: Steering;
  readonly #queues = new Map<number, Virtqueue>();
  readonly #disabled = new Set<number>();
  readonly #receivers: (Receiver | undefined)[] = [];
  readonly #transmitters: (Transmitter | undefined)[] = [];
  #context: DeviceContext | undefined;
  #accepts: OffloadSupport;
  /** Whether settings were restored, for the next start to keep. */
  #restored = false;

  /** Throws a RangeError for an address, or a number of queues, that no card has. */
  constructor({ backend, mac, name = "net", queuePairs = 1, queueSize = 256, mtu, speed }: VirtioNetOptions) {
    if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > MOST_QUEUE_PAIRS) {
      throw new RangeError(`a card has 1 to ${MOST_QUEUE_PAIRS} pairs of queues, not ${queuePairs}`);
    }
    this.name = name;
    this.#mac = typeof mac === "number" ? mac : macAddress(mac);
    if (isGroup(this.#mac)) throw new RangeError(`"${mac}" is a group's address: a card has one of its own, whose first byte is even`);
    this.#pairs = queuePairs;
    this.queueLimit = queuePairs;
    this.queues = queueSpecs(queuePairs, queueSize);
    this.counters = this.queues.map((queue) => freshCounters(queue.name));
    this.config = new NetConfig({ mac: this.#mac, queuePairs, hashTypes: ALL_HASH_TYPES, mtu, speed });
    this.#settings = new NetSettings(this.#mac);
    this.#steering = new Steering(this.#settings);
    this.#accepts = guestSupport(FeatureSet.none);
    this.#port = backend.plug(this);
    this.#port.onRoom(() => {
      for (const transmitter of this.#transmitters) transmitter?.resume();
    });
    this.features = offeredFeatures({ backend: this.#port.accepts, queuePairs, mtu: mtu !== undefined, speed: speed !== undefined });
  }

  /** What frames the driver takes. */
  get accepts(): OffloadSupport {
    return this.#accepts;
  }

  /** What went through its port of the network, and what was dropped there: where this card had no room, a switch counts it. */
  get portCounters(): PortCounters {
    return this.#port.counters;
  }

  /** Whether the link is up. While it is down nothing goes through. */
  get linkUp(): boolean {
    return this.config.linkUp;
  }

  /** Pulls the cable, or plugs it in. */
  set linkUp(up: boolean) {
    if (up === this.config.linkUp) return;
    this.config.linkUp = up;
    this.#context?.configChanged();
  }

  start(context: DeviceContext): void {
    this.#context = context;
    if (!this.#restored) this.#settings.start(context.features);
    else if (context.features.has(NetFeature.GuestAnnounce)) this.announce();
    this.#restored = false;
    this.#changed();
  }

  /** Asks the driver to tell the network where it is, as after a move. */
  announce(): void {
    this.config.announcing = true;
    this.#context?.configChanged();
  }

  /**
   * Tells the network where an address is, for a driver that can't: a RARP request, as QEMU sends it after a move.
   *
   * @see RFC 903
   */
  sendRarp(mac: number): void {
    const bytes = new Uint8Array(60);
    writeHeader(bytes, BROADCAST, mac, RARP);
    // Ethernet, IPv4, lengths of both addresses, reverse request.
    bytes.set([0, 1, 8, 0, 6, 4, 0, 3], 14);
    writeMac(bytes, 22, mac);
    writeMac(bytes, 32, mac);
    this.#port.send(new BytesFrame(bytes));
    this.#port.flush();
  }

  /** Takes the largest payload of a frame from a front-end that knows it. @returns whether there is such a network */
  setMtu(mtu: number): boolean {
    if (!Number.isInteger(mtu) || mtu < LEAST_MTU || mtu > MOST_MTU) return false;
    this.config.mtu = mtu;
    return true;
  }

  startQueue(index: number, queue: Virtqueue): void {
    this.#queues.set(index, queue);
    const pair = index >>> 1;
    if (index === this.#controlIndex(queue.features)) {
      serveControl(queue, {
        settings: this.#settings,
        features: queue.features,
        queuePairs: this.#pairs,
        macChanged: (mac) => {
          this.config.mac = mac;
        },
        announced: () => {
          this.config.announcing = false;
        },
        changed: () => this.#changed(),
      });
    } else if (pair >= this.#pairsOf(queue.features)) {
      // Nobody agreed on such a queue: what is in it stays there.
    } else if (index % 2 === 0) {
      const counters = this.counters[index] as NetQueueCounters;
      this.#receivers[pair] = new Receiver(queue, { counters, roomAgain: () => this.#port.roomAgain() });
    } else {
      this.#transmitters[pair] = this.#transmitter(index, queue);
    }
    this.#changed();
    // Whoever waits for this queue tries again.
    this.#port.roomAgain();
  }

  #transmitter(index: number, queue: Virtqueue): Transmitter {
    return new Transmitter(queue, {
      port: this.#port,
      counters: this.counters[index] as NetQueueCounters,
      closed: () => this.#closed(index),
      sent: (frame: ChainFrame) => this.#steering.sent(frame, index >>> 1),
    });
  }

  #closed(index: number): NetDropReason | undefined {
    if (this.#disabled.size > 0 && this.#disabled.has(index)) return "disabled";
    return this.config.linkUp ? undefined : "link-down";
  }

  /** The control queue comes behind the pairs that the driver knows of. */
  #controlIndex(features: FeatureSet): number {
    return features.has(NetFeature.CtrlVq) ? 2 * this.#pairsOf(features) : -1;
  }

  /** Pairs that the driver knows of. */
  #pairsOf(features: FeatureSet): number {
    return features.has(NetFeature.Mq) || features.has(NetFeature.Rss) ? this.#pairs : 1;
  }

  enableQueue(index: number, enabled: boolean): void {
    if (enabled) this.#disabled.delete(index);
    else this.#disabled.add(index);
    this.#changed();
  }

  stopQueue(index: number): QueueState {
    const queue = this.#queues.get(index) as Virtqueue;
    this.#queues.delete(index);
    if (index % 2 === 0) this.#receivers[index >>> 1] = undefined;
    else this.#transmitters[index >>> 1] = undefined;
    this.#changed();
    const state = queue.stop();
    this.#count(index, queue);
    return state;
  }

  #count(index: number, { counters }: Virtqueue): void {
    const total = this.counters[index] as NetQueueCounters;
    total.kicks += counters.kicks;
    total.interrupts += counters.interrupts;
    // Asked twice it counts once.
    counters.kicks = 0;
    counters.interrupts = 0;
  }

  /** Brings the counters of queues that run up to date. @returns all of them */
  count(): readonly NetQueueCounters[] {
    for (const [index, queue] of this.#queues) this.#count(index, queue);
    return this.counters;
  }

  /** What was negotiated, set or enabled is followed. */
  #changed(): void {
    const settings = this.#settings;
    this.#accepts = guestSupport(settings.guestOffloads);
    this.#steering.follow(
      this.#receivers.map((receiver, pair) => (this.#disabled.has(2 * pair) ? undefined : receiver)),
      this.#context?.features.has(NetFeature.HashReport) === true,
    );
    for (const [index, queue] of this.#queues) {
      const { frames, microseconds } = settings.moderation.get(index) ?? NO_MODERATION;
      queue.moderate(frames, Math.floor(microseconds / 1000));
    }
  }

  receive(frame: Frame): boolean {
    const { target } = this.#steering;
    if (target === undefined && this.#steering.empty) return true;
    const reason = this.config.linkUp ? undefined : "link-down";
    if (reason !== undefined || !this.#settings.filter.passes(frame)) {
      countDrop(this.counters[0] as NetQueueCounters, reason ?? "filtered");
      return true;
    }
    // One queue, and nobody who wants hashes: no look at what the frame is.
    return target === undefined ? this.#steering.receive(frame) : target.receive(frame, undefined);
  }

  flush(): void {
    for (const receiver of this.#receivers) receiver?.flush();
  }

  reset(): void {
    this.#context = undefined;
    this.#restored = false;
    this.#disabled.clear();
    this.#steering.clear();
    this.#settings.reset(this.#mac);
    this.config.mac = this.#mac;
    this.config.announcing = false;
    this.#changed();
  }

  save(): unknown {
    return { settings: saveSettings(this.#settings), linkUp: this.config.linkUp };
  }

  restore(state: unknown): void {
    const { settings, linkUp } = (state ?? {}) as { settings?: unknown; linkUp?: unknown };
    const checked = requireSettings(settings, this.#pairs);
    if (typeof linkUp !== "boolean") throw new TypeError("this is no state of a network device: its link does not fit");
    loadSettings(this.#settings, checked);
    this.config.mac = checked.mac;
    this.config.linkUp = linkUp;
    this.#restored = true;
  }

  /** Unplugs the card. */
  [Symbol.dispose](): void {
    this.#port[Symbol.dispose]();
  }
}

function queueSpecs(pairs: number, size: number): QueueSpec[] {
  const specs: QueueSpec[] = [];
  for (let pair = 0; pair < pairs; pair++) specs.push({ name: `receive ${pair}`, size }, { name: `transmit ${pair}`, size });
  return [...specs, { name: "control", size: CONTROL_QUEUE_SIZE }];
}
