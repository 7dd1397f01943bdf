/**
 * The log that a front-end shares to learn which pages were written while it moves a guest: a bit a page, by guest address.
 *
 * The space's own dirty log is where writes are recorded; from there they are brought here, often, and once more before any
 * message that ends a ring is answered.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Migration"
 * @module
 */
import { type Fd, Mapping } from "@virtspace/host-linux";
import type { DirtyLog, VirtAddressSpace } from "@virtspace/virt-address-space";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { PayloadOf } from "../protocol/layout.ts";

const PAGE = 4096;
const INTERVAL_MILLISECONDS = 10;

/** A shared log. Dispose it to end it. */
export class SharedLog implements Disposable {
  readonly #mapping: Mapping;
  readonly #log: DirtyLog;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #changed: () => void;

  /**
   * Maps the log of a front-end.
   *
   * @param changed - told after pages were marked in it
   * @throws {@link VhostUserError} `bad-memory` where it can't be mapped
   */
  constructor(space: VirtAddressSpace, { mmapSize, mmapOffset }: PayloadOf<"log">, fd: Fd, unsealed: boolean, changed: () => void) {
    this.#changed = changed;
    try {
      this.#mapping = new Mapping(fd, { size: mmapSize, offset: mmapOffset, unsealed });
    } catch (cause) {
      throw new VhostUserError("bad-memory", `the log can't be mapped: ${(cause as Error).message}`, { cause });
    }
    try {
      this.#log = space.dirtyLog("migration");
    } catch (error) {
      this.#mapping[Symbol.dispose]();
      throw error;
    }
    this.#timer = setInterval(() => this.bring(), INTERVAL_MILLISECONDS);
  }

  /** Brings what was written to the front-end. */
  bring(): void {
    const { bytes } = this.#mapping;
    const written = this.#log.harvest();
    for (const { address, length } of written) {
      // Pages past the end of the log are none of its.
      const end = Math.min(Math.ceil((address + length) / PAGE), bytes.length * 8);
      markPages(bytes, Math.floor(address / PAGE), end);
    }
    if (written.length > 0) this.#changed();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#log[Symbol.dispose]();
    this.#mapping[Symbol.dispose]();
  }
}

/** The front-end takes bits away at the same time. A byte of which all are set can be stored as it is. */
function markPages(bytes: Uint8Array, from: number, end: number): void {
  let page = from;
  for (; page < end && page % 8 !== 0; page++) Atomics.or(bytes, Math.floor(page / 8), 1 << (page % 8));
  if (end - page >= 8) {
    bytes.fill(0xff, page / 8, Math.floor(end / 8));
    page = Math.floor(end / 8) * 8;
  }
  for (; page < end; page++) Atomics.or(bytes, Math.floor(page / 8), 1 << (page % 8));
}
