/** Memory for the structures that calls take and fill in. JavaScript's own may be moved between two calls. @module */
import { freeBlock, nativeBlock } from "../native/libc.ts";

/** A block of zeroed native memory, which stays where it is until it is disposed. */
export class NativeBlock implements Disposable {
  /** Where it is: for a structure that points to another. */
  readonly address: bigint;
  #bytes: Uint8Array;
  #view: DataView;

  /** @param length - bytes */
  constructor(length: number) {
    const { address, bytes, view } = nativeBlock(length);
    this.address = address;
    this.#bytes = bytes.fill(0);
    this.#view = view;
  }

  /** Its bytes; none once it was disposed. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** A view of its bytes. */
  get view(): DataView {
    return this.#view;
  }

  /** Frees it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#bytes.length === 0) return;
    (this.#bytes.buffer as ArrayBuffer).transfer();
    this.#bytes = new Uint8Array(0);
    this.#view = new DataView(this.#bytes.buffer);
    freeBlock(this.address);
  }
}
