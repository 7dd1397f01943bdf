/** Who holds a space: it lives until the last of them lets go. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";

/** One holder's hold on a space. */
export interface SpaceReference extends Disposable {
  /** Whose it is. */
  readonly name: string;
  /** Another reference for the same holder, to be put on its own. @throws {@link VirtAddressSpaceError} `released` */
  get(): SpaceReference;
  /** Lets go. Idempotent; disposing does the same. */
  put(): void;
}

/** Counts the references of a space. */
export class References {
  readonly #space: string;
  readonly #beforeLast: () => void;
  readonly #last: () => void;
  readonly #held = new Set<SpaceReference>();
  #over = false;

  /**
   * @param beforeLast - called when no reference is left; it may still take one for a holder whose word is on the way
   * @param last - called once, when the last reference was put
   */
  constructor(space: string, beforeLast: () => void, last: () => void) {
    this.#space = space;
    this.#beforeLast = beforeLast;
    this.#last = last;
  }

  get released(): boolean {
    return this.#over;
  }

  /** Whether there is a reference at this moment. */
  get held(): boolean {
    return this.#held.size > 0;
  }

  /** The holders' names, a line for each reference. */
  get names(): readonly string[] {
    return Array.from(this.#held, ({ name }) => name);
  }

  /** Throws `released` after the last reference was put. */
  requireHeld(): void {
    if (!this.#over) return;
    throw new VirtAddressSpaceError(
      "released",
      `"${this.#space}" was let go here, by its last reference in this thread: dispose later, or bind() before to keep it`,
      { space: this.#space },
    );
  }

  /** @param onPut - called when this reference and all that were got from it have been put */
  get(name: string, onPut: () => void = () => {}): SpaceReference {
    return this.#get(name, { count: 0, onPut });
  }

  #get(name: string, family: { count: number; readonly onPut: () => void }): SpaceReference {
    this.requireHeld();
    family.count++;
    const put = (): void => {
      if (!this.#held.delete(reference)) return;
      family.count--;
      if (family.count === 0) family.onPut();
      if (this.#held.size === 0) this.#beforeLast();
      if (this.#held.size > 0) return;
      this.#over = true;
      this.#last();
    };
    const reference: SpaceReference = { name, get: () => this.#get(name, family), put, [Symbol.dispose]: put };
    this.#held.add(reference);
    return reference;
  }
}
