/**
 * A device's own state on its way to, or from, another back-end, through a pipe of the front-end's.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Migrating back-end state"
 * @module
 */
import { createReadStream, write } from "node:fs";
import { promisify } from "node:util";
import type { Fd } from "@virtspace/host-linux";
import type { VirtioDevice } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { PayloadOf } from "../protocol/layout.ts";

const SAVE = 0;
const LOAD = 1;
/** The device is stopped: the one phase that there is. */
const STOPPED = 0;
const MOST_BYTES = 16 * 1024 * 1024;
const writeSome = promisify(write);

/** One transfer, from SET_DEVICE_STATE_FD to CHECK_DEVICE_STATE. */
export class StateTransfer {
  readonly #done: Promise<void>;

  /**
   * Begins.
   *
   * @param fd - the transfer's own from now on; closed when it is over
   * @throws {@link VhostUserError} `bad-payload`
   */
  constructor({ direction, phase }: PayloadOf<"transfer">, fd: Fd, device: VirtioDevice) {
    if ((direction !== SAVE && direction !== LOAD) || phase !== STOPPED) {
      throw new VhostUserError("bad-payload", `a transfer in direction ${direction} and phase ${phase}: there is none such`);
    }
    this.#done = direction === SAVE ? save(fd, device) : load(fd, device);
    // Asked for later; until then nobody listens.
    this.#done.catch(() => {});
  }

  /** Resolves to whether it worked. */
  async check(): Promise<boolean> {
    try {
      await this.#done;
      return true;
    } catch {
      return false;
    }
  }
}

async function save(fd: Fd, device: VirtioDevice): Promise<void> {
  using pipe = fd;
  const bytes = new TextEncoder().encode(JSON.stringify({ name: device.name, state: device.save?.() ?? null }));
  for (let at = 0; at < bytes.length; ) at += (await writeSome(pipe.number, bytes, at)).bytesWritten;
}

async function load(fd: Fd, device: VirtioDevice): Promise<void> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of createReadStream("", { fd: fd.release() })) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > MOST_BYTES) throw new VhostUserError("state-failed", `more than ${MOST_BYTES} bytes of state`);
  }
  const { state } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { state: unknown };
  if (state !== null) device.restore?.(state);
}
