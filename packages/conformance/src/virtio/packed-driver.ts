/**
 * The guest's side of a packed queue: honest by its methods, and able to write any nonsense through its raw ones.
 *
 * @see virtio 1.3, section 2.8
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

const AVAIL = 1 << 7;
const USED = 1 << 15;
const OFF = 1;
const AT = 2;

/** A descriptor as it lies in memory. */
export interface PackedDescriptor {
  /** Where the buffer is. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** The buffer's id. */
  readonly id: number;
  /** NEXT, WRITE, INDIRECT, and the two bits that say whose it is. */
  readonly flags: number;
}

/** A driver of a packed queue. */
export class PackedDriver implements RingDriver {
  readonly size: number;
  readonly features: FeatureSet;
  readonly bytes: number;
  /** Where the ring is. */
  readonly ring: GuestAddress;
  /** Where the driver says when it wants interrupts. */
  readonly driverEvent: GuestAddress;
  /** Where the device says when it wants notifications. */
  readonly deviceEvent: GuestAddress;
  readonly #memory: MemoryAccess;
  readonly #eventIdx: boolean;
  readonly #ids: number[];
  readonly #slots = new Map<number, number>();
  #free: number;
  #next = 0;
  #wrap = 1;
  #usedNext = 0;
  #usedWrap = 1;
  /** Descriptors offered since the start, and how many of them were shown: for the arithmetic of events. */
  #total = 0;
  #shown = 0;
  /** The first descriptor that the device has not been shown, with its flags. */
  #hidden: { readonly at: GuestAddress; readonly flags: number } | undefined;

  constructor(space: VirtAddressSpace, { base, size, features }: RingPlace) {
    this.size = size;
    this.features = features;
    this.#memory = space.access();
    this.#eventIdx = features.has(VirtioFeature.RingEventIdx);
    this.ring = base;
    this.driverEvent = gpa(base + 16 * size);
    this.deviceEvent = gpa(base + 16 * size + 4);
    this.bytes = aligned(16 * size + 8, 4096);
    this.#free = size;
    this.#ids = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.#memory.fill(base, this.bytes);
  }

  config(index: number): QueueConfig {
    const { size, features, ring, driverEvent, deviceEvent } = this;
    return { index, size, features, descriptors: ring, driver: driverEvent, device: deviceEvent };
  }

  add(readable: readonly GuestRange[], writable: readonly GuestRange[], options: BufferOptions = {}): number | undefined {
    const parts = partsOf(readable, writable);
    const needed = options.table === undefined ? parts.length : 1;
    if (parts.length === 0 || this.#free < needed || this.#ids.length === 0) return undefined;
    const id = this.#ids.pop() as number;
    if (options.table === undefined) {
      for (const [i, { address, length, flags }] of parts.entries()) {
        this.#put(address, length, id, i + 1 < parts.length ? flags | DESC_NEXT : flags);
      }
    } else {
      for (const [i, { address, length, flags }] of parts.entries()) {
        this.describeAt(gpa(options.table + 16 * i), { address, length, id: 0, flags });
      }
      this.#put(options.table, 16 * parts.length, id, DESC_INDIRECT);
    }
    this.#slots.set(id, needed);
    this.#free -= needed;
    return id;
  }

  #put(address: number, length: number, id: number, flags: number): void {
    const owned = flags | (this.#wrap === 1 ? AVAIL : USED);
    const at = gpa(this.ring + 16 * this.#next);
    // The first one's flags come last, so that the device sees all of a batch or nothing.
    if (this.#hidden === undefined) {
      this.#hidden = { at, flags: owned };
      this.describeAt(at, { address, length, id, flags: this.#memory.readU16(gpa(at + 14)) ?? 0 });
    } else {
      this.describeAt(at, { address, length, id, flags: owned });
    }
    this.#total++;
    this.#next++;
    if (this.#next < this.size) return;
    this.#next = 0;
    this.#wrap ^= 1;
  }

  publish(): boolean {
    if (this.#hidden === undefined) return false;
    this.#memory.atomicStore(gpa(this.#hidden.at + 14), 16, this.#hidden.flags);
    this.#hidden = undefined;
    const from = this.#shown;
    this.#shown = this.#total;
    const wish = (this.#memory.atomicLoad(gpa(this.deviceEvent + 2), 16) ?? 0) & 3;
    if (wish === OFF) return false;
    if (wish !== AT || !this.#eventIdx) return true;
    const event = this.#memory.atomicLoad(this.deviceEvent, 16) ?? 0;
    const lap = this.#total - this.#next - (event >>> 15 === this.#wrap ? 0 : this.size);
    const place = lap + (event & 0x7fff);
    return place >= from && place < this.#total;
  }

  #isUsed(): boolean {
    const flags = this.#memory.atomicLoad(gpa(this.ring + 16 * this.#usedNext + 14), 16) ?? 0;
    return ((flags & AVAIL) !== 0) === (this.#usedWrap === 1) && ((flags & USED) !== 0) === (this.#usedWrap === 1);
  }

  used(): UsedBuffer | undefined {
    if (!this.#isUsed()) return undefined;
    const at = this.ring + 16 * this.#usedNext;
    const written = this.#memory.readU32(gpa(at + 8)) ?? 0;
    const id = this.#memory.readU16(gpa(at + 12)) ?? 0;
    const slots = this.#slots.get(id);
    if (slots === undefined) throw new Error(`the device gave back ${id}, which it did not have`);
    this.#slots.delete(id);
    this.#ids.push(id);
    this.#free += slots;
    this.#usedNext += slots;
    if (this.#usedNext >= this.size) {
      this.#usedNext -= this.size;
      this.#usedWrap ^= 1;
    }
    return { id, written };
  }

  wantInterrupts(wanted: boolean): boolean {
    if (wanted && this.#eventIdx) {
      this.#memory.writeU16(this.driverEvent, this.#usedNext | (this.#usedWrap << 15));
      this.#memory.atomicStore(gpa(this.driverEvent + 2), 16, AT);
    } else {
      this.#memory.atomicStore(gpa(this.driverEvent + 2), 16, wanted ? 0 : OFF);
    }
    return this.#isUsed();
  }

  /** Flags that make a descriptor available at the next place, for raw writing. */
  get availableFlags(): number {
    return this.#wrap === 1 ? AVAIL : USED;
  }

  /** Writes a descriptor of the ring, sense or nonsense. */
  describe(slot: number, descriptor: PackedDescriptor): void {
    this.describeAt(gpa(this.ring + 16 * slot), descriptor);
  }

  /** Writes a descriptor anywhere. */
  describeAt(at: GuestAddress, { address, length, id, flags }: PackedDescriptor): void {
    this.#memory.writeU64(at, address);
    this.#memory.writeU32(gpa(at + 8), length);
    this.#memory.writeU16(gpa(at + 12), id);
    this.#memory.writeU16(gpa(at + 14), flags);
  }
}
