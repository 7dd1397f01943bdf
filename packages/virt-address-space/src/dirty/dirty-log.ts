/** A client's record of which pages were written. @module */

import type { GuestRange } from "../access/copy-access.ts";
import { type GuestAddress, PAGE_SIZE } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { MemoryExtent, MemoryProvider } from "../memory/memory-provider.ts";
import type { FlatRange } from "../view/flat-range.ts";
import type { FlatView } from "../view/flat-view.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import { DirtyBitmap, type DirtyRun } from "./dirty-bitmap.ts";

/**
 * Somebody who sees writes that don't go through the space: a hypervisor with a log of its own. Before a harvest it is
 * asked to tell what it has seen since it was last asked.
 */
export interface DirtySource {
  /** For people: faults show it. */
  readonly name: string;
  /** Calls `mark` for each run of written bytes. One that throws makes all memory count as dirty. */
  sync(mark: (address: GuestAddress, length: number) => void): void;
}

/** A run of written pages of one memory. */
export interface DirtyExtent extends MemoryExtent {
  /** The memory that was written. */
  readonly memory: MemoryProvider;
}

/** What a log needs of its space. */
export interface DirtyLogHost {
  /** Brings in what sources and open windows have to tell. */
  gather(log: DirtyLog): void;
  /** Whether other threads write. */
  shared(): boolean;
  view(): FlatView;
  stop(log: DirtyLog): void;
}

/**
 * A client's dirty log, made by `space.dirtyLog`; dispose it to stop. Each client has its own: one's harvest leaves the
 * others as they were.
 *
 * A page is dirty when something was written to it through the space by any thread, when a source says so, or when a
 * writable window on it is open whose holder did not promise to mark. Memory that is mapped while the log runs counts as
 * wholly dirty. Nothing that happened before the harvest is missing, and a page may be told twice.
 */
export class DirtyLog implements Disposable {
  /** The client, for people. */
  readonly name: string;
  /** A number that every holder of the space knows this log by. */
  readonly id: number;
  readonly #host: DirtyLogHost;
  readonly #bitmaps = new Map<SpaceMemory, DirtyBitmap>();
  /** What the last harvest told while other threads wrote. */
  readonly #told = new Map<SpaceMemory, Runs>();
  #stopped = false;
  readonly #ready: () => Promise<void>;

  /** @internal */
  constructor(id: number, name: string, host: DirtyLogHost, ready: () => Promise<void>) {
    this.id = id;
    this.name = name;
    this.#host = host;
    this.#ready = ready;
  }

  /** Resolves when every attached thread records its writes; fails as an unmap does. Writes of this thread are recorded at once. */
  get ready(): Promise<void> {
    return this.#ready();
  }

  /**
   * Takes all dirty pages that the map shows, as guest addresses in order, neighbours joined, whole pages of memory. Dirty
   * pages that nothing shows at the moment are dropped; {@link harvestMemory} has those too.
   */
  harvest(): readonly GuestRange[] {
    const found: GuestRange[] = [];
    const places = placesByMemory(this.#host.view());
    this.#take((memory, offset, length) => {
      for (const range of places.get(memory) ?? []) {
        const from = Math.max(offset, range.offset);
        const end = Math.min(offset + length, range.offset + range.size);
        if (from >= end) continue;
        found.push({ address: (range.start + (from - range.offset)) as GuestAddress, length: end - from });
      }
    });
    return joined(found);
  }

  /** Takes all dirty pages by memory, mapped where it may be: what a migration sends. */
  harvestMemory(): readonly DirtyExtent[] {
    const found: DirtyExtent[] = [];
    this.#take((memory, offset, length) => found.push({ memory: memory.provider, offset, length }));
    return found;
  }

  #take(run: (memory: SpaceMemory, offset: number, length: number) => void): void {
    if (this.#stopped) {
      throw new VirtAddressSpaceError("released", `the dirty log "${this.name}" was stopped: start another with space.dirtyLog()`);
    }
    this.#host.gather(this);
    for (const [memory, bitmap] of this.#bitmaps) {
      this.#takeFrom(memory, bitmap, (firstPage, pages) => {
        const offset = firstPage * PAGE_SIZE;
        run(memory, offset, Math.min(pages * PAGE_SIZE, memory.provider.size - offset));
      });
    }
  }

  /**
   * Another thread's mark may be seen before the bytes that it is about. So while others write, each page that was marked is
   * told twice: by this harvest, and once more by the next, when its bytes have long been there.
   */
  #takeFrom(memory: SpaceMemory, bitmap: DirtyBitmap, run: DirtyRun): void {
    const before = this.#told.get(memory);
    this.#told.delete(memory);
    const shared = this.#host.shared();
    if (before === undefined && !shared) {
      bitmap.harvest(run);
      return;
    }
    const marked: [first: number, pages: number][] = [];
    bitmap.harvest((first, pages) => marked.push([first, pages]));
    if (shared && marked.length > 0) this.#told.set(memory, marked);
    for (const [first, pages] of united(before ?? [], marked)) run(first, pages);
  }

  /** Stops the log. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#host.stop(this);
  }

  /** Completes marks that a dead thread may have left half done. @internal */
  repair(): void {
    for (const bitmap of this.#bitmaps.values()) bitmap.repair();
  }

  /** The bitmap of a memory, made where there is none. @internal */
  bitmapOf(memory: SpaceMemory): DirtyBitmap {
    let bitmap = this.#bitmaps.get(memory);
    if (bitmap === undefined) {
      bitmap = new DirtyBitmap(memory.provider.size);
      this.#bitmaps.set(memory, bitmap);
    }
    return bitmap;
  }

  /** Forgets a memory that was unmapped. @internal */
  forget(memory: SpaceMemory): void {
    this.#bitmaps.delete(memory);
    this.#told.delete(memory);
  }
}

type Runs = readonly (readonly [first: number, pages: number])[];

/** Two lists of runs in order, as one. */
function united(a: Runs, b: Runs): Runs {
  const result: [first: number, pages: number][] = [];
  for (const [first, pages] of [...a, ...b].sort((left, right) => left[0] - right[0])) {
    const last = result.at(-1);
    if (last !== undefined && last[0] + last[1] >= first) last[1] = Math.max(last[1], first + pages - last[0]);
    else result.push([first, pages]);
  }
  return result;
}

function placesByMemory(view: FlatView): Map<SpaceMemory, FlatRange[]> {
  const places = new Map<SpaceMemory, FlatRange[]>();
  for (const range of view.ranges) {
    if (range.memory === undefined) continue;
    const list = places.get(range.memory);
    if (list === undefined) places.set(range.memory, [range]);
    else list.push(range);
  }
  return places;
}

function joined(ranges: GuestRange[]): GuestRange[] {
  ranges.sort((a, b) => a.address - b.address);
  const result: GuestRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last.address + last.length === range.address) {
      result[result.length - 1] = { address: last.address, length: last.length + range.length };
    } else {
      result.push(range);
    }
  }
  return result;
}
