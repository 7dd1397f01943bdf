/** Shared memory: a window that all who have a reference to it may use, and that closes with the last. @module */
import type { Vmap } from "@virtspace/virt-address-space";
import { ReferenceCount } from "./reference-count.ts";

/** A piece of memory that both sides see. */
export class VbusShm {
  /** Its bytes, as long as they are the guest's: a window that was revoked reads as nothing. */
  readonly window: Vmap;
  readonly #references: ReferenceCount;

  /** @param window - closed with the last reference; opened with `marks` */
  constructor(window: Vmap) {
    this.window = window;
    this.#references = new ReferenceCount("shared memory", () => window[Symbol.dispose]());
  }

  /** Bytes. */
  get length(): number {
    return this.window.length;
  }

  /** Takes a reference. @throws {@link VbusError} `released` */
  get(): this {
    this.#references.get();
    return this;
  }

  /** Gives one back. @throws {@link VbusError} `released` */
  put(): void {
    this.#references.put();
  }
}
