/** An interrupt that is a message, as PCI devices send them. @module */
import type { Notifier } from "@virtspace/virt-address-space";

/** A message: where it goes, and what it says, are settled. */
export interface MessageInterrupt extends Disposable {
  /** Sends it. */
  send(): void;
  /** Sends it whenever the notifier is signalled, without a trip through this thread where the engine can (irqfd). */
  follow(notifier: Notifier): Disposable;
}
