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

  /**
   * Maps the log of a front-end.
   *
   * @throws {@link VhostUserError} `bad-memory` where it can't be mapped
   */
  constructor(space: VirtAddressSpace, { mmapSize, mmapOffset }: PayloadOf<"log">, fd: Fd, unsealed: boolean) {
    try {
      this.#mapping = new Mapping(fd, { size: mmapSize, offset: mmapOffset, unsealed });
    } catch (cause) {
      throw new VhostUserError("bad-memory", `the log can't be mapped: ${(cause as Error).message}`, { cause });
    }
    this.#log = space.dirtyLog("migration");
    this.#timer = setInterval(() => this.bring(), INTERVAL_MILLISECONDS);
  }

  /** Brings what was written to the front-end. */
  bring(): void {
    const { bytes } = this.#mapping;
    for (const { address, length } of this.#log.harvest()) {
      const end = Math.min(Math.ceil((address + length) / PAGE), bytes.length * 8);
      // The front-end takes bits away at the same time; pages past the end of its log are none of its.
      for (let page = Math.floor(address / PAGE); page < end; page++) Atomics.or(bytes, Math.floor(page / 8), 1 << (page % 8));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#log[Symbol.dispose]();
    this.#mapping[Symbol.dispose]();
  }
}
