/**
 * When the writes of a device go to a front-end's log: while the features say so and there is one. Either may come first, and the
 * log may be changed for another meanwhile.
 *
 * @module
 */
import { EventFd, type Fd } from "@virtspace/host-linux";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { PayloadOf } from "../protocol/layout.ts";
import { requireEventFd } from "../ring/vring.ts";
import { SharedLog } from "./shared-log.ts";

/** Follows what a front-end wants logged. Dispose it to end that. */
export class MigrationLog implements Disposable {
  readonly #space: VirtAddressSpace;
  readonly #unsealed: boolean;
  #place: { readonly payload: PayloadOf<"log">; readonly fd: Fd } | undefined;
  #wanted = false;
  #log: SharedLog | undefined;
  /** Signalled when pages were marked, for a front-end that doesn't look by itself. */
  #bell: EventFd | undefined;

  /** @param unsealed - whether a file is taken that the peer can shrink */
  constructor(space: VirtAddressSpace, unsealed: boolean) {
    this.#space = space;
    this.#unsealed = unsealed;
  }

  /** Says whether writes are to be logged. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
    if (!wanted) this.#end();
    else if (this.#place !== undefined) this.#log ??= this.#open(this.#place.payload, this.#place.fd);
  }

  /**
   * Takes a log in place of the one before.
   *
   * @param fd - stays the caller's
   * @throws {@link VhostUserError} `bad-memory`, with the one before in use
   */
  set(payload: PayloadOf<"log">, fd: Fd): void {
    // What was written so far goes to the old one, what comes to the new one: none is missed.
    const next = this.#wanted ? this.#open(payload, fd) : undefined;
    this.#end();
    this.#log = next;
    this.#place?.fd[Symbol.dispose]();
    this.#place = { payload, fd: fd.duplicate() };
  }

  /**
   * Takes what is signalled when the log has changed.
   *
   * @param fd - stays the caller's
   * @throws {@link VhostUserError} `bad-fds`
   */
  ring(fd: Fd): void {
    requireEventFd("a log's fd", fd);
    const bell = EventFd.adopt(fd.duplicate());
    this.#bell?.[Symbol.dispose]();
    this.#bell = bell;
  }

  #open(payload: PayloadOf<"log">, fd: Fd): SharedLog {
    return new SharedLog(this.#space, payload, fd, this.#unsealed, () => this.#bell?.signal());
  }

  /** Brings what was written to the front-end. */
  bring(): void {
    this.#log?.bring();
  }

  #end(): void {
    this.bring();
    this.#log?.[Symbol.dispose]();
    this.#log = undefined;
  }

  [Symbol.dispose](): void {
    this.#end();
    this.#place?.fd[Symbol.dispose]();
    this.#place = undefined;
    this.#bell?.[Symbol.dispose]();
    this.#bell = undefined;
  }
}
