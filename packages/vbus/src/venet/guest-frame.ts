/** A frame that lies in a guest's memory, in pieces. Nothing of it is copied. @module */
import { type Frame, type FrameMemory, NO_OFFLOAD, type Offload } from "@virtspace/network";
import type { FlatRange } from "@virtspace/virt-address-space";
import type { GuestPiece, VbusMemctx } from "../memory/vbus-memctx.ts";

/** A frame; one object serves all frames of a queue, one after the other. */
export class GuestFrame implements Frame {
  length = 0;
  offload: Offload = NO_OFFLOAD;
  readonly #ranges: FlatRange[] = [];
  readonly #offsets: number[] = [];
  readonly #sizes: number[] = [];
  readonly #visit = (range: FlatRange, offset: number, size: number): void => {
    this.#ranges.push(range);
    this.#offsets.push(offset);
    this.#sizes.push(size);
  };

  get pieces(): number {
    return this.#ranges.length;
  }

  /** Takes what lies in a guest's memory. @returns whether all of it is there */
  over(memctx: VbusMemctx, pieces: readonly GuestPiece[], length: number, offload: Offload): boolean {
    this.#ranges.length = 0;
    this.#offsets.length = 0;
    this.#sizes.length = 0;
    this.length = length;
    this.offload = offload;
    return pieces.every(({ ptr, len }) => memctx.forEachPart(ptr, len, this.#visit));
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
}
