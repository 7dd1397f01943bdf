/** A wire to a machine's interrupt controller. @module */
import type { Notifier } from "@virtspace/virt-address-space";

/**
 * A line. Devices that share one each have their own handle: it is up while any of them holds it up.
 *
 * Setting it never blocks and never calls back, so a device may do so from within an access of the guest.
 */
export interface InterruptLine extends Disposable {
  /** Its number. */
  readonly irq: number;
  /** Holds the line up, or lets it down. Interrupts that are level-triggered stay until it is let down. */
  setLevel(up: boolean): void;
  /** Up and down: one edge. While the interrupt waits for the guest, further edges are the same one. */
  pulse(): void;
  /** Gives a pulse whenever the notifier is signalled, without a trip through this thread where the engine can (irqfd). */
  follow(notifier: Notifier): Disposable;
}
