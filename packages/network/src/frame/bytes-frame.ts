/** A frame in one array. @module */

import { NO_OFFLOAD, type Offload } from "../offload/offload.ts";
import type { Frame } from "./frame.ts";

/** A frame that somebody made of bytes. */
export class BytesFrame implements Frame {
  readonly length: number;
  readonly pieces = 1;
  readonly offload: Offload;
  readonly #bytes: Uint8Array;

  /** @param bytes - from the destination address on; they are not copied */
  constructor(bytes: Uint8Array, offload: Offload = NO_OFFLOAD) {
    this.#bytes = bytes;
    this.length = bytes.length;
    this.offload = offload;
  }

  bytes(): Uint8Array {
    return this.#bytes;
  }

  offset(): number {
    return 0;
  }

  size(): number {
    return this.#bytes.length;
  }
}
