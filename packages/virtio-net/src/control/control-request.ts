/** What a driver says in one buffer of the control queue: a number after the other, each taken once. @module */

/** Reads the fields of a command; what is not there is undefined, and stays so. */
export class ControlRequest {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** An unsigned number. */
  u8(): number | undefined {
    return this.#take(1, (at) => this.#view.getUint8(at));
  }

  /** An unsigned number, little-endian. */
  u16(): number | undefined {
    return this.#take(2, (at) => this.#view.getUint16(at, true));
  }

  /** An unsigned number, little-endian. */
  u32(): number | undefined {
    return this.#take(4, (at) => this.#view.getUint32(at, true));
  }

  /** Some bytes. */
  bytes(length: number): Uint8Array | undefined {
    return this.#take(length, (at) => this.#bytes.subarray(at, at + length));
  }

  #take<Value>(length: number, read: (at: number) => Value): Value | undefined {
    if (length > this.left) return undefined;
    const at = this.#at;
    this.#at += length;
    return read(at);
  }
}
