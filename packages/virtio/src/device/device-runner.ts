/**
 * A device and its running queues: what all transports do the same way. It knows no registers and no messages.
 *
 * @module
 */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet } from "../feature/feature-set.ts";
import { VirtioFeature } from "../feature/virtio-feature.ts";
import { defaultVirtioHost, type VirtioHost } from "../host/host.ts";
import { openVirtqueue } from "../queue/open-virtqueue.ts";
import type { QueueConfig } from "../queue/queue-config.ts";
import type { QueueState } from "../queue/queue-state.ts";
import type { RingFault } from "../queue/ring-fault.ts";
import { Virtqueue } from "../queue/virtqueue.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { VirtioDevice } from "./virtio-device.ts";

/** What queues and transports of this project can do, whatever the device. */
export const QUEUE_FEATURES: FeatureSet = FeatureSet.of(
  VirtioFeature.RingIndirectDesc,
  VirtioFeature.RingEventIdx,
  VirtioFeature.Version1,
  VirtioFeature.RingPacked,
  VirtioFeature.InOrder,
);

/** What a transport does for its device. */
export interface RunnerOwner {
  /** The guest's memory. */
  readonly space: VirtAddressSpace;
  /** Interrupts the driver because of a queue. */
  interrupt(queue: number): void;
  /** Interrupts the driver because the configuration has changed. */
  configChanged(): void;
  /** Tells the driver that the device needs a reset, where it can be told. */
  needReset?(): void;
  /** The driver broke a queue, which is retired. */
  queueLost(fault: RingFault): void;
  /** Says what happens; silent unless given. */
  readonly log?: Logger | undefined;
  /** The services of the host; those that are there, unless given. */
  readonly host?: VirtioHost | undefined;
  /**
   * How long a queue that is served looks for more after a buffer before it waits for a notification, microseconds; 0 unless given.
   * It spares both sides the notification and its time, and uses the processor meanwhile.
   */
  readonly pollMicroseconds?: number | undefined;
}

const MOST_FAULTS_LOGGED = 16;

/** A device with its queues. */
export class DeviceRunner {
  /** The device. */
  readonly device: VirtioDevice;
  /** Where it says what happens. */
  readonly log: Logger;
  readonly #owner: RunnerOwner;
  readonly #queues = new Map<number, Virtqueue>();
  readonly #reported = new Set<string>();
  /** Queues that the driver broke, all in all. */
  #lost = 0;
  #features: FeatureSet = FeatureSet.none;

  /** @param owner - the transport */
  constructor(device: VirtioDevice, owner: RunnerOwner) {
    this.device = device;
    this.log = owner.log ?? silentLogger;
    this.#owner = owner;
  }

  /** What was negotiated. */
  get features(): FeatureSet {
    return this.#features;
  }

  /** A running queue. */
  queue(index: number): Virtqueue | undefined {
    return this.#queues.get(index);
  }

  /** The running queues. */
  queues(): Iterable<Virtqueue> {
    return this.#queues.values();
  }

  /** The driver is ready. */
  start(features: FeatureSet): void {
    this.#features = features;
    const { space, host = defaultVirtioHost } = this.#owner;
    this.#ask("start", () =>
      this.device.start?.({
        space,
        features,
        log: this.log,
        now: () => host.now(),
        configChanged: () => this.#owner.configChanged(),
        needReset: () => this.#owner.needReset?.(),
      }),
    );
  }

  /** Runs a queue. @returns whether its rings could be used */
  startQueue(config: Omit<QueueConfig, "features">): boolean {
    this.stopQueue(config.index);
    const { space, host, pollMicroseconds } = this.#owner;
    const queue = openVirtqueue(
      { ...config, features: this.#features },
      {
        space,
        interrupt: (index) => this.#owner.interrupt(index),
        faulted: (fault) => this.lose(fault),
        failed: (index, cause) => this.#failed(`queue ${index}`, cause),
        ...(host !== undefined && { host }),
        ...(pollMicroseconds !== undefined && { pollMicroseconds }),
      },
    );
    if (!(queue instanceof Virtqueue)) {
      this.lose(queue);
      return false;
    }
    this.#queues.set(config.index, queue);
    this.#ask(`startQueue ${config.index}`, () => this.device.startQueue(config.index, queue));
    // The device may have led to a reset meanwhile.
    return this.#queues.get(config.index) === queue;
  }

  /** Ends a queue. @returns where it stood; undefined where it did not run */
  stopQueue(index: number): QueueState | undefined {
    const queue = this.#queues.get(index);
    if (queue === undefined) return undefined;
    this.#queues.delete(index);
    this.#ask(`stopQueue ${index}`, () => void this.device.stopQueue(index));
    return queue.stop();
  }

  /** Ends all queues and makes the device as it was at the beginning. */
  reset(): void {
    for (const index of [...this.#queues.keys()]) this.stopQueue(index);
    this.#features = FeatureSet.none;
    this.#reported.clear();
    this.#ask("reset", () => this.device.reset());
  }

  /** The driver broke a queue, or asked for one that can't be: says so, and lets the transport tell the driver. */
  lose(fault: RingFault): void {
    this.#sayLost(fault);
    this.#owner.queueLost(fault);
  }

  /** A driver that breaks queues over and over must not fill a log. */
  #sayLost(fault: RingFault): void {
    if (++this.#lost > MOST_FAULTS_LOGGED) return;
    const more = this.#lost === MOST_FAULTS_LOGGED ? "; no more is said of such" : "";
    this.log.warn(`${this.device.name}: the driver broke queue ${fault.queue} (${fault.code}): it is retired${more}`, { ...fault });
  }

  /** A device is a plug-in: what it throws is reported, and goes no further. */
  #ask(what: string, call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.#failed(what, cause);
    }
  }

  #failed(what: string, cause: unknown): void {
    // Once for each place: a guest that can make a device throw must not fill a log.
    if (this.#reported.has(what)) return;
    this.#reported.add(what);
    this.log.error(`${this.device.name} failed in ${what}`, { cause });
  }
}
