/**
 * The open windows of a space: opens them, revokes what a commit took away, and tells the dirty logs what they cover.
 *
 * @module
 */
import { AccessFault } from "../access/access-fault.ts";
import type { GuestRange } from "../access/copy-access.ts";
import { type GuestAddress, MAX_ADDRESS, PAGE_SIZE, requireAddress, requireLength } from "../address/addresses.ts";
import type { FlatRange } from "../view/flat-range.ts";
import type { FlatView } from "../view/flat-view.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import { Sgmap } from "./sgmap.ts";
import { LooseVmap, Vmap, type VmapChange, type VmapOptions } from "./vmap.ts";
import type { WindowLedger } from "./window-ledger.ts";

/** Someone to tell of a change of a window. */
export type Notice = () => void;

/** The open windows of a space. */
export class WindowSet {
  readonly #open = new Map<Vmap, () => void>();
  /** Shows other threads which windows are open without a promise; undefined in the owner's thread. */
  readonly #ledger: WindowLedger | undefined;

  constructor(ledger?: WindowLedger) {
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Opens a window, or says why not. */
  open(view: FlatView, address: GuestAddress, length: number, options: VmapOptions): Vmap | AccessFault {
    requireAddress(address);
    // A length may be a guest's, as large as it likes; one that is no length at all is an author's.
    if (!(length > MAX_ADDRESS)) requireLength(length, 0, "the length of a window");
    const { write = true } = options;
    if (length === 0) return new AccessFault("empty", address);
    const range = view.find(address);
    const fault = refusal(range, address, write);
    if (fault !== undefined) return fault;
    const { memory, start, end, offset } = range as FlatRange;
    if (!(address + length <= end)) return new AccessFault("crosses-region", end, (range as FlatRange).region.name);
    return this.#register({ address, length, memory: memory as SpaceMemory, offset: offset + (address - start) }, options);
  }

  /** Opens windows on a list, all or none. */
  openList(view: FlatView, list: readonly GuestRange[], options: VmapOptions): Sgmap | AccessFault {
    const windows: Vmap[] = [];
    for (const { address, length } of list) {
      requireAddress(address);
      if (!(length > MAX_ADDRESS)) requireLength(length, 0, "the length of an entry");
      let done = 0;
      while (done < length) {
        const at = (address + done) as GuestAddress;
        const n = Math.min(length - done, (view.find(at)?.end ?? Number.POSITIVE_INFINITY) - at);
        const window = this.open(view, at, n, options);
        if (window instanceof AccessFault) {
          for (const each of windows) each[Symbol.dispose]();
          return window;
        }
        windows.push(window);
        done += n;
      }
    }
    return new Sgmap(windows);
  }

  #register(place: { address: GuestAddress; length: number; memory: SpaceMemory; offset: number }, options: VmapOptions): Vmap {
    const Window = place.memory.provider.stable ? Vmap : LooseVmap;
    const window = new Window(place, options, { closed: (each) => this.#closed(each) });
    let release = (): void => {};
    if (window.writable && !window.marks) {
      const { memory, offset, length } = place;
      const tracked = memory.provider.trackWindow({ offset, length });
      const entry = this.#ledger?.enter(memory.id, Math.floor(offset / PAGE_SIZE), Math.ceil((offset + length) / PAGE_SIZE));
      release = () => {
        // First the marks, then the entry: a harvest in between sees one of them at least.
        if (memory.tracked) memory.wrote(offset, length);
        tracked[Symbol.dispose]();
        if (entry !== undefined) this.#ledger?.leave(entry);
      };
    }
    this.#open.set(window, release);
    return window;
  }

  #closed(window: Vmap): void {
    this.#open.get(window)?.();
    this.#open.delete(window);
  }

  /** Calls back for each open writable window whose holder made no promise. */
  forEachUnmarked(callback: (memory: SpaceMemory, offset: number, length: number) => void): void {
    for (const { place, writable, marks } of this.#open.keys()) {
      if (writable && !marks) callback(place.memory, place.offset, place.length);
    }
  }

  /** Revokes the windows that a new view no longer shows. @returns the holders to tell, once the commit is over */
  revalidate(view: FlatView): Notice[] {
    const notices: Notice[] = [];
    for (const window of [...this.#open.keys()]) {
      if (shows(view, window)) continue;
      for (const tell of window.revoke()) notices.push(() => tell("revoked"));
    }
    return notices;
  }

  /** Lets windows on a memory whose buffer was replaced take the new one. @returns the holders to tell */
  moved(memory: SpaceMemory): Notice[] {
    const notices: Notice[] = [];
    const change: VmapChange = "moved";
    for (const window of this.#open.keys()) {
      if (window.place.memory === memory) for (const tell of window.rebind()) notices.push(() => tell(change));
    }
    return notices;
  }
}

function refusal(range: FlatRange | undefined, address: number, write: boolean): AccessFault | undefined {
  if (range === undefined) return new AccessFault("unmapped", address);
  const { name } = range.region;
  if (range.io) return new AccessFault("not-memory", address, name);
  if (range.memory === undefined) return new AccessFault("elsewhere", address, name);
  if (write && !range.writable) return new AccessFault("read-only", address, name);
  return range.alive() ? undefined : new AccessFault("gone", address, name);
}

function shows(view: FlatView, window: Vmap): boolean {
  const { address, length, memory, offset } = window.place;
  const range = view.find(address);
  return (
    range !== undefined &&
    range.memory === memory &&
    range.offset + (address - range.start) === offset &&
    address + length <= range.end &&
    (range.writable || !window.writable)
  );
}
