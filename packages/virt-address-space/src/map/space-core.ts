/**
 * The state of a space in one thread, and the one way to change it: {@link SpaceCore.apply}. It is the same in the
 * owner's thread and in an attached one; who decides on changes, and who must hear of them, is not its business.
 *
 * @module
 */
import { IoDispatch } from "../access/io-dispatch.ts";
import type { ViewCell } from "../access/view-cell.ts";
import type { GuestAddress } from "../address/addresses.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import { DoorbellTable } from "../doorbell/doorbell-table.ts";
import type { SpaceFault } from "../error/space-fault.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { AddressSpaceListener } from "../listener/address-space-listener.ts";
import { type Change, ListenerList } from "../listener/listener-list.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import { placeRegion, type Region } from "../region/region.ts";
import type { FlatRange } from "../view/flat-range.ts";
import { EMPTY_VIEW, FlatView } from "../view/flat-view.ts";
import { flatten } from "../view/flatten.ts";
import { newlyShown, type ShownPart } from "../view/newly-shown.ts";
import { SpaceMemory } from "../view/space-memory.ts";
import { viewDifference } from "../view/view-difference.ts";
import type { WindowLedger } from "../window/window-ledger.ts";
import { type Notice, WindowSet } from "../window/window-set.ts";

/** The map that a change leads to. */
export interface NextMap {
  readonly generation: number;
  readonly regions: ReadonlyMap<Region, GuestAddress>;
  readonly doorbellsAdded: readonly Doorbell[];
  readonly doorbellsRemoved: readonly Doorbell[];
}

/** What a change did, for whoever must pass it on. */
export interface Applied {
  readonly mapped: readonly Region[];
  readonly unmapped: readonly Region[];
  readonly memoriesAdded: readonly SpaceMemory[];
  /** No longer mapped; to be given to {@link SpaceCore.retire} after a grace period. */
  readonly memoriesGone: readonly SpaceMemory[];
  /** Memory that shows where it did not before. */
  readonly shown: readonly ShownPart[];
  /** Holders of windows to be told, once the change is over. */
  readonly notices: readonly Notice[];
}

/** How a core numbers and reports. */
export interface SpaceCoreOptions {
  readonly name: string;
  /** Bytes of addresses. */
  readonly size: number;
  readonly report: (fault: SpaceFault) => void;
  /** The number of a memory that is new to the space. */
  readonly numberMemory: (provider: MemoryProvider) => number;
  readonly ledger?: WindowLedger;
}

/** The regions, memories, view, windows, doorbells and listeners of a space in this thread. */
export class SpaceCore implements ViewCell {
  readonly name: string;
  /** Bytes of addresses; an attached space learns it from its owner. */
  size: number;
  readonly doorbells: DoorbellTable = new DoorbellTable();
  readonly io: IoDispatch;
  readonly windows: WindowSet;
  readonly listeners: ListenerList;
  view: FlatView = EMPTY_VIEW;
  readonly #report: (fault: SpaceFault) => void;
  #regions: ReadonlyMap<Region, GuestAddress> = new Map();
  readonly #memories = new Map<MemoryProvider, SpaceMemory>();
  /** No longer mapped, and still used by those who have not let go: mapped again, it is the same memory. */
  readonly #retiring = new Map<MemoryProvider, SpaceMemory>();
  readonly #numberMemory: (provider: MemoryProvider) => number;
  #logging = false;
  #busy = false;
  #nextRegion = 1;

  constructor(options: SpaceCoreOptions) {
    this.name = options.name;
    this.size = options.size;
    this.#report = options.report;
    this.#numberMemory = options.numberMemory;
    this.io = new IoDispatch(this.doorbells, (fault) => this.report(fault));
    this.windows = new WindowSet(options.ledger);
    this.listeners = new ListenerList((listener, cause) => {
      this.report({ code: "listener-failed", name: listener.name, cause });
    });
  }

  /** Tells the author what a plug-in's code did wrong; a report that fails must not fail a guest's access. */
  report(fault: SpaceFault): void {
    try {
      this.#report(fault);
    } catch {
      // There is nobody left to tell.
    }
  }

  get regions(): ReadonlyMap<Region, GuestAddress> {
    return this.#regions;
  }

  get memories(): Iterable<SpaceMemory> {
    return this.#memories.values();
  }

  memoryOf(provider: MemoryProvider): SpaceMemory | undefined {
    return this.#memories.get(provider);
  }

  get logging(): boolean {
    return this.#logging;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Throws `busy` inside a commit: listeners can't change what they are being told of. */
  requireIdle(): void {
    if (!this.#busy) return;
    throw new VirtAddressSpaceError(
      "busy",
      `the space "${this.name}" is in the middle of a commit: change it after the listeners returned`,
    );
  }

  /**
   * Goes to another map: all of it, or nothing.
   *
   * @param mode - `forced`: the change happens in any case, and a listener that refuses it is dropped
   * @throws {@link VirtAddressSpaceError} `overlap`, `released`, `duplicate-doorbell`, `listener-failed`, `busy`
   */
  apply(next: NextMap, mode: "atomic" | "forced" = "atomic"): Applied {
    this.requireIdle();
    const added = new Map<MemoryProvider, SpaceMemory>();
    this.#busy = true;
    try {
      for (const region of next.regions.keys()) {
        const { memory } = region;
        if (memory === undefined || this.#memories.has(memory) || added.has(memory)) continue;
        added.set(memory, this.#retiring.get(memory) ?? this.#makeMemory(memory));
      }
      const memoryOf = (provider: MemoryProvider): SpaceMemory => (this.#memories.get(provider) ?? added.get(provider)) as SpaceMemory;
      const placed = Array.from(next.regions, ([region, base]) => ({ region, base }));
      const view = flatten(placed, next.generation, this.view, memoryOf);
      this.#swapDoorbells(next.doorbellsRemoved, next.doorbellsAdded);
      try {
        const { doorbellsAdded, doorbellsRemoved } = next;
        const change = { ...viewDifference(this.view, view), doorbellsAdded, doorbellsRemoved, before: this.view, after: view };
        if (mode === "forced") this.listeners.force(change);
        else this.listeners.deliver(change);
      } catch (error) {
        this.#swapDoorbells(next.doorbellsAdded, next.doorbellsRemoved);
        throw error;
      }
      return this.#publish(next, view, added);
    } catch (error) {
      for (const memory of added.values()) if (memory.retiring === 0) memory.abandon();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #makeMemory(provider: MemoryProvider): SpaceMemory {
    return new SpaceMemory(this.#numberMemory(provider), provider, (each) => this.#memoryMoved(each));
  }

  #publish(next: NextMap, view: FlatView, added: ReadonlyMap<MemoryProvider, SpaceMemory>): Applied {
    const before = this.#regions;
    const mapped: Region[] = [];
    const unmapped: Region[] = [];
    const used = new Set<MemoryProvider>();
    for (const [region, base] of next.regions) {
      if (before.get(region) !== base) mapped.push(region);
      placeRegion(region, region.id || this.#nextRegion++, base);
      if (region.memory !== undefined) used.add(region.memory);
    }
    for (const region of before.keys()) {
      if (next.regions.has(region)) continue;
      unmapped.push(region);
      placeRegion(region, region.id, undefined);
    }
    this.#regions = next.regions;
    for (const [provider, memory] of added) this.#memories.set(provider, memory);
    const memoriesGone: SpaceMemory[] = [];
    for (const [provider, memory] of this.#memories) {
      if (used.has(provider)) continue;
      this.#memories.delete(provider);
      this.#retiring.set(provider, memory);
      memory.retiring++;
      memoriesGone.push(memory);
    }
    const shown = newlyShown(this.view, view);
    this.view = view;
    const notices = this.windows.revalidate(view);
    return { mapped, unmapped, memoriesAdded: [...added.values()], memoriesGone, shown, notices };
  }

  /** The grace period of a memory that was removed is over: it is released, unless it was mapped again. @returns whether it was */
  retire(memory: SpaceMemory): boolean {
    memory.retiring--;
    if (memory.retiring > 0) return false;
    this.#retiring.delete(memory.provider);
    if (this.#memories.get(memory.provider) === memory) return false;
    try {
      memory.release();
    } catch (cause) {
      this.report({ code: "provider-failed", name: `${memory.provider.kind} memory`, cause });
    }
    return true;
  }

  /** Removes some doorbells and adds others, or throws `duplicate-doorbell` with nothing done. */
  #swapDoorbells(removed: readonly Doorbell[], added: readonly Doorbell[]): void {
    for (const doorbell of removed) this.doorbells.remove(doorbell);
    const done: Doorbell[] = [];
    for (const doorbell of added) {
      if (this.doorbells.rival(doorbell) === undefined) {
        this.doorbells.add(doorbell);
        done.push(doorbell);
        continue;
      }
      for (const each of done) this.doorbells.remove(each);
      for (const each of removed) this.doorbells.add(each);
      throw new VirtAddressSpaceError(
        "duplicate-doorbell",
        `a doorbell at 0x${doorbell.address.toString(16)} of length ${doorbell.length} would ring for the same writes as one that is there: dispose that one, or give both a datamatch`,
        { address: doorbell.address, length: doorbell.length, datamatch: doorbell.datamatch },
      );
    }
  }

  /** Performs one access to an I/O window of this thread; a read without a value. @returns the value read, 0 for a write */
  ioHere(range: FlatRange, address: number, size: 1 | 2 | 4 | 8, value: bigint | undefined): bigint | undefined {
    if (value === undefined) {
      const into = { low: 0, high: 0 };
      return this.io.read(range, address, size, into) ? (BigInt(into.high) << 32n) | BigInt(into.low) : undefined;
    }
    const written = BigInt.asUintN(8 * size, value);
    return this.io.write(range, address, size, Number(written & 0xffff_ffffn), Number(written >> 32n)) ? 0n : undefined;
  }

  /** Tells listeners that writes must, or need no longer, be recorded. */
  setLogging(on: boolean): void {
    if (this.#logging === on) return;
    const change = { unchanged: this.view.ranges, before: this.view, after: this.view };
    this.#guarded(() => {
      if (on) this.listeners.deliver({ ...change, log: "started" });
      else this.listeners.force({ ...change, log: "stopped" });
    });
    this.#logging = on;
  }

  /** Adds a listener, after it was told all there is. */
  listen(listener: AddressSpaceListener): Disposable {
    this.requireIdle();
    if (this.listeners.has(listener)) {
      throw new VirtAddressSpaceError("busy", `the listener "${listener.name}" listens to this space already`);
    }
    const all: Change = {
      added: this.view.ranges,
      doorbellsAdded: [...this.doorbells],
      ...(this.#logging && { log: "started" as const }),
      before: EMPTY_VIEW,
      after: this.view,
    };
    this.#guarded(() => this.listeners.join(listener, all));
    return {
      [Symbol.dispose]: () => {
        // Inside a commit it takes effect after it: disposing works anywhere.
        if (this.#busy) void Promise.resolve().then(() => this.#leave(listener));
        else this.#leave(listener);
      },
    };
  }

  #leave(listener: AddressSpaceListener): void {
    if (this.listeners.has(listener)) this.#guarded(() => this.listeners.leave(listener, this.#everythingGone()));
  }

  #everythingGone(): Change {
    return {
      removed: this.view.ranges,
      doorbellsRemoved: [...this.doorbells],
      ...(this.#logging && { log: "stopped" as const }),
      before: this.view,
      after: new FlatView(this.view.generation, []),
    };
  }

  #guarded(call: () => void): void {
    this.requireIdle();
    this.#busy = true;
    try {
      call();
    } finally {
      this.#busy = false;
    }
  }

  #memoryMoved(memory: SpaceMemory): void {
    for (const range of this.view.ranges) if (range.memory === memory) range.refresh();
    this.tell(this.windows.moved(memory));
  }

  /** Tells holders of windows; what one of them throws is reported and harms nobody else. */
  tell(notices: readonly Notice[]): void {
    for (const notice of notices) {
      try {
        notice();
      } catch (cause) {
        this.report({ code: "listener-failed", name: "a window's onChange", cause });
      }
    }
  }
}
