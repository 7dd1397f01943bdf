/**
 * What a virtio device is, whatever carries it: a type, features, queues and some bytes of configuration. It sees the space,
 * its queues, what was negotiated, a clock and a logger; it never sees a machine, a transport or a hypervisor.
 *
 * @module
 */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { FeatureSet } from "../feature/feature-set.ts";
import type { QueueState } from "../queue/queue-state.ts";
import type { Virtqueue } from "../queue/virtqueue.ts";
import type { DeviceConfig } from "./device-config.ts";
import type { Logger } from "./logger.ts";

/** A queue that a device has. */
export interface QueueSpec {
  /** For people. */
  readonly name: string;
  /** The most descriptors that it may have. */
  readonly size: number;
}

/** What a device is given when its driver is ready. */
export interface DeviceContext {
  /** The guest's memory. */
  readonly space: VirtAddressSpace;
  /** What was negotiated. */
  readonly features: FeatureSet;
  /** Says what happens. */
  readonly log: Logger;
  /** Milliseconds since some moment; never goes back. */
  now(): number;
  /** Tells the driver that the configuration has changed. */
  configChanged(): void;
  /** Tells the driver that the device can't go on as it is, and needs a reset. Absent where there is nobody to tell. */
  needReset?(): void;
}

/** A device. Transports call it; it calls nobody but its context and its queues. */
export interface VirtioDevice {
  /** For people: logs and faults show it. */
  readonly name: string;
  /** A number of `VirtioDeviceType`. */
  readonly type: number;
  /** What it offers besides the features of queues and transports. */
  readonly features: FeatureSet;
  /** Its queues, by number. */
  readonly queues: readonly QueueSpec[];
  /** Its configuration space. */
  readonly config: DeviceConfig;
  /** The driver is ready: features are settled. Queues start after this. */
  start?(context: DeviceContext): void;
  /** A queue runs. */
  startQueue(index: number, queue: Virtqueue): void;
  /** A queue ends: the device lets go of it and gives its state back (`queue.stop()`). */
  stopQueue(index: number): QueueState;
  /**
   * Whether a queue that runs is enabled, where a transport tells (vhost-user): a disabled one is served without effect, and what
   * is in it discarded. Without this method a disabled queue does not run.
   */
  enableQueue?(index: number, enabled: boolean): void;
  /** All is as at the beginning. Queues have been stopped. */
  reset(): void;
  /** The device's own state, as a plain value; queues and configuration are saved by the transport. */
  save?(): unknown;
  /**
   * Takes a state that {@link save} gave. It is a file's content and not to be trusted.
   *
   * Throws where it makes no sense, with nothing changed.
   */
  restore?(state: unknown): void;
}
