/**
 * A machine without a hypervisor around one virtio device, and its driver: what the device suite shakes.
 *
 * @module
 */
import {
  type GuestAddress,
  type GuestRange,
  gpa,
  KiB,
  type MemoryProvider,
  MiB,
  sharedMemory,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";
import {
  type DeviceSurroundings,
  defaultRandom,
  FeatureSet,
  Register,
  type VirtioDevice,
  VirtioFeature,
  VirtioMmio,
  type VirtioPlugin,
} from "@virtspace/virtio";
import { MmioDriver } from "../virtio/mmio-driver.ts";
import type { RingDriver } from "../virtio/ring-driver.ts";
import { turn } from "./event-loop.ts";

/** Where memory ends that begins at 0; another region follows at once. */
const BORDER: number = 4 * MiB;
/** Where that other region ends, before a hole. */
export const END: number = 5 * MiB;
/** Memory that is only read. */
export const ROM = 0x4000_0000;
/** An I/O window. */
export const WINDOW = 0x5000_0000;
/** Nothing is here. */
export const HOLE = 0x3000_0000;
/** Nobody's buffers: what lies here stays. */
export const CANARY = 0x1000;
const CANARY_BYTES = 4096;
const RINGS = 0x1_0000;
const REGISTERS = gpa(0xd000_0000);
/** Few, so that rings wrap soon. */
const MOST_DESCRIPTORS = 16;

/** A buffer that the driver offered. */
export interface Offered {
  /** The queue's number. */
  readonly queue: number;
  /** What the device may write. */
  readonly writable: readonly GuestRange[];
  /** Bytes that it says it wrote; undefined while it has the buffer. */
  written: number | undefined;
}

/** How a buffer lies in memory. */
export interface Shape {
  /** For the report. */
  readonly name: string;
  /** Descriptors of each of the two parts, where there are so many bytes. */
  readonly pieces?: number;
  /** Whether they are in a table. */
  readonly table?: boolean;
  /** Whether it lies across two regions. */
  readonly border?: boolean;
}

/** How it is made. */
export interface DeviceTrialOptions {
  /** Makes the device. */
  readonly plugin: VirtioPlugin;
  /** Replaces what the device is made with. */
  readonly surroundings?: Partial<DeviceSurroundings>;
  /** Turns of the event loop within which a buffer has to be back. */
  readonly steps: number;
}

/** The machine. Dispose it to have all of it stopped. */
export class DeviceTrial implements AsyncDisposable {
  readonly memory: MemoryProvider = sharedMemory(BORDER);
  readonly space: VirtAddressSpace;
  /** What the device's code threw. */
  readonly failures: unknown[] = [];
  readonly driver: MmioDriver;
  device: VirtioDevice;
  mmio: VirtioMmio;
  rings: readonly RingDriver[] = [];
  /** The level of the interrupt line. */
  interrupt = false;
  readonly #options: DeviceTrialOptions;
  readonly #outstanding: Map<number, Offered>[] = [];
  /** Buffers begin here, behind the rings. */
  #buffers = RINGS;
  #next = RINGS;
  /** The end of what was ever used. */
  #end = RINGS;

  constructor(options: DeviceTrialOptions) {
    this.#options = options;
    this.space = VirtAddressSpace.create({ name: "guest", onFault: ({ cause }) => this.failures.push(cause) });
    this.space.transaction((change) => {
      change.map({ name: "low", base: gpa(0), memory: this.memory });
      change.map({ name: "high", base: gpa(BORDER), memory: sharedMemory(END - BORDER) });
      change.map({ kind: "rom", name: "rom", base: gpa(ROM), memory: sharedMemory(64 * KiB) });
      change.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler: { read: () => 0, write: () => {} } });
    });
    [this.device, this.mmio] = this.#make();
    this.driver = new MmioDriver(this.space, REGISTERS);
  }

  #make(): [VirtioDevice, VirtioMmio] {
    const { plugin, surroundings } = this.#options;
    // What the runner says of a device that threw: "NAME failed in ...". What the device says by itself is its own affair.
    const error = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (message.startsWith(`${plugin.name} failed in `) || message.startsWith(`${device.name} failed in `))
        this.failures.push([message, fields?.["cause"]]);
    };
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error };
    const device = plugin.create({ machine: "guest", random: defaultRandom, log, ...surroundings });
    const interrupt = (level: boolean): void => {
      this.interrupt = level;
    };
    const size = Math.ceil((Register.Config + device.config.size) / 4096) * 4096;
    return [device, new VirtioMmio({ space: this.space, base: REGISTERS, device, interrupt, size, log })];
  }

  /** Brings the device up, from a reset: features, all queues, ready. */
  start(features: FeatureSet): void {
    if (!this.driver.negotiate(features)) throw new Error(`"${this.device.name}" refused features that it offers`);
    this.#next = RINGS;
    this.rings = this.device.queues.map(({ size }, index) => {
      const ring = this.driver.startQueue(index, gpa(this.#next), Math.min(size, MOST_DESCRIPTORS));
      this.#next += ring.bytes;
      return ring;
    });
    this.#outstanding.splice(0, Number.POSITIVE_INFINITY, ...this.rings.map(() => new Map()));
    this.#buffers = this.#next;
    this.space.fill(gpa(CANARY), CANARY_BYTES, 0xee);
    this.driver.ready();
  }

  /** The features that a driver wants: all that the device has, in a layout of rings. */
  features(layout: readonly number[]): FeatureSet {
    const { Version1, RingIndirectDesc } = VirtioFeature;
    return this.device.features.or(FeatureSet.of(Version1, RingIndirectDesc, ...layout));
  }

  /** Offers a buffer; the device hears of it by {@link notify}. @returns undefined where the ring is full */
  offer(queue: number, readable: Uint8Array, writable: number, { pieces = 1, table = false, border = false }: Shape): Offered | undefined {
    const bytes = readable.length + writable;
    if (this.#next + bytes + 4096 > BORDER) this.#next = this.#buffers;
    const start = border && bytes >= 2 ? BORDER - Math.ceil(bytes / 2) : this.#next;
    if (start === this.#next) this.#next = Math.ceil((start + bytes) / 16) * 16;
    this.space.copyTo(gpa(start), readable);
    this.space.fill(gpa(start + readable.length), writable, 0);
    const [toDevice, fromDevice] = [cut(start, readable.length, pieces), cut(start + readable.length, writable, pieces)];
    const place = gpa(this.#next);
    if (table) this.#next += 16 * (toDevice.length + fromDevice.length);
    this.#end = Math.max(this.#end, this.#next);
    const id = this.rings[queue]?.add(toDevice, fromDevice, table ? { table: place } : {});
    if (id === undefined) return undefined;
    const offered = { queue, writable: fromDevice, written: undefined };
    this.#outstanding[queue]?.set(id, offered);
    return offered;
  }

  /** Shows what was offered, and notifies. */
  notify(queue: number): void {
    this.rings[queue]?.publish();
    this.driver.notify(queue);
  }

  /** Takes back what the device is done with. Throws where it gives back what it did not have. */
  collect(): void {
    for (const [queue, ring] of this.rings.entries()) {
      for (let used = ring.used(); used !== undefined; used = ring.used()) {
        const offered = this.#outstanding[queue]?.get(used.id);
        if (offered === undefined) throw new Error(`the device gave back ${used.id} twice`);
        this.#outstanding[queue]?.delete(used.id);
        offered.written = used.written;
      }
    }
    this.driver.acknowledge();
  }

  /** What the device wrote. */
  answer({ writable, written = 0 }: Offered): Uint8Array {
    const bytes = new Uint8Array(writable.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const { address, length } of writable) {
      this.space.copyFrom(address, bytes.subarray(at, at + length));
      at += length;
    }
    return bytes.subarray(0, written);
  }

  /** Lets the event loop turn until something holds. @returns whether it does, within the steps that there are */
  async until(holds: () => boolean): Promise<boolean> {
    for (let step = 0; step < this.#options.steps; step++) {
      if (holds()) return true;
      await turn();
    }
    return holds();
  }

  /** The guest's memory as it is, as far as it was used. */
  snapshot(): Uint8Array {
    return this.memory.bytes().slice(0, this.#end);
  }

  /** Where memory differs from what it was; undefined where it doesn't. */
  changedSince(snapshot: Uint8Array): number | undefined {
    const now = this.memory.bytes();
    for (let at = 0; at < snapshot.length; at++) if (snapshot[at] !== now[at]) return at;
    return undefined;
  }

  /** Whether the memory that is nobody's is as it was. */
  get canaryLives(): boolean {
    return this.memory
      .bytes()
      .subarray(CANARY, CANARY + CANARY_BYTES)
      .every((byte) => byte === 0xee);
  }

  /** Stops the device as whoever owns the machine does. */
  async stop(): Promise<void> {
    this.mmio[Symbol.dispose]();
    const device = this.device as Partial<AsyncDisposable & Disposable>;
    await (device[Symbol.asyncDispose] ?? device[Symbol.dispose])?.call(device);
  }

  /** Saves the device, has it gone, and goes on with another one of its kind. */
  async move(): Promise<void> {
    const state = JSON.stringify(this.mmio.save());
    await this.stop();
    [this.device, this.mmio] = this.#make();
    this.mmio.restore(JSON.parse(state));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.space[Symbol.dispose]();
  }
}

/** Cuts a run of memory in so many pieces, the last one with what is left. */
function cut(start: number, length: number, pieces: number): GuestRange[] {
  if (length === 0) return [];
  const count = Math.min(pieces, length);
  const size = Math.floor(length / count);
  return Array.from({ length: count }, (_, i) => ({
    address: gpa(start + i * size) as GuestAddress,
    length: i + 1 < count ? size : length - i * size,
  }));
}
