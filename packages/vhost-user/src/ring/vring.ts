/** What a front-end says of a ring, piece by piece, until it can run. @module */
import { EventFd, type Fd } from "@virtspace/host-linux";
import type { PayloadOf } from "../protocol/layout.ts";

/** Addresses of a ring, the peer's own. */
export type RingAddresses = Pick<PayloadOf<"vringAddress">, "descriptors" | "available" | "used">;

/** A ring's set-up. Dispose it to close what it was given. */
export class Vring implements Disposable {
  /** Descriptors. */
  size = 0;
  /** The front-end's word on where it stands: split, an index; packed, two with their wrap counters. */
  base = 0;
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

  /** Takes a descriptor in place of the one before, which is closed. */
  take(which: "kick" | "call" | "error", fd: Fd | undefined): void {
    this[which]?.[Symbol.dispose]();
    this[which] = fd === undefined ? undefined : EventFd.adopt(fd);
  }

  [Symbol.dispose](): void {
    for (const which of ["kick", "call", "error"] as const) this.take(which, undefined);
  }
}
