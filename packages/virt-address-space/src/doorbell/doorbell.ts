/** Doorbells: a write to an address that rings a notifier instead of reaching a handler (KVM's ioeventfd). @module */
import type { GuestAddress } from "../address/addresses.ts";
import type { Notifier } from "../notifier/notifier.ts";

/** Asks for a doorbell. Over RAM it never rings: no hypervisor sees those writes. */
export interface DoorbellSpec {
  /** The first address of the write that rings. */
  readonly address: GuestAddress;
  /** Bytes of the write that rings: 1, 2, 4 or 8; 0 is any length. Copies write 4 at the most where no handler takes 8. */
  readonly length: 0 | 1 | 2 | 4 | 8;
  /** Rings only when this value is written; not with length 0. */
  readonly datamatch?: number | bigint;
  /** What is signalled. */
  readonly notifier: Notifier;
}

/**
 * A doorbell of a space. It rings on writes that would reach an I/O window, a ROM or a hole; RAM has no doorbells, since
 * no hypervisor sees those writes.
 *
 * @see KVM_IOEVENTFD, Documentation/virt/kvm/api.rst
 */
export interface Doorbell extends Disposable {
  /** A number that every holder of the space knows it by. */
  readonly id: number;
  /** The first address of the write that rings. */
  readonly address: GuestAddress;
  /** Bytes of the write that rings; 0 is any length. */
  readonly length: 0 | 1 | 2 | 4 | 8;
  /** The only value that rings; undefined where all do. */
  readonly datamatch: bigint | undefined;
  /** What is signalled. */
  readonly notifier: Notifier;
}
