/** A frame that lies in a guest's buffer, behind its header. Nothing of it is copied. @module */
import { type Frame, type FrameMemory, NO_OFFLOAD, type Offload } from "@virtspace/network";
import type { Chain } from "@virtspace/virtio";
import { HeaderOffload } from "../header/net-header.ts";

/** A frame over a chain; one object serves all frames of a queue, one after the other. */
export class ChainFrame implements Frame {
  length = 0;
  pieces = 0;
  offload: Offload = NO_OFFLOAD;
  /** What the header says, where that is something. */
  readonly header: HeaderOffload = new HeaderOffload();
  #chain: Chain | undefined;
  #first = 0;
  #skip = 0;

  /** Takes a chain. @param header - bytes in front of the frame; the chain has more than that */
  over(chain: Chain, header: number): void {
    let skip = header;
    let first = 0;
    for (; skip >= chain.length(first); first++) skip -= chain.length(first);
    this.#chain = chain;
    this.#first = first;
    this.#skip = skip;
    this.pieces = chain.readablePieces - first;
    this.length = chain.readableBytes - header;
    this.offload = NO_OFFLOAD;
  }

  memory(piece: number): FrameMemory {
    const range = (this.#chain as Chain).range(this.#first + piece);
    range.alive();
    return range;
  }

  offset(piece: number): number {
    return (this.#chain as Chain).offset(this.#first + piece) + (piece === 0 ? this.#skip : 0);
  }

  size(piece: number): number {
    return (this.#chain as Chain).length(this.#first + piece) - (piece === 0 ? this.#skip : 0);
  }
}
