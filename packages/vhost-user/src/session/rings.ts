/**
 * The rings of a session and the device behind them: starts a ring when all of it is known, stops it, and follows the memory
 * table while it runs.
 *
 * @module
 */
import type { Fd, Poller } from "@virtspace/host-linux";
import type { GuestAddress, VirtAddressSpace } from "@virtspace/virt-address-space";
import {
  DeviceRunner,
  FeatureSet,
  freshQueueState,
  isQueueSize,
  type Logger,
  type QueueJournal,
  type QueueState,
  VirtioFeature,
} from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import { openPackedTable, type PackedRing, tellBase } from "../inflight/packed-journal.ts";
import { voidTable } from "../inflight/ring-position.ts";
import type { RingTables } from "../inflight/ring-tables.ts";
import { openSplitTable } from "../inflight/split-journal.ts";
import type { PeerMemory } from "../memory/peer-memory.ts";
import type { PayloadOf } from "../protocol/layout.ts";
import { Vring } from "../ring/vring.ts";
import type { VhostUserDevice } from "./vhost-user-device.ts";

/** What rings need of their session. */
export interface RingsOwner {
  readonly space: VirtAddressSpace;
  readonly memory: PeerMemory;
  readonly poller: Poller;
  readonly log: Logger;
  readonly tables: RingTables;
  /** How long a queue looks for more after a buffer, microseconds. */
  readonly pollMicroseconds: number;
  /** Whether the driver's notifications may come by messages. */
  kicksInBand(): boolean;
  /** A ring without a descriptor for interrupts has one. */
  callInBand(index: number): void;
  /** A ring without a descriptor for errors is broken. */
  errorInBand(index: number): void;
  configChanged(): void;
}

interface Running {
  readonly watch: Disposable | undefined;
  readonly places: readonly number[];
}

/** How often a ring is looked at whose driver has no way to notify. */
const POLL_MILLISECONDS = 1;

/** The rings of a device. */
export class Rings implements Disposable {
  readonly runner: DeviceRunner;
  readonly #owner: RingsOwner;
  readonly #rings: readonly Vring[];
  readonly #running = new Map<number, Running>();
  #features: FeatureSet = FeatureSet.none;
  #deviceStarted = false;
  #needsReset = false;

  constructor(device: VhostUserDevice, owner: RingsOwner) {
    this.#owner = owner;
    this.#rings = device.queues.map(() => new Vring());
    this.runner = new DeviceRunner(device, {
      space: owner.space,
      log: owner.log,
      pollMicroseconds: owner.pollMicroseconds,
      interrupt: (index) => this.#interrupt(index),
      configChanged: () => owner.configChanged(),
      // There is no message for it: each ring says that it has an error, and the status says it to whoever asks.
      needReset: () => {
        this.#needsReset = true;
        for (const index of this.#rings.keys()) this.#lost(index);
      },
      queueLost: ({ queue }) => {
        this.#needsReset = true;
        this.#lost(queue);
      },
    });
  }

  #interrupt(index: number): void {
    const { call } = this.#rings[index] as Vring;
    if (call !== undefined) call.signal();
    else this.#owner.callInBand(index);
  }

  #lost(index: number): void {
    const { error } = this.#rings[index] as Vring;
    if (error !== undefined) error.signal();
    else this.#owner.errorInBand(index);
  }

  /** Whether the driver broke a ring, or the device can't go on, since the last reset. */
  get needsReset(): boolean {
    return this.#needsReset;
  }

  /** Whether any ring runs. */
  get running(): boolean {
    return this.#running.size > 0;
  }

  /** Whether rings have the packed layout. */
  get packed(): boolean {
    return this.#features.has(VirtioFeature.RingPacked);
  }

  /** A ring by its number. @throws {@link VhostUserError} `bad-ring` */
  ring(index: number): Vring {
    const ring = this.#rings[index];
    if (ring === undefined) throw new VhostUserError("bad-ring", `there is no ring ${index}: the device has ${this.#rings.length}`);
    return ring;
  }

  /** Settles the features. @throws {@link VhostUserError} `out-of-order` while rings run under others */
  setFeatures(features: FeatureSet, enabledFromStart: boolean): void {
    if (!features.equals(this.#features)) {
      this.requireAllStopped("features");
      this.#restartDevice();
    }
    this.#features = features;
    if (enabledFromStart) for (const ring of this.#rings) ring.enabled = true;
  }

  /** Says how many descriptors a ring has. */
  setSize({ index, num }: PayloadOf<"vringState">): undefined {
    const ring = this.ring(index);
    this.#requireStopped(index, "its size");
    const most = this.runner.device.queues[index]?.size ?? 0;
    if (!isQueueSize(num, this.packed) || num > Math.max(most, 1024))
      throw new VhostUserError("bad-ring", `ring ${index} can't have ${num} descriptors`);
    ring.size = num;
  }

  /** Says where a ring is. While it runs it may say the same again. */
  setAddresses({ index, descriptors, available, used }: PayloadOf<"vringAddress">): undefined {
    const ring = this.ring(index);
    const { addresses } = ring;
    const same = addresses?.descriptors === descriptors && addresses.available === available && addresses.used === used;
    if (!same) this.#requireStopped(index, "its addresses");
    ring.addresses = { descriptors, available, used };
  }

  /** Says where a ring stands. */
  setBase({ index, num }: PayloadOf<"vringState">): undefined {
    const ring = this.ring(index);
    this.#requireStopped(index, "its position");
    if (!this.packed && num > 0xffff) throw new VhostUserError("bad-ring", `ring ${index} can't stand at ${num}: indices have 16 bits`);
    // Who says something else than where it stood means another ring.
    if (ring.base !== num) {
      ring.moved = ring.ran;
      ring.inFlight = [];
    }
    ring.base = num;
    ring.told = num;
  }

  /** Enables a ring, or not. */
  setEnabled({ index, num }: PayloadOf<"vringState">): undefined {
    if (num > 1) throw new VhostUserError("bad-payload", `a ring is enabled by 1 and disabled by 0, not by ${num}`);
    const ring = this.ring(index);
    ring.enabled = num === 1;
    const { device } = this.runner;
    if (device.enableQueue === undefined) {
      if (ring.enabled) this.#start(index);
      else this.#pause(index);
    } else if (this.#running.has(index)) {
      device.enableQueue(index, ring.enabled);
    }
  }

  /** Takes the descriptor that the driver's notifications come by, and starts the ring. */
  setKick(index: number, fd: Fd | undefined): undefined {
    const ring = this.ring(index);
    // What it waits for must not be closed under it.
    ring.take("kick", fd, () => this.#pause(index));
    ring.started = true;
    this.#start(index);
  }

  /** Takes the descriptor that interrupts, or errors, go by. */
  setCall(which: "call" | "error", index: number, fd: Fd | undefined): undefined {
    const ring = this.ring(index);
    ring.take(which, fd);
    // QEMU starts a ring before it says this: what was used meanwhile went by a descriptor that nobody hears.
    if (which === "call" && this.#running.has(index)) ring.call?.signal();
  }

  /** The driver notified by a message, which starts a ring that was not started. */
  kick(index: number): undefined {
    this.ring(index).started = true;
    this.#start(index);
    this.runner.queue(index)?.kick();
  }

  /** Stops a ring. @returns where it stood */
  stop(index: number): number {
    const ring = this.ring(index);
    this.#pause(index);
    ring.started = false;
    ring.take("kick", undefined);
    ring.told = ring.base ?? positionOf(freshQueueState(this.packed), this.packed);
    if (this.packed && ring.ran) this.#writeTold(index, ring, ring.told);
    return ring.told;
  }

  /** Writes down what the front-end was told, for who comes after: it may go on from there by itself. */
  #writeTold(index: number, ring: Vring, told: number): void {
    const { log } = this.#owner;
    try {
      const table = this.#table(index, ring);
      if (table !== undefined) tellBase(table, told);
    } catch (cause) {
      log.warn(`where ring ${index} stands can't be written down`, { cause });
    }
  }

  /** A ring's table; undefined where none is kept, or the ring is in no memory. */
  #table(index: number, { size, addresses }: Vring): DataView | undefined {
    const { tables, memory } = this.#owner;
    const place = addresses && memory.place(addresses.descriptors);
    return place === undefined ? undefined : tables.table({ index, size, packed: this.packed, place });
  }

  /** The memory table has changed: rings whose addresses mean something else now begin anew where they stood. */
  memoryChanged(): void {
    for (const [index, { places }] of [...this.#running]) {
      const now = this.#places(this.#rings[index] as Vring);
      if (now?.every((place, i) => place === places[i])) continue;
      this.#pause(index);
      this.#start(index);
    }
    // A ring that was told of before its memory was.
    for (const index of this.#rings.keys()) if (!this.#running.has(index)) this.#start(index);
  }

  /** @throws {@link VhostUserError} `out-of-order` while a ring runs */
  requireAllStopped(what: string): void {
    if (this.running) throw new VhostUserError("out-of-order", `${what} can't change while rings run`);
  }

  #requireStopped(index: number, what: string): void {
    if (this.#running.has(index)) throw new VhostUserError("out-of-order", `ring ${index} runs: ${what} can't change`);
  }

  #places(ring: Vring): readonly number[] | undefined {
    const { addresses } = ring;
    if (addresses === undefined) return undefined;
    const { memory } = this.#owner;
    const places = [addresses.descriptors, addresses.available, addresses.used].map((address) => memory.guestAddress(address));
    return places.includes(undefined) ? undefined : (places as number[]);
  }

  /** Runs a ring, where all of it is known. */
  #start(index: number): void {
    const ring = this.#rings[index] as Vring;
    const { device } = this.runner;
    if (this.#running.has(index) || !ring.started || ring.size === 0) return;
    if (!ring.enabled && device.enableQueue === undefined) return;
    const places = this.#places(ring);
    if (places === undefined) return;
    if (!isQueueSize(ring.size, this.packed)) throw new VhostUserError("bad-ring", `ring ${index} can't have ${ring.size} descriptors`);
    this.#startDevice();
    const [descriptors, driver, used] = places as [never, never, never];
    const { state, journal } = this.#openTable(index, ring, places);
    this.#running.set(index, { watch: this.#awaitKicks(index, ring), places });
    const runs = this.runner.startQueue({ index, size: ring.size, descriptors, driver, device: used, state, journal });
    if (runs) device.enableQueue?.(index, ring.enabled);
    // A process that was killed may have shown what it used, and not interrupted. A driver stands an interrupt for nothing.
    ring.call?.signal();
  }

  /** Waits for notifications by descriptor; without one the driver sends messages, or a look now and then is what it asks for. */
  #awaitKicks(index: number, { kick }: Vring): Disposable | undefined {
    const { poller, kicksInBand } = this.#owner;
    if (kick !== undefined) {
      return poller.watch(kick, { readable: true }, () => {
        if (kick.take() > 0) this.runner.queue(index)?.kick();
      });
    }
    if (kicksInBand()) return undefined;
    const timer = setInterval(() => this.runner.queue(index)?.kick(), POLL_MILLISECONDS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** Where a ring stands. A split ring's used index is in its memory, and is what the driver has been told. */
  #state({ base, inFlight }: Vring, used: number): QueueState {
    if (this.packed) return base === undefined ? freshQueueState(true) : { available: base & 0xffff, used: base >>> 16, inFlight };
    const available = base ?? 0;
    const index = this.#owner.space.readU16((used + 2) as never) ?? available;
    // What is in flight is what the driver misses; where it misses another number, this is another driver's ring.
    const same = ((available - index) & 0xffff) === inFlight.length;
    return { available, used: index, inFlight: same ? inFlight : [] };
  }

  /** Where a ring goes on by what was written down of it, and where that goes on. */
  #openTable(index: number, ring: Vring, [descriptors, , used]: readonly number[]): { state: QueueState; journal?: QueueJournal } {
    const { size } = ring;
    const { packed } = this;
    const { space, log } = this.#owner;
    const state = this.#state(ring, used as number);
    try {
      const table = this.#table(index, ring);
      if (table === undefined) return { state };
      if (ring.moved) voidTable(table);
      ring.moved = false;
      ring.ran = true;
      const opened = packed
        ? openPackedTable(table, size, packedRing(space, descriptors as number, size), state, ring.told ?? positionOf(state, packed))
        : openSplitTable(table, size, state, (entry) => space.readU32(((used as number) + 4 + 8 * entry) as never) ?? size);
      // What this process had is known better than what it wrote down.
      const same = state.inFlight.length > 0 && sameIds(state.inFlight, opened.state.inFlight);
      return same ? { ...opened, state: { ...opened.state, inFlight: state.inFlight } } : opened;
    } catch (cause) {
      log.warn(`what is in flight in ring ${index} can't be written down`, { cause });
      return { state };
    }
  }

  #startDevice(): void {
    if (this.#deviceStarted) return;
    this.#deviceStarted = true;
    this.runner.start(this.#features);
  }

  /** Ends a ring and keeps where it stood. */
  #pause(index: number): void {
    const running = this.#running.get(index);
    if (running === undefined) return;
    this.#running.delete(index);
    running.watch?.[Symbol.dispose]();
    const state = this.runner.stopQueue(index);
    if (state === undefined) return;
    const ring = this.#rings[index] as Vring;
    ring.base = positionOf(state, this.packed);
    ring.inFlight = state.inFlight;
  }

  /** Disables all rings. */
  disable(): void {
    for (const index of this.#rings.keys()) this.setEnabled({ index, num: 0 });
  }

  /** Ends all rings and makes the device as it was at the beginning. */
  reset(): void {
    for (const index of [...this.#running.keys()]) this.#pause(index);
    for (const ring of this.#rings) {
      ring.started = false;
      ring.inFlight = [];
    }
    this.#needsReset = false;
    this.#restartDevice();
  }

  #restartDevice(): void {
    if (this.#deviceStarted) this.runner.reset();
    this.#deviceStarted = false;
  }

  [Symbol.dispose](): void {
    this.reset();
    for (const ring of this.#rings) ring[Symbol.dispose]();
  }
}

function packedRing(space: VirtAddressSpace, ring: number, size: number): PackedRing {
  const bytes = new Uint8Array(16 * size);
  space.copyFrom(ring as GuestAddress, bytes);
  return {
    copy: new DataView(bytes.buffer),
    setFlags: (at, flags) => void space.writeU16((ring + 16 * at + 14) as GuestAddress, flags),
  };
}

function sameIds(one: QueueState["inFlight"], other: QueueState["inFlight"]): boolean {
  const ids = new Set(one.map(({ id }) => id));
  return ids.size === other.length && other.every(({ id }) => ids.has(id));
}

/** A queue's position in the one number of VRING_BASE. */
function positionOf({ available, used }: QueueState, packed: boolean): number {
  return packed ? (available | (used << 16)) >>> 0 : available;
}
