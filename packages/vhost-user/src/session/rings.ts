/**
 * The rings of a session and the device behind them: starts a ring when all of it is known, stops it, and follows the memory
 * table while it runs.
 *
 * @module
 */
import type { Fd, Poller, Watch } from "@virtspace/host-linux";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { DeviceRunner, FeatureSet, freshQueueState, isQueueSize, type Logger, type QueueState, VirtioFeature } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
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
  /** A ring without a descriptor for interrupts has one. */
  callInBand(index: number): void;
  /** A ring without a descriptor for errors is broken. */
  errorInBand(index: number): void;
  configChanged(): void;
}

interface Running {
  readonly watch: Watch | undefined;
  readonly places: readonly number[];
}

/** The rings of a device. */
export class Rings implements Disposable {
  readonly runner: DeviceRunner;
  readonly #owner: RingsOwner;
  readonly #rings: readonly Vring[];
  readonly #running = new Map<number, Running>();
  #features: FeatureSet = FeatureSet.none;
  #deviceStarted = false;

  constructor(device: VhostUserDevice, owner: RingsOwner) {
    this.#owner = owner;
    this.#rings = device.queues.map(() => new Vring());
    this.runner = new DeviceRunner(device, {
      space: owner.space,
      log: owner.log,
      interrupt: (index) => this.#interrupt(index),
      configChanged: () => owner.configChanged(),
      queueLost: ({ queue }) => this.#lost(queue),
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
    if (this.running && !features.equals(this.#features)) {
      throw new VhostUserError("out-of-order", "features can't change while rings run");
    }
    if (!features.equals(this.#features)) this.#restartDevice();
    this.#features = features;
    if (enabledFromStart) for (const ring of this.#rings) ring.enabled = true;
  }

  /** Says how many descriptors a ring has. */
  setSize({ index, num }: PayloadOf<"vringState">): void {
    const ring = this.ring(index);
    this.#requireStopped(index, "its size");
    const most = this.runner.device.queues[index]?.size ?? 0;
    if (!isQueueSize(num, this.packed) || num > Math.max(most, 1024))
      throw new VhostUserError("bad-ring", `ring ${index} can't have ${num} descriptors`);
    ring.size = num;
  }

  /** Says where a ring is. While it runs it may say the same again. */
  setAddresses({ index, descriptors, available, used }: PayloadOf<"vringAddress">): void {
    const ring = this.ring(index);
    const { addresses } = ring;
    const same = addresses?.descriptors === descriptors && addresses.available === available && addresses.used === used;
    if (!same) this.#requireStopped(index, "its addresses");
    ring.addresses = { descriptors, available, used };
  }

  /** Says where a ring stands. */
  setBase({ index, num }: PayloadOf<"vringState">): void {
    this.ring(index);
    this.#requireStopped(index, "its position");
    if (!this.packed && num > 0xffff) throw new VhostUserError("bad-ring", `ring ${index} can't stand at ${num}: indices have 16 bits`);
    this.ring(index).base = num;
  }

  /** Enables a ring, or not. */
  setEnabled({ index, num }: PayloadOf<"vringState">): void {
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
  setKick(index: number, fd: Fd | undefined): void {
    const ring = this.ring(index);
    // What it waits for is about to be closed.
    const again = this.#running.has(index);
    if (again) this.#pause(index);
    ring.take("kick", fd);
    ring.started = true;
    this.#start(index);
  }

  /** Takes the descriptor that interrupts, or errors, go by. */
  setCall(which: "call" | "error", index: number, fd: Fd | undefined): void {
    this.ring(index).take(which, fd);
  }

  /** The driver notified by a message. */
  kick(index: number): void {
    this.ring(index);
    this.runner.queue(index)?.kick();
  }

  /** Stops a ring. @returns where it stood */
  stop(index: number): number {
    const ring = this.ring(index);
    this.#pause(index);
    ring.started = false;
    ring.take("kick", undefined);
    return ring.base;
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
    this.#startDevice();
    const [descriptors, driver, used] = places as [never, never, never];
    const state = this.#state(ring, used);
    const { kick } = ring;
    const watch =
      kick === undefined
        ? undefined
        : this.#owner.poller.watch(kick, { readable: true }, () => {
            // Who answers nothing at all was not a notification.
            if (kick.take() > 0) this.runner.queue(index)?.kick();
          });
    this.#running.set(index, { watch, places });
    const runs = this.runner.startQueue({ index, size: ring.size, descriptors, driver, device: used, state });
    if (runs) device.enableQueue?.(index, ring.enabled);
  }

  /** Where a ring stands. A split ring's used index is in its memory, and is what the driver has been told. */
  #state({ base }: Vring, used: number): QueueState {
    if (this.packed) {
      const fresh = freshQueueState(true);
      return base === 0 ? fresh : { available: base & 0xffff, used: base >>> 16, inFlight: [] };
    }
    const index = this.#owner.space.readU16((used + 2) as never);
    return { available: base, used: index ?? base, inFlight: [] };
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
    ring.base = this.packed ? (state.available | (state.used << 16)) >>> 0 : state.available;
  }

  /** Ends all rings and makes the device as it was at the beginning. */
  reset(): void {
    for (const index of [...this.#running.keys()]) this.#pause(index);
    for (const ring of this.#rings) ring.started = false;
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
