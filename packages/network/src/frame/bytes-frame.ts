/** A frame in one array. @module */

import { NO_OFFLOAD, type Offload } from "../offload/offload.ts";
import type { Frame, FrameMemory } from "./frame.ts";

/** A frame that somebody made of bytes. */
export class BytesFrame implements Frame {
  readonly length: number;
  readonly pieces = 1;
  readonly offload: Offload;
  readonly #memory: FrameMemory;

  /** @param bytes - from the destination address on; they are not copied */
  constructor(bytes: Uint8Array, offload: Offload = NO_OFFLOAD) {
    this.#memory = { bytes, data: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
    this.length = bytes.length;
    this.offload = offload;
  }

  memory(): FrameMemory {
    return this.#memory;
  }

  offset(): number {
    return 0;
  }

  size(): number {
    return this.length;
  }
}
