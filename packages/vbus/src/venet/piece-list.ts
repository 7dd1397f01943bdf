/** Pieces of a frame, in objects that serve one frame after the other: a frame makes no garbage. @module */
import { quadAt } from "../memory/guest-struct.ts";
import type { GuestPiece } from "../memory/vbus-memctx.ts";
import { MOST_PIECES, VenetIov, VenetSg } from "./venet-abi.ts";

/** Reads what stands behind a header that was copied out of a guest's memory. Only the first of its pieces are the header's. */
export class PieceList {
  /** How many the last header had. */
  count = 0;
  /** The pieces: objects that serve the next header too. */
  readonly pieces: readonly GuestPiece[];
  readonly #pool = Array.from({ length: MOST_PIECES }, () => ({ ptr: 0, len: 0 }));

  constructor() {
    this.pieces = this.#pool;
  }

  /** Takes a header's pieces. @param count - at most {@link MOST_PIECES} @returns bytes in all of them */
  read(data: DataView, count: number): number {
    this.count = count;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const piece = this.#pool[i] as { ptr: number; len: number };
      const at = VenetSg.iov + i * VenetIov.size;
      piece.len = data.getUint32(at + VenetIov.len, true);
      piece.ptr = quadAt(data, at + VenetIov.ptr);
      sum += piece.len;
    }
    return sum;
  }
}
