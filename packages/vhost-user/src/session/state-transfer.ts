/**
 * A device's own state on its way to, or from, another back-end, through a pipe of the front-end's. The peer decides how long that
 * takes, and whether it ever ends: nobody waits for it but who asked.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Migrating back-end state"
 * @module
 */
import { constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { Fd, type Poller, type Watch } from "@virtspace/host-linux";
import type { VirtioDevice } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { PayloadOf } from "../protocol/layout.ts";

const SAVE = 0;
const LOAD = 1;
/** The device is stopped: the one phase that there is. */
const STOPPED = 0;
const MOST_BYTES = 16 * 1024 * 1024;
const CHUNK_BYTES = 65_536;
/** Chunks of one turn of the event loop. */
const BUDGET = 16;

/** One transfer, from SET_DEVICE_STATE_FD to CHECK_DEVICE_STATE. Dispose it to end it, done or not. */
export class StateTransfer implements Disposable {
  readonly #pipe: Fd;
  readonly #watch: Watch;
  readonly #done = Promise.withResolvers<boolean>();
  #open = true;

  /**
   * Begins.
   *
   * @param fd - a pipe's end; stays the caller's
   * @throws {@link VhostUserError} `bad-payload`, `bad-fds`
   */
  constructor({ direction, phase }: PayloadOf<"transfer">, fd: Fd, device: VirtioDevice, poller: Poller) {
    if ((direction !== SAVE && direction !== LOAD) || phase !== STOPPED) {
      throw new VhostUserError("bad-payload", `a transfer in direction ${direction} and phase ${phase}: there is none such`);
    }
    const move = direction === SAVE ? writing(device) : reading(device);
    this.#pipe = openPipe(fd, direction);
    try {
      this.#watch = poller.watch(this.#pipe, direction === SAVE ? { writable: true } : { readable: true }, () => this.#go(move));
    } catch (error) {
      this.#pipe[Symbol.dispose]();
      throw error;
    }
  }

  #go(move: (pipe: number) => boolean): void {
    try {
      for (let left = BUDGET; left > 0; left--) if (move(this.#pipe.number)) return this.#end(true);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") this.#end(false);
    }
  }

  #end(worked: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch[Symbol.dispose]();
    this.#pipe[Symbol.dispose]();
    this.#done.resolve(worked);
  }

  /** Resolves to whether it worked. */
  check(): Promise<boolean> {
    return this.#done.promise;
  }

  [Symbol.dispose](): void {
    this.#end(false);
  }
}

/**
 * Opens a pipe anew: the peer has the one that it gave, and could make that one block.
 *
 * @throws {@link VhostUserError} `bad-fds`
 */
function openPipe(fd: Fd, direction: number): Fd {
  if (!fstatSync(fd.number).isFIFO()) throw new VhostUserError("bad-fds", "a device's state goes through a pipe, and this is none");
  const flags = (direction === SAVE ? constants.O_WRONLY : constants.O_RDONLY) | constants.O_NONBLOCK;
  try {
    return new Fd(openSync(`/proc/self/fd/${fd.number}`, flags));
  } catch (cause) {
    throw new VhostUserError("bad-fds", `the pipe of a device's state can't be used: ${(cause as Error).message}`, { cause });
  }
}

function writing(device: VirtioDevice): (pipe: number) => boolean {
  const bytes = new TextEncoder().encode(JSON.stringify({ name: device.name, state: device.save?.() ?? null }));
  let at = 0;
  return (pipe) => {
    at += writeSync(pipe, bytes, at, Math.min(bytes.length - at, CHUNK_BYTES));
    return at === bytes.length;
  };
}

function reading(device: VirtioDevice): (pipe: number) => boolean {
  const chunks: Buffer[] = [];
  let length = 0;
  return (pipe) => {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const count = readSync(pipe, chunk);
    if (count > 0) {
      chunks.push(chunk.subarray(0, count));
      length += count;
      if (length > MOST_BYTES) throw new VhostUserError("state-failed", `more than ${MOST_BYTES} bytes of state`);
      return false;
    }
    const { state } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { state: unknown };
    if (state !== null) device.restore?.(state);
    return true;
  };
}
