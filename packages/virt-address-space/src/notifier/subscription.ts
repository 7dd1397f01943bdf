/** What notifiers of all kinds do with their one subscriber. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";

/** A notifier's subscriber; disposing it ends this subscription and never a later one. */
export interface Subscription extends Disposable {
  readonly callback: (count: number) => void;
}

/** Throws `busy` where a notifier has a subscriber already. */
export function requireFree(subscription: Subscription | undefined): void {
  if (subscription === undefined) return;
  throw new VirtAddressSpaceError("busy", "this notifier has a subscriber: dispose that one first, or use a notifier of your own");
}

/**
 * Calls a subscriber. What it throws is its author's mistake and is heard of as an unhandled rejection; the subscription
 * goes on.
 */
export function callSubscriber({ callback }: Subscription, count: number): void {
  try {
    callback(count);
  } catch (cause) {
    void Promise.reject(cause);
  }
}

/** The most that a counter holds: further signals coalesce into it. */
export const MOST_SIGNALS = 0x7fff_ffff;

/** Throws `invalid-argument` for what is no count of signals. */
export function requireCount(count: number): void {
  if (Number.isSafeInteger(count) && count > 0) return;
  throw new VirtAddressSpaceError("invalid-argument", `${count} is no count of signals: give a whole number from 1`, { count });
}
