/**
 * Follows a space with KVM's memory slots: each range of file memory that shows is one. What can't be a slot (I/O windows, memory that
 * is no file, parts of pages) is left to exits.
 *
 * @see KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG, Documentation/virt/kvm/api.rst
 * @module
 */
import { type DeviceFile, MemfdMemory, NativeBlock } from "@virtspace/host-linux";
import type {
  AddressSpaceListener,
  DirtySource,
  FlatRange,
  GuestAddress,
  MemoryProvider,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";
import { Kvm, PAGE, Size } from "../kvm/kvm-layout.ts";

const LOG_DIRTY = 1;
const READONLY = 2;

interface Slot {
  readonly number: number;
  readonly range: FlatRange;
  readonly memory: MemfdMemory;
}

interface Extent {
  readonly memory: MemoryProvider;
  readonly offset: number;
  readonly length: number;
}

/** The slots of one machine. */
export class MemorySlots
  implements Required<Pick<AddressSpaceListener, "name" | "added" | "removed" | "logStarted" | "logStopped">>, DirtySource, Disposable
{
  readonly name = "kvm";
  readonly #vm: DeviceFile;
  readonly #space: VirtAddressSpace;
  readonly #most: number;
  readonly #slots = new Map<FlatRange, Slot>();
  readonly #free: number[] = [];
  readonly #region = new NativeBlock(Size.memoryRegion);
  #next = 0;
  #logging = false;
  /** What slots that went had still to tell. */
  #left: Extent[] = [];

  constructor(vm: DeviceFile, space: VirtAddressSpace, most: number) {
    this.#vm = vm;
    this.#space = space;
    this.#most = most;
  }

  /** Slots in use. */
  get count(): number {
    return this.#slots.size;
  }

  added(range: FlatRange): void {
    const memory = range.memory?.provider;
    if (!(memory instanceof MemfdMemory)) return;
    if (range.start % PAGE !== 0 || range.size % PAGE !== 0 || range.offset % PAGE !== 0) return;
    if (this.#free.length === 0 && this.#next === this.#most) {
      throw new Error(`this KVM has ${this.#most} memory slots, and the map needs one more: map larger regions`);
    }
    const slot = { number: this.#free.pop() ?? this.#next++, range, memory };
    try {
      this.#set(slot, range.size);
    } catch (error) {
      this.#free.push(slot.number);
      throw error;
    }
    this.#slots.set(range, slot);
  }

  removed(range: FlatRange): void {
    const slot = this.#slots.get(range);
    if (slot === undefined) return;
    if (this.#logging) this.#harvest(slot, (offset, length) => void this.#left.push({ memory: slot.memory, offset, length }));
    this.#set(slot, 0);
    this.#slots.delete(range);
    this.#free.push(slot.number);
  }

  logStarted(): void {
    this.#logging = true;
    this.#setAll();
  }

  logStopped(): void {
    this.#logging = false;
    this.#left = [];
    this.#setAll();
  }

  sync(mark: (address: GuestAddress, length: number) => void): void {
    for (const slot of this.#slots.values()) {
      this.#harvest(slot, (offset, length) => mark((slot.range.start + (offset - slot.range.offset)) as GuestAddress, length));
    }
    const left = this.#left;
    this.#left = [];
    if (left.length === 0) return;
    for (const range of this.#space.view().ranges) {
      for (const { memory, offset, length } of left) {
        const from = Math.max(offset, range.offset);
        const end = Math.min(offset + length, range.offset + range.size);
        if (range.memory?.provider === memory && from < end) mark((range.start + (from - range.offset)) as GuestAddress, end - from);
      }
    }
  }

  /** The listener is gone, and with it the slots. */
  [Symbol.dispose](): void {
    this.#region[Symbol.dispose]();
  }

  #setAll(): void {
    for (const slot of this.#slots.values()) this.#set(slot, slot.range.size);
  }

  /** A size of 0 deletes the slot. */
  #set({ number, range, memory }: Slot, size: number): void {
    const { view } = this.#region;
    view.setUint32(0, number, true);
    view.setUint32(4, size === 0 ? 0 : range.writable ? (this.#logging ? LOG_DIRTY : 0) : READONLY, true);
    view.setBigUint64(8, BigInt(range.start), true);
    view.setBigUint64(16, BigInt(size), true);
    view.setBigUint64(24, memory.address + BigInt(range.offset), true);
    this.#vm.control("KVM_SET_USER_MEMORY_REGION", Kvm.SET_USER_MEMORY_REGION, this.#region);
  }

  /** Calls back with runs of pages that the guest wrote, as offsets in the memory. */
  #harvest({ number, range }: Slot, run: (offset: number, length: number) => void): void {
    if (!this.#logging || !range.writable) return;
    const pages = range.size / PAGE;
    using bitmap = new NativeBlock(Math.ceil(pages / 64) * 8);
    using log = new NativeBlock(16);
    log.view.setUint32(0, number, true);
    log.view.setBigUint64(8, bitmap.address, true);
    this.#vm.control("KVM_GET_DIRTY_LOG", Kvm.GET_DIRTY_LOG, log);
    let first = -1;
    for (let page = 0; page <= pages; page++) {
      const byte = page < pages ? (bitmap.bytes[page >> 3] as number) : 0;
      if (first < 0 && byte === 0) {
        page |= 7;
        continue;
      }
      const dirty = ((byte >> (page & 7)) & 1) !== 0;
      if (dirty && first < 0) first = page;
      else if (!dirty && first >= 0) {
        run(range.offset + first * PAGE, (page - first) * PAGE);
        first = -1;
      }
    }
  }
}
