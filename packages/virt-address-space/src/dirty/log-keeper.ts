/**
 * The dirty logs of a space in its owner's thread: their bitmaps, and what is brought in before a harvest. That their start and
 * stop are commits, which every thread hears of, is the owner's business.
 *
 * @module
 */
import { type GuestAddress, requireAddress, requireLength } from "../address/addresses.ts";
import type { SpaceFault } from "../error/space-fault.ts";
import type { FlatView } from "../view/flat-view.ts";
import type { ShownPart } from "../view/newly-shown.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import type { WindowSet } from "../window/window-set.ts";
import type { DirtyLog, DirtySource } from "./dirty-log.ts";

/** What the keeper needs of its space. */
export interface LoggedSpace {
  readonly memories: Iterable<SpaceMemory>;
  readonly view: FlatView;
  readonly windows: WindowSet;
  report(fault: SpaceFault): void;
}

/** The logs and the sources of a space. */
export class LogKeeper {
  readonly logs: Set<DirtyLog> = new Set();
  readonly #sources = new Set<DirtySource>();
  readonly #space: LoggedSpace;

  constructor(space: LoggedSpace) {
    this.#space = space;
  }

  /** Adds a log, with a bitmap for each memory. */
  add(log: DirtyLog): void {
    this.logs.add(log);
    for (const memory of this.#space.memories) log.bitmapOf(memory);
  }

  /** Adds a source; disposing takes it away. */
  addSource(source: DirtySource): Disposable {
    this.#sources.add(source);
    return { [Symbol.dispose]: () => void this.#sources.delete(source) };
  }

  /** Nobody has seen what a commit shows for the first time: to a client that copies what is dirty, all of it is. */
  markNew(memories: readonly SpaceMemory[], shown: readonly ShownPart[]): void {
    for (const log of this.logs) {
      for (const memory of memories) log.bitmapOf(memory).markBytes(0, memory.provider.size);
      for (const { memory, offset, length } of shown) log.bitmapOf(memory).markBytes(offset, length);
    }
  }

  /** Lets every memory record its writes in every log. */
  wire(): void {
    for (const memory of this.#space.memories) memory.bitmaps = Array.from(this.logs, (log) => log.bitmapOf(memory));
  }

  /** A memory was released. */
  forget(memory: SpaceMemory): void {
    for (const log of this.logs) log.forget(memory);
  }

  /** Brings in what sources and open windows of this thread have to tell. */
  gather(log: DirtyLog): void {
    for (const source of this.#sources) {
      try {
        source.sync((address, length) => this.#mark(address, length));
      } catch (cause) {
        this.#space.report({ code: "source-failed", name: source.name, cause });
        for (const memory of this.#space.memories) memory.mark(0, memory.provider.size);
      }
    }
    this.#space.windows.forEachUnmarked((memory, offset, length) => log.bitmapOf(memory).markBytes(offset, length));
  }

  #mark(address: GuestAddress, length: number): void {
    requireAddress(address);
    requireLength(length, 0, "the length to mark");
    this.#space.view.forEachPart(address, length, (range, offset, bytes) => range.memory?.mark(range.offset + offset, bytes));
  }
}
