/** What an author writes to have a virtio device: a plain object, or a function that makes one for each machine. @module */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { DeviceConfig } from "../device/device-config.ts";
import type { Logger } from "../device/logger.ts";
import type { QueueSpec, VirtioDevice } from "../device/virtio-device.ts";
import type { FeatureSet } from "../feature/feature-set.ts";
import type { ChainHandler, ServeOptions } from "../queue/queue-server.ts";
import type { Virtqueue } from "../queue/virtqueue.ts";

/** A queue of a defined device, by its name. It is there before its driver runs it, and stays when that is over. */
export interface DefinedQueue {
  /** The queue while the driver runs it. */
  readonly running: Virtqueue | undefined;
  /** Has each buffer handled, whenever the queue runs: see {@link Virtqueue.serve}. */
  serve(handler: ChainHandler, options?: ServeOptions): void;
  /** Goes on after a handler answered false. Without effect while the queue doesn't run. */
  resume(): void;
}

/** What a defined device is given when its driver is ready. */
export interface StartedDevice<Q extends string = string> {
  /** Its queues, by name. */
  readonly queues: Readonly<Record<Q, DefinedQueue>>;
  /** What was negotiated. */
  readonly features: FeatureSet;
  /** The guest's memory. */
  readonly space: VirtAddressSpace;
  /** Says what happens. */
  readonly log: Logger;
  /** Fills bytes with numbers that nobody can foretell. */
  readonly random: (bytes: Uint8Array) => void;
  /** Milliseconds since some moment; never goes back. */
  readonly now: () => number;
  /** Tells the driver that the configuration has changed. */
  readonly configChanged: () => void;
  /** Tells the driver that the device can't go on as it is, and needs a reset: `start` is called anew then. */
  readonly needReset: () => void;
}

/** A queue that goes by its name. */
export interface NamedQueue<Q extends string = string> extends QueueSpec {
  /** By which the device's code finds it. */
  readonly name: Q;
}

/** What a device is made of. */
export interface DeviceParts<Q extends string = string> {
  /** A number of `VirtioDeviceType`, or any other that drivers know. */
  readonly type: number;
  /** What it offers besides the features of queues and transports; nothing unless given. */
  readonly features?: FeatureSet;
  /** Its queues, in the order of their numbers. */
  readonly queues: readonly NamedQueue<Q>[];
  /** Its configuration space; none unless given. */
  readonly config?: DeviceConfig;
  /**
   * The driver is ready.
   *
   * @returns a function for what is to be done when the driver, or the machine, begins anew; anything else says nothing
   */
  start(context: StartedDevice<Q>): unknown;
  /** Its state as a plain value, without queues and configuration. */
  save?(): unknown;
  /** Takes a state that `save` gave; throws, with nothing changed, where that makes no sense. */
  restore?(state: unknown): void;
  /** It leaves its machine for good, after all else: closes what it has open. */
  stop?(): void | Promise<void>;
}

/** What a device is made with. */
export interface DeviceSurroundings {
  /** The name of the machine, or of the guest, that it is for. */
  readonly machine: string;
  /** Fills bytes with numbers that nobody can foretell. */
  readonly random: (bytes: Uint8Array) => void;
  /** Says what happens. */
  readonly log: Logger;
}

/** A kind of device, as a package exports it: whoever has guests has it made for each of them. */
export interface VirtioPlugin {
  /** What carries it. */
  readonly bus: "virtio";
  /** For people: messages, logs and holders show it. */
  readonly name: string;
  /** Makes one. */
  create(surroundings: DeviceSurroundings): VirtioDevice;
}
