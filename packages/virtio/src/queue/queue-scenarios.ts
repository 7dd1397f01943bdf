/** What the tests of queues share: a guest's memory, a driver in either layout, and a queue on it. */
import { PackedDriver as Packed, type PackedDriver, type RingDriver, SplitDriver as Split, type SplitDriver } from "@virtspace/conformance";
import { type GuestRange, gpa, KiB, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, openVirtqueue, type QueueState, type RingFault, VirtioFeature, type VirtioHost, Virtqueue } from "../index.ts";

/** Where rings and buffers are. */
export const RING = gpa(0x1_0000);
/** Indirect tables, 4 KiB for each. */
export const TABLES = 0x8_0000;
/** Buffers. */
export const BUFFERS = 0x10_0000;
/** A second region begins here, in memory of its own, right behind the first. */
export const BORDER: number = 4 * MiB;
/** Read-only memory. */
export const ROM = 0x4000_0000;
/** An I/O window. */
export const WINDOW = 0x5000_0000;

/** The layouts and features under test. */
export const kinds: readonly (readonly [name: string, features: FeatureSet])[] = [
  ["split", []],
  ["split, event index", [VirtioFeature.RingEventIdx]],
  ["split, in order", [VirtioFeature.InOrder]],
  ["packed", [VirtioFeature.RingPacked]],
  ["packed, event index", [VirtioFeature.RingPacked, VirtioFeature.RingEventIdx]],
  ["packed, in order", [VirtioFeature.RingPacked, VirtioFeature.InOrder, VirtioFeature.RingEventIdx]],
].map(([name, bits]) => [name as string, FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, ...(bits as number[]))]);

/** A guest with one queue. */
export class QueueTrial implements Disposable {
  readonly space: VirtAddressSpace;
  readonly driver: RingDriver;
  readonly faults: RingFault[] = [];
  readonly failures: unknown[] = [];
  interrupts = 0;
  /** What the queue takes for the time, milliseconds. */
  time = 0;
  /** How long queues that are opened from now on look for more, microseconds. */
  pollMicroseconds = 0;
  /** What an interrupt leads to. */
  onInterrupt: () => void = () => {};
  queue: Virtqueue;
  readonly #later: (() => void)[] = [];
  readonly #timers = new Set<() => void>();
  readonly #host: VirtioHost = {
    defer: (task) => void this.#later.push(task),
    after: (_, task) => {
      this.#timers.add(task);
      return { [Symbol.dispose]: () => void this.#timers.delete(task) };
    },
    now: () => this.time,
  };

  /** @param space - a guest's memory of one's own */
  constructor(features: FeatureSet, size = 16, space?: VirtAddressSpace) {
    this.space = space ?? QueueTrial.#guest();
    const Driver = features.has(VirtioFeature.RingPacked) ? Packed : Split;
    this.driver = new Driver(this.space, { base: RING, size, features });
    this.queue = this.open();
  }

  static #guest(): VirtAddressSpace {
    const space = VirtAddressSpace.create({ name: "guest" });
    space.transaction((change) => {
      change.map({ name: "low", base: gpa(0), memory: sharedMemory(BORDER) });
      change.map({ name: "high", base: gpa(BORDER), memory: sharedMemory(MiB) });
      change.map({ kind: "rom", name: "rom", base: gpa(ROM), memory: sharedMemory(64 * KiB) });
      change.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler: { read: () => 0, write: () => {} } });
    });
    return space;
  }

  /** Lets the timers run off. @returns how many there were */
  timers(): number {
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const task of timers) task();
    return timers.length;
  }

  get split(): SplitDriver {
    return this.driver as SplitDriver;
  }

  get packed(): PackedDriver {
    return this.driver as PackedDriver;
  }

  /** Opens the queue, where it stood. */
  open(state?: QueueState): Virtqueue {
    const config = this.driver.config(0);
    const queue = openVirtqueue(state === undefined ? config : { ...config, state }, {
      space: this.space,
      interrupt: () => {
        this.interrupts++;
        this.onInterrupt();
      },
      faulted: (fault) => this.faults.push(fault),
      failed: (_, cause) => this.failures.push(cause),
      host: this.#host,
      pollMicroseconds: this.pollMicroseconds,
    });
    if (!(queue instanceof Virtqueue)) throw new Error(`the queue could not be opened: ${queue.code}`);
    this.queue = queue;
    return queue;
  }

  /** One later turn of the event loop. @returns whether there was something to do */
  turn(): boolean {
    const tasks = this.#later.splice(0);
    for (const task of tasks) task();
    return tasks.length > 0;
  }

  /** What lies in the guest's memory where its rings, tables and buffers are, and at its end. */
  image(): Uint32Array {
    const [start, end] = [0x14_0000, 0x1_0000];
    const bytes = new Uint8Array(start + end);
    this.space.copyFrom(gpa(0), bytes.subarray(0, start));
    this.space.copyFrom(gpa(BORDER + MiB - end), bytes.subarray(start));
    return new Uint32Array(bytes.buffer);
  }

  /** Fills guest memory. */
  fill(range: GuestRange, byte: number): GuestRange {
    this.space.fill(range.address, range.length, byte);
    return range;
  }

  [Symbol.dispose](): void {
    this.queue.stop();
    this.space[Symbol.dispose]();
  }
}

/** A range of guest memory. */
export const range = (address: number, length: number): GuestRange => ({ address: gpa(address), length });
