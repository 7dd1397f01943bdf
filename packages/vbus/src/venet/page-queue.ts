/** Pages of a guest's that large frames go on in, behind their first buffer: a ring of nothing but pages. @module */
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import { MOST_PIECES } from "./venet-abi.ts";

/** A page, by the guest's word. */
export interface GuestPage {
  /** Where it is. */
  readonly ptr: number;
  /** Bytes. */
  readonly len: number;
  /** The guest's own word for it: what it finds in the frame's header. */
  readonly cookie: number;
}

/** A ring of pages: they are looked at, and taken only when a frame fits. */
export class PageQueue implements Disposable {
  readonly #ring: Ioq;
  readonly #iterator: IoqIterator;

  /** @param onPages - the guest gave more */
  constructor(ring: Ioq, onPages: () => void) {
    this.#ring = ring;
    this.#iterator = ring.iterator("inuse", { autoUpdate: true, quiet: true });
    ring.signal.listener = onPages;
    ring.signal.enable();
  }

  /**
   * As many pages as that many bytes want.
   *
   * @returns `few` where the guest has to give more first; `small` where they would be too many pieces of a frame
   */
  look(bytes: number, most: number): readonly GuestPage[] | "few" | "small" {
    const iterator = this.#iterator;
    const pages: GuestPage[] = [];
    if (iterator.seek("head") !== 0) return "few";
    for (let left = bytes; left > 0; ) {
      if (pages.length === Math.min(most, MOST_PIECES - 1)) return "small";
      if (pages.length === this.#ring.count || !iterator.mine || !iterator.valid) return "few";
      const page = { ptr: iterator.ptr, len: iterator.len, cookie: iterator.cookie };
      pages.push(page);
      left -= page.len;
      iterator.seek("next");
    }
    return pages;
  }

  /** Takes pages that were looked at. */
  take(count: number): void {
    this.#iterator.seek("head");
    for (let i = 0; i < count; i++) if (this.#iterator.pop() !== 0) return;
    if (count > 0) this.#ring.signal.inject();
  }

  /** Gives the ring back. */
  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
  }
}
