/** A guest's connection to a device. @module */
import type { CallResult } from "../errno/errno.ts";
import { ReferenceCount } from "../memory/reference-count.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";

/** What stands behind a connection. What it throws is `EIO` for the guest, and a fault for the bus's owner. */
export interface VbusConnectionOps {
  /**
   * A call.
   *
   * @param func - which
   * @param data - a guest address, to be used through the memctx; nothing has been checked
   * @param len - bytes there, by the guest's word
   */
  call(func: number, data: number, len: number, flags: number): CallResult;
  /**
   * Shared memory for the device: who keeps it takes a reference.
   *
   * @param id - what it is for
   * @param signal - its signal, where the guest gave one; the client disposes it when the device is closed
   */
  shm(id: number, shm: VbusShm, signal: ShmSignal | undefined, flags: number): CallResult;
  /** The guest closed it, or the device leaves: nothing is to be done for the guest from now on. */
  close(): void;
  /** The last reference was given back. */
  release?(): void;
  /** What has to move with the guest, as a plain value; what is in the guest's memory moves by itself. */
  save?(): unknown;
  /**
   * The guest was moved here: takes what another connection saved. It is a file's content and not to be trusted.
   *
   * @param shareAgain - gives all shared memory again, through `shm`, in its old order; without this method that is all that is done
   * @returns `EINVAL` for a state that makes no sense: the guest finds the device gone then
   */
  restore?(state: unknown, shareAgain: () => void): CallResult;
}

/** A connection. */
export class VbusConnection {
  /** What stands behind it. */
  readonly ops: VbusConnectionOps;
  readonly #references: ReferenceCount;
  #closed = false;

  constructor(ops: VbusConnectionOps) {
    this.ops = ops;
    this.#references = new ReferenceCount("the connection", () => ops.release?.());
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Closes it, once: it may be released much later. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.ops.close();
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
