/** References to an object: each `get` has its `put`, and the last releases it. @module */
import { VbusError } from "../error/vbus-error.ts";

/** A count that begins with 1: whoever made the object has that one. */
export class ReferenceCount {
  readonly #name: string;
  readonly #release: () => void;
  #count = 1;

  /** @param release - called once, by the last {@link put} */
  constructor(name: string, release: () => void) {
    this.#name = name;
    this.#release = release;
  }

  /** Whether the object is gone. */
  get released(): boolean {
    return this.#count === 0;
  }

  /** Takes a reference. @throws {@link VbusError} `released` */
  get(): void {
    this.#require();
    this.#count++;
  }

  /** Gives one back. @throws {@link VbusError} `released` */
  put(): void {
    this.#require();
    this.#count--;
    if (this.#count === 0) this.#release();
  }

  #require(): void {
    if (this.#count === 0) throw new VbusError("released", `${this.#name} was released: take a reference before the last is given back`);
  }
}
