/**
 * A guest's memory as devices of a bus see it: a face of a VirtAddressSpace. It is what `xinterface` and `vbus_memctx` were for, and a
 * device that has it knows neither the hypervisor nor the space.
 *
 * @module
 */
import { AccessFault, type FlatRange, type Sgmap, tryGpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import type { ErrnoName } from "../errno/errno.ts";
import { VbusShm } from "./vbus-shm.ts";

/** A piece of guest memory, by the guest's word. */
export interface GuestPiece {
  /** Guest physical address. */
  readonly ptr: number;
  /** Bytes. */
  readonly len: number;
}

/** Memory of a guest. */
export class VbusMemctx {
  readonly #space: VirtAddressSpace;
  /** A guess: which range of the view the last piece lay in. */
  #last = 0;

  constructor(space: VirtAddressSpace) {
    this.#space = space;
  }

  /**
   * Copies to the guest.
   *
   * @returns the number of bytes **not** copied: 0 is success; a copy across regions is one copy, and stops at a hole's edge
   */
  copyTo(ptr: number, bytes: Uint8Array): number {
    const address = tryGpa(ptr);
    return address === undefined ? bytes.length : this.#space.copyTo(address, bytes);
  }

  /** Copies from the guest. @returns the number of bytes **not** copied */
  copyFrom(bytes: Uint8Array, ptr: number): number {
    const address = tryGpa(ptr);
    return address === undefined ? bytes.length : this.#space.copyFrom(address, bytes);
  }

  /** Memory that both sides see, until it is released. `EINVAL` where it is not in one piece, or can't be written; `EFAULT` where nothing is */
  shm(ptr: number, length: number): VbusShm | ErrnoName {
    const address = tryGpa(ptr);
    if (address === undefined || !Number.isSafeInteger(length) || length < 1) return "EINVAL";
    const window = this.#space.tryVmap(address, length, { marks: true });
    return window instanceof AccessFault ? errnoOf(window) : new VbusShm(window);
  }

  /**
   * The range that all of a piece lies in, without a copy: good for the call alone.
   *
   * @returns undefined where it lies in more than one ({@link forEachPart} walks them), or not in memory
   */
  rangeOf(ptr: number, length: number): FlatRange | undefined {
    const view = this.#space.view();
    // Mostly it lies in the range that the last one lay in.
    let range = view.ranges[this.#last];
    if (range === undefined || ptr < range.start || ptr >= range.end) {
      const address = tryGpa(ptr);
      if (address === undefined) return undefined;
      this.#last = view.indexFrom(address);
      range = view.ranges[this.#last];
      if (range === undefined || ptr < range.start) return undefined;
    }
    return ptr + length <= range.end && range.memory !== undefined && range.alive() ? range : undefined;
  }

  /**
   * The parts of memory that a piece lies in, without a copy: good for the call alone.
   *
   * @returns whether all of it is memory
   */
  forEachPart(ptr: number, length: number, visit: (range: FlatRange, offset: number, length: number) => void): boolean {
    const address = tryGpa(ptr);
    if (address === undefined) return false;
    const view = this.#space.view();
    const { ranges } = view;
    const end = address + length;
    let found = 0;
    for (let i = view.indexFrom(address); i < ranges.length; i++) {
      const range = ranges[i] as FlatRange;
      if (range.start >= end) break;
      if (range.memory === undefined || !range.alive()) continue;
      const from = Math.max(range.start, address);
      const part = Math.min(range.end, end) - from;
      found += part;
      visit(range, from - range.start, part);
    }
    return found === length;
  }

  /** Windows on a scatter-gather list: all of it, or none. */
  sgmap(list: readonly GuestPiece[]): Sgmap | ErrnoName {
    const pieces = [];
    for (const { ptr, len } of list) {
      const address = tryGpa(ptr);
      if (address === undefined || !Number.isSafeInteger(len) || len < 0) return "EINVAL";
      pieces.push({ address, length: len });
    }
    const map = this.#space.trySgmap(pieces);
    return map instanceof AccessFault ? errnoOf(map) : map;
  }
}

/** As the originals had them: a hole is a fault, and what is there but won't do is an argument that makes no sense. */
function errnoOf({ code }: AccessFault): ErrnoName {
  return code === "unmapped" || code === "elsewhere" || code === "gone" ? "EFAULT" : "EINVAL";
}
