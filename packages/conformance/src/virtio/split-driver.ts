/**
 * The guest's side of a split queue: honest by its methods, and able to write any nonsense through its raw ones.
 *
 * @see virtio 1.3, section 2.7
 * @module
 */
import { type GuestAddress, type GuestRange, gpa, type MemoryAccess, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { type FeatureSet, type QueueConfig, VirtioFeature } from "@virtspace/virtio";
import {
  aligned,
  type BufferOptions,
  DESC_INDIRECT,
  DESC_NEXT,
  partsOf,
  type RingDriver,
  type RingPlace,
  type UsedBuffer,
} from "./ring-driver.ts";

/** A descriptor as it lies in memory. */
export interface SplitDescriptor {
  /** Where the buffer is. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** NEXT, WRITE, INDIRECT. */
  readonly flags: number;
  /** The next descriptor. */
  readonly next?: number;
}

/** A driver of a split queue. */
export class SplitDriver implements RingDriver {
  readonly size: number;
  readonly features: FeatureSet;
  readonly bytes: number;
  /** Where the table is. */
  readonly table: GuestAddress;
  /** Where the available ring is. */
  readonly available: GuestAddress;
  /** Where the used ring is. */
  readonly usedRing: GuestAddress;
  readonly #memory: MemoryAccess;
  readonly #eventIdx: boolean;
  readonly #free: number[];
  readonly #slots = new Map<number, readonly number[]>();
  #next = 0;
  #shown = 0;
  #seen = 0;

  constructor(space: VirtAddressSpace, { base, size, features }: RingPlace) {
    this.size = size;
    this.features = features;
    this.#memory = space.access();
    this.#eventIdx = features.has(VirtioFeature.RingEventIdx);
    this.table = base;
    this.available = gpa(base + 16 * size);
    this.usedRing = gpa(aligned(this.available + 6 + 2 * size, 4));
    this.bytes = aligned(this.usedRing + 6 + 8 * size - base, 4096);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.#memory.fill(base, this.bytes);
  }

  config(index: number): QueueConfig {
    const { size, features, table, available, usedRing } = this;
    return { index, size, features, descriptors: table, driver: available, device: usedRing };
  }

  add(readable: readonly GuestRange[], writable: readonly GuestRange[], options: BufferOptions = {}): number | undefined {
    const parts = partsOf(readable, writable);
    const needed = options.table === undefined ? parts.length : 1;
    if (parts.length === 0 || this.#free.length < needed) return undefined;
    const slots = this.#free.splice(-needed).reverse();
    const [head] = slots as [number];
    if (options.table === undefined) {
      this.#chain(parts, slots, (slot, descriptor) => this.describe(slot, descriptor));
    } else {
      const { table } = options;
      this.#chain(parts, Array.from(parts.keys()), (slot, descriptor) => this.describeAt(gpa(table + 16 * slot), descriptor));
      this.describe(head, { address: table, length: 16 * parts.length, flags: DESC_INDIRECT });
    }
    this.#slots.set(head, slots);
    this.offer(this.#next, head);
    this.#next = (this.#next + 1) & 0xffff;
    return head;
  }

  #chain(
    parts: readonly { address: number; length: number; flags: number }[],
    slots: readonly number[],
    write: (slot: number, descriptor: SplitDescriptor) => void,
  ): void {
    for (const [i, { address, length, flags }] of parts.entries()) {
      const next = slots[i + 1];
      write(slots[i] as number, { address, length, flags: next === undefined ? flags : flags | DESC_NEXT, next: next ?? 0 });
    }
  }

  publish(): boolean {
    const from = this.#shown;
    this.#shown = this.#next;
    this.#memory.atomicStore(gpa(this.available + 2), 16, this.#next);
    if (!this.#eventIdx) return ((this.#memory.atomicLoad(this.usedRing, 16) ?? 0) & 1) === 0;
    const event = this.#memory.atomicLoad(gpa(this.usedRing + 4 + 8 * this.size), 16) ?? 0;
    return ((this.#next - event - 1) & 0xffff) < ((this.#next - from) & 0xffff);
  }

  used(): UsedBuffer | undefined {
    if (this.#memory.atomicLoad(gpa(this.usedRing + 2), 16) === this.#seen) return undefined;
    const at = this.usedRing + 4 + 8 * (this.#seen % this.size);
    const id = this.#memory.readU32(gpa(at)) ?? 0;
    const written = this.#memory.readU32(gpa(at + 4)) ?? 0;
    this.#seen = (this.#seen + 1) & 0xffff;
    const slots = this.#slots.get(id);
    if (slots === undefined) throw new Error(`the device gave back ${id}, which it did not have`);
    this.#slots.delete(id);
    this.#free.push(...slots);
    return { id, written };
  }

  wantInterrupts(wanted: boolean): boolean {
    if (this.#eventIdx) {
      // Where none is wanted the event is put behind us, where it is reached last.
      const event = wanted ? this.#seen : (this.#seen - 1) & 0xffff;
      this.#memory.atomicStore(gpa(this.available + 4 + 2 * this.size), 16, event);
    } else {
      this.#memory.atomicStore(this.available, 16, wanted ? 0 : 1);
    }
    return this.#memory.atomicLoad(gpa(this.usedRing + 2), 16) !== this.#seen;
  }

  /** Writes a descriptor of the table, sense or nonsense. */
  describe(slot: number, descriptor: SplitDescriptor): void {
    this.describeAt(gpa(this.table + 16 * slot), descriptor);
  }

  /** Writes a descriptor anywhere. */
  describeAt(at: GuestAddress, { address, length, flags, next = 0 }: SplitDescriptor): void {
    this.#memory.writeU64(at, address);
    this.#memory.writeU32(gpa(at + 8), length);
    this.#memory.writeU16(gpa(at + 12), flags);
    this.#memory.writeU16(gpa(at + 14), next);
  }

  /** Writes an entry of the available ring. */
  offer(index: number, head: number): void {
    this.#memory.writeU16(gpa(this.available + 4 + 2 * (index % this.size)), head);
  }

  /** Writes the available index. */
  setIndex(index: number): void {
    this.#memory.atomicStore(gpa(this.available + 2), 16, index & 0xffff);
  }
}
