/** What a front-end says of a ring, piece by piece, until it can run. @module */
import { EventFd, type Fd, isEventFd } from "@virtspace/host-linux";
import type { QueueState } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { PayloadOf } from "../protocol/layout.ts";

/** Addresses of a ring, the peer's own. */
export type RingAddresses = Pick<PayloadOf<"vringAddress">, "descriptors" | "available" | "used">;

/** A ring's set-up. Dispose it to close what it was given. */
export class Vring implements Disposable {
  /** Descriptors. */
  size = 0;
  /** Where it stands: split, an index; packed, two with their wrap counters. Undefined until it ran or somebody said. */
  base: number | undefined;
  /** The same as the front-end knows it: what it said, or was told. */
  told: number | undefined;
  /** What the device had not given back when the ring was ended: it is processed again when the ring goes on. */
  inFlight: QueueState["inFlight"] = [];
  /** Whether it ran in this session. */
  ran = false;
  /** Whether the front-end moved it after that: then what was written down of it is void. */
  moved = false;
  addresses: RingAddresses | undefined;
  enabled = false;
  /** Whether a kick's descriptor, or its absence, was told: then the ring is started. */
  started = false;
  /** Notifications by the driver. */
  kick: EventFd | undefined;
  /** Interrupts. */
  call: EventFd | undefined;
  /** Told when the driver broke the ring. */
  error: EventFd | undefined;

  /**
   * Takes a descriptor in place of the one before, which is closed.
   *
   * @param fd - stays the caller's
   * @param closing - called before the one before is closed
   * @throws {@link VhostUserError} `bad-fds` where it is no eventfd: others can't be waited for, block, or fail when they are read
   */
  take(which: "kick" | "call" | "error", fd: Fd | undefined, closing?: () => void): void {
    if (fd !== undefined) requireEventFd(`a ring's ${which}`, fd);
    const taken = fd === undefined ? undefined : EventFd.adopt(fd.duplicate());
    closing?.();
    this[which]?.[Symbol.dispose]();
    this[which] = taken;
  }

  [Symbol.dispose](): void {
    for (const which of ["kick", "call", "error"] as const) this.take(which, undefined);
  }
}

/** @throws {@link VhostUserError} `bad-fds` */
export function requireEventFd(what: string, fd: Fd): void {
  if (!isEventFd(fd)) throw new VhostUserError("bad-fds", `${what} is an eventfd, and this is none`);
}
