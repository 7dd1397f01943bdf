/** A frame that lies in a guest's memory, in pieces. Nothing of it is copied. @module */
import { type Frame, type FrameMemory, NO_OFFLOAD, type Offload } from "@virtspace/network";
import type { FlatRange } from "@virtspace/virt-address-space";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { PieceList } from "./piece-list.ts";

/** A frame; one object serves all frames of a queue, one after the other. */
export class GuestFrame implements Frame {
  length = 0;
  pieces = 0;
  offload: Offload = NO_OFFLOAD;
  // They grow, and what is past the frame's pieces is old: to empty them would cost more than all else.
  readonly #ranges: FlatRange[] = [];
  readonly #offsets: number[] = [];
  readonly #sizes: number[] = [];
  readonly #visit = (range: FlatRange, offset: number, size: number): void => {
    const piece = this.pieces++;
    this.#ranges[piece] = range;
    this.#offsets[piece] = offset;
    this.#sizes[piece] = size;
  };

  /** Takes what lies in a guest's memory. @returns whether all of it is there */
  over(memctx: VbusMemctx, list: PieceList, length: number, offload: Offload): boolean {
    this.pieces = 0;
    this.length = length;
    this.offload = offload;
    for (let i = 0; i < list.count; i++) {
      const { ptr, len } = list.pieces[i] as { readonly ptr: number; readonly len: number };
      if (!this.#add(memctx, ptr, len)) return false;
    }
    return true;
  }

  /** As {@link over}, of one piece. */
  overOne(memctx: VbusMemctx, ptr: number, length: number): boolean {
    this.pieces = 0;
    this.length = length;
    this.offload = NO_OFFLOAD;
    return this.#add(memctx, ptr, length);
  }

  memory(piece: number): FrameMemory {
    const range = this.#ranges[piece] as FlatRange;
    range.alive();
    return range;
  }

  offset(piece: number): number {
    return this.#offsets[piece] as number;
  }

  size(piece: number): number {
    return this.#sizes[piece] as number;
  }

  #add(memctx: VbusMemctx, ptr: number, length: number): boolean {
    const range = memctx.rangeOf(ptr, length);
    if (range === undefined) return memctx.forEachPart(ptr, length, this.#visit);
    this.#visit(range, ptr - range.start, length);
    return true;
  }
}
