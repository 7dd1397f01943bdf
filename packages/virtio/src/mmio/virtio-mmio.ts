/**
 * Virtio over MMIO (version 2): a register model that maps itself into a space, so that any hypervisor that brings accesses
 * to I/O windows drives it.
 *
 * @see virtio 1.3, section 4.2
 * @module
 */
import {
  type Doorbell,
  type GuestAddress,
  type IoHandler,
  LocalNotifier,
  type Notifier,
  type Region,
  tryGpa,
  type VirtAddressSpace,
  VirtAddressSpaceError,
} from "@virtspace/virt-address-space";
import { DeviceRunner, QUEUE_FEATURES } from "../device/device-runner.ts";
import type { Logger } from "../device/logger.ts";
import type { VirtioDevice } from "../device/virtio-device.ts";
import { VirtioError } from "../error/virtio-error.ts";
import { FeatureSet } from "../feature/feature-set.ts";
import { VirtioFeature } from "../feature/virtio-feature.ts";
import type { VirtioHost } from "../host/host.ts";
import { isQueueSize } from "../queue/queue-config.ts";
import type { QueueState } from "../queue/queue-state.ts";
import { type MmioQueueState, type MmioState, requireMmioState } from "./mmio-state.ts";
import { freshQueue, type QueueRegisters, writeSetUp } from "./queue-registers.ts";
import { DeviceStatus, InterruptReason, MAGIC, Register } from "./registers.ts";

/** How a device is put at an address. */
export interface VirtioMmioOptions {
  /** The guest's memory, where the window is mapped. */
  readonly space: VirtAddressSpace;
  /** Where the window begins. */
  readonly base: GuestAddress;
  /** The device. */
  readonly device: VirtioDevice;
  /** Raises or lowers the interrupt line; called when the level changes. */
  readonly interrupt: (level: boolean) => void;
  /** Bytes of the window; 512 unless given. */
  readonly size?: number;
  /** Read back by the driver; "vspc" unless given. */
  readonly vendor?: number;
  /** Says what happens; silent unless given. */
  readonly log?: Logger;
  /** The services of the host; those that are there, unless given. */
  readonly host?: VirtioHost;
  /** Makes what the notify register's doorbells ring; one within this thread unless given. */
  readonly notifier?: () => Notifier;
}

const WINDOW_BYTES = 0x200;
const VENDOR = 0x63707376;
const OFFERED = QUEUE_FEATURES.or(FeatureSet.of(VirtioFeature.RingReset));

/** A device behind MMIO registers. Dispose it to take it out of the space. */
export class VirtioMmio implements Disposable {
  /** The window in the space. */
  readonly region: Region;
  /** What drives the device: its queues and counters. */
  readonly runner: DeviceRunner;
  readonly #options: VirtioMmioOptions;
  readonly #offered: FeatureSet;
  readonly #queues: QueueRegisters[];
  readonly #doorbells = new Map<number, Doorbell>();
  #status = 0;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #driverFeatures: number[] = [0, 0, 0, 0];
  /** Whether the driver wanted something past bit 127: nobody offered that. */
  #wantsMore = false;
  /** What {@link save} gave: until something else happens it is the same again. */
  #saved: MmioState | undefined;
  #queueSel = 0;
  #interruptStatus = 0;
  #level = false;
  #generation = 0;
  #disposed = false;

  /** @throws {@link VirtioError} `invalid-argument`; `VirtAddressSpaceError`, as `space.map` does */
  constructor(options: VirtioMmioOptions) {
    const { space, base, device, size = WINDOW_BYTES, log, host } = options;
    if (size < Register.Config + device.config.size) {
      throw new VirtioError("invalid-argument", `a window of ${size} bytes is too small for "${device.name}": 256 and its configuration`, {
        size,
      });
    }
    this.#options = options;
    this.#offered = device.features.or(OFFERED);
    this.#queues = device.queues.map(freshQueue);
    this.runner = new DeviceRunner(device, {
      space,
      interrupt: () => this.#raise(InterruptReason.UsedBuffer),
      configChanged: () => this.#configChanged(),
      needReset: () => this.#needReset(),
      queueLost: ({ queue }) => {
        const registers = this.#queues[queue];
        if (registers !== undefined) registers.lost = true;
        this.#needReset();
      },
      log,
      host,
    });
    const handler: IoHandler = {
      read: (offset, bytes) => (this.#disposed ? 0 : this.#read(offset, bytes)),
      write: (offset, bytes, value) => {
        if (!this.#disposed) this.#write(offset, bytes, value);
      },
    };
    this.region = space.map({ kind: "io", name: device.name, base, size, handler });
  }

  /** The device's status register. */
  get status(): number {
    return this.#status;
  }

  /** Takes the device out of the space. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    try {
      this.#reset();
    } finally {
      this.#unmap();
    }
  }

  #unmap(): void {
    const { space } = this.#options;
    if (space.released || this.region.base === undefined) return;
    try {
      void space.unmap(this.region);
    } catch {
      // Inside a commit or a transaction: after it. The window answers nothing meanwhile.
      void Promise.resolve().then(() => this.#unmap());
    }
  }

  #read(offset: number, bytes: 1 | 2 | 4): number {
    if (offset >= Register.Config) return this.#readConfig(offset - Register.Config, bytes);
    // Registers are 32 bits wide; what reads less or amiss is no driver of ours.
    if (bytes !== 4) return 0;
    const queue = this.#queues[this.#queueSel];
    switch (offset) {
      case Register.MagicValue:
        return MAGIC;
      case Register.Version:
        return 2;
      case Register.DeviceId:
        return this.runner.device.type;
      case Register.VendorId:
        return this.#options.vendor ?? VENDOR;
      case Register.DeviceFeatures:
        return this.#offered.word(this.#deviceFeaturesSel);
      case Register.QueueSizeMax:
        return this.runner.device.queues[this.#queueSel]?.size ?? 0;
      case Register.QueueReady:
        return queue?.ready === true ? 1 : 0;
      case Register.InterruptStatus:
        return this.#interruptStatus;
      case Register.Status:
        return this.#status;
      case Register.ShmLenLow:
      case Register.ShmLenHigh:
      case Register.ShmBaseLow:
      case Register.ShmBaseHigh:
        // A region that does not exist has the length -1.
        return 0xffff_ffff;
      case Register.ConfigGeneration:
        return this.#generation;
      default:
        return 0;
    }
  }

  #readConfig(offset: number, bytes: 1 | 2 | 4): number {
    return this.runner.device.config.read(offset, bytes);
  }

  #write(offset: number, bytes: 1 | 2 | 4, value: number): void {
    if (offset >= Register.Config) {
      this.runner.device.config.write(offset - Register.Config, bytes, value);
      return;
    }
    if (bytes !== 4) return;
    switch (offset) {
      case Register.DeviceFeaturesSel:
        this.#deviceFeaturesSel = value;
        break;
      case Register.DriverFeaturesSel:
        this.#driverFeaturesSel = value;
        break;
      case Register.DriverFeatures:
        // Settled features stay: a driver that changes its mind has to reset the device.
        if ((this.#status & DeviceStatus.FeaturesOk) !== 0) break;
        if (this.#driverFeaturesSel < 4) this.#driverFeatures[this.#driverFeaturesSel] = value;
        else if (value !== 0) this.#wantsMore = true;
        break;
      case Register.QueueSel:
        this.#queueSel = value;
        break;
      case Register.QueueNotify:
        this.runner.queue(value)?.kick();
        break;
      case Register.InterruptAck:
        this.#interruptStatus &= ~value;
        this.#setLevel();
        break;
      case Register.Status:
        this.#setStatus(value & 0xff);
        break;
      default:
        this.#writeQueue(offset, value);
    }
  }

  #writeQueue(offset: number, value: number): void {
    const queue = this.#queues[this.#queueSel];
    const spec = this.runner.device.queues[this.#queueSel];
    if (queue === undefined || spec === undefined) return;
    if (offset === Register.QueueReady) {
      if (value <= 1) this.#setReady(this.#queueSel, queue, value === 1);
      return;
    }
    if (offset === Register.QueueReset) {
      if (value === 1) this.#resetQueue(this.#queueSel, queue);
      return;
    }
    // The set-up of a queue that is live stands: neither its size nor its place can be changed under it.
    if (queue.ready) return;
    writeSetUp(queue, spec.size, offset, value);
  }

  #setStatus(value: number): void {
    if (value === 0) {
      this.#reset();
      return;
    }
    // A driver can't take bits back, but by a reset; and this bit is the device's.
    let next = this.#status | (value & ~DeviceStatus.NeedsReset);
    if ((next & DeviceStatus.FeaturesOk) !== 0 && (this.#status & DeviceStatus.FeaturesOk) === 0 && !this.#acceptable()) {
      next &= ~DeviceStatus.FeaturesOk;
    }
    // A driver that skips the features is not ready.
    if ((next & DeviceStatus.FeaturesOk) === 0) next &= ~DeviceStatus.DriverOk;
    const becomesReady = (next & DeviceStatus.DriverOk) !== 0 && (this.#status & DeviceStatus.DriverOk) === 0;
    this.#status = next;
    if (becomesReady) this.#start();
  }

  #acceptable(): boolean {
    const wanted = FeatureSet.fromWords(this.#driverFeatures);
    return !this.#wantsMore && wanted.isSubsetOf(this.#offered) && wanted.has(VirtioFeature.Version1);
  }

  #start(states: ReadonlyMap<number, QueueState> = new Map()): void {
    this.runner.start(FeatureSet.fromWords(this.#driverFeatures));
    for (const [index, queue] of this.#queues.entries()) {
      if (queue.ready && !queue.lost) this.#startQueue(index, queue, states.get(index));
    }
  }

  #setReady(index: number, queue: QueueRegisters, ready: boolean): void {
    if (ready === queue.ready || (this.#status & DeviceStatus.FeaturesOk) === 0) return;
    if (!ready) {
      queue.ready = false;
      this.#stopQueue(index);
      return;
    }
    const packed = FeatureSet.fromWords(this.#driverFeatures).has(VirtioFeature.RingPacked);
    if (!isQueueSize(queue.size, packed)) return;
    queue.ready = true;
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#startQueue(index, queue, undefined);
  }

  #startQueue(index: number, { size, descriptors, driver, device }: QueueRegisters, state: QueueState | undefined): void {
    const [table, forDriver, forDevice] = [tryGpa(descriptors), tryGpa(driver), tryGpa(device)];
    if (table === undefined || forDriver === undefined || forDevice === undefined) {
      const value = [descriptors, driver, device].find((address) => tryGpa(address) === undefined) ?? 0;
      this.runner.lose({ code: "ring-unmapped", queue: index, value });
      return;
    }
    const place = { index, size, descriptors: table, driver: forDriver, device: forDevice };
    if (this.runner.startQueue(state === undefined ? place : { ...place, state })) this.#ringFor(index);
  }

  /** A doorbell of its own, so that a hypervisor can wire it. */
  #ringFor(index: number): void {
    const { space, base, notifier: make = () => new LocalNotifier() } = this.#options;
    const address = tryGpa(base + Register.QueueNotify);
    if (address === undefined || this.#doorbells.has(index)) return;
    const notifier = make();
    try {
      this.#doorbells.set(index, space.addDoorbell({ address, length: 4, datamatch: index, notifier }));
      notifier.subscribe(() => this.runner.queue(index)?.kick());
    } catch (error) {
      if (!VirtAddressSpaceError.is(error, "busy")) throw error;
      // A register write from inside a listener: the map can't change now, and the window's handler notifies as well.
    }
  }

  #stopQueue(index: number): QueueState | undefined {
    const doorbell = this.#doorbells.get(index);
    this.#doorbells.delete(index);
    doorbell?.notifier[Symbol.dispose]();
    if (!this.#options.space.released) doorbell?.[Symbol.dispose]();
    return this.runner.stopQueue(index);
  }

  #resetQueue(index: number, queue: QueueRegisters): void {
    if (!this.runner.features.has(VirtioFeature.RingReset)) return;
    this.#stopQueue(index);
    Object.assign(queue, freshQueue());
  }

  #reset(): void {
    this.#saved = undefined;
    this.#wantsMore = false;
    for (const index of this.#queues.keys()) this.#stopQueue(index);
    for (const queue of this.#queues) Object.assign(queue, freshQueue());
    if (this.#status !== 0 || this.#driverFeatures.some((word) => word !== 0)) this.runner.reset();
    this.#status = 0;
    this.#driverFeatures = [0, 0, 0, 0];
    this.#deviceFeaturesSel = 0;
    this.#driverFeaturesSel = 0;
    this.#queueSel = 0;
    this.#interruptStatus = 0;
    this.#setLevel();
  }

  #needReset(): void {
    this.#status |= DeviceStatus.NeedsReset;
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#raise(InterruptReason.ConfigChange);
  }

  #configChanged(): void {
    this.#generation = (this.#generation + 1) >>> 0;
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#raise(InterruptReason.ConfigChange);
  }

  #raise(reason: number): void {
    this.#interruptStatus |= reason;
    this.#setLevel();
  }

  #setLevel(): void {
    const level = this.#interruptStatus !== 0;
    if (level === this.#level) return;
    this.#level = level;
    this.#options.interrupt(level);
  }

  /**
   * Stops all queues and says where everything stands, as plain values; the same until the device is reset or restored, which
   * is what is to be done with it next.
   *
   * @throws {@link VirtioError} `device-failed` where the device can't say how it stands; its queues run on
   */
  save(): MmioState {
    this.#saved ??= this.#save();
    return this.#saved;
  }

  #save(): MmioState {
    const { device } = this.runner;
    let own: unknown;
    try {
      own = device.save?.();
    } catch (cause) {
      throw new VirtioError("device-failed", `"${device.name}" could not be saved: its save() threw`, {}, { cause });
    }
    const queues = this.#queues.map((queue, index): MmioQueueState => {
      const position = this.#stopQueue(index);
      return { ...queue, ...(position !== undefined && { position }) };
    });
    return {
      status: this.#status,
      deviceFeaturesSel: this.#deviceFeaturesSel,
      driverFeaturesSel: this.#driverFeaturesSel,
      driverFeatures: [...this.#driverFeatures],
      queueSel: this.#queueSel,
      interruptStatus: this.#interruptStatus,
      generation: this.#generation,
      queues,
      config: Array.from({ length: device.config.size }, (_, offset) => device.config.read(offset, 1)),
      device: own,
    };
  }

  /**
   * Goes on where a saved device stood, over the memory that was saved with it.
   *
   * @throws {@link VirtioError} `state-mismatch` for a state of another device or a senseless one, with nothing changed; where
   *   it is the device that refuses its own part, it has been reset
   */
  restore(saved: unknown): void {
    const state = requireMmioState(saved, this.runner.device, this.#offered);
    this.#reset();
    try {
      this.runner.device.restore?.(state.device);
    } catch (cause) {
      throw new VirtioError("state-mismatch", `"${this.runner.device.name}" refused its saved state`, {}, { cause });
    }
    this.#status = state.status;
    this.#deviceFeaturesSel = state.deviceFeaturesSel;
    this.#driverFeaturesSel = state.driverFeaturesSel;
    this.#driverFeatures = [...state.driverFeatures];
    this.#queueSel = state.queueSel;
    this.runner.device.config.load(Uint8Array.from(state.config));
    // A driver that was reading its configuration must read it again.
    this.#generation = (state.generation + 1) >>> 0;
    const positions = new Map<number, QueueState>();
    for (const [index, { position, ...registers }] of state.queues.entries()) {
      Object.assign(this.#queues[index] as QueueRegisters, registers);
      if (position !== undefined) positions.set(index, position);
    }
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#start(positions);
    this.#raise(state.interruptStatus);
  }
}
