/** What this package asks of devices beyond what all virtio devices have; each of it may be left out. @module */
import type { VirtioDevice } from "@virtspace/virtio";

/** A device as a front-end reaches it. */
export interface VhostUserDevice extends VirtioDevice {
  /** How many queues the front-end may ask for, in its own units (pairs for a network card); all queues unless given. */
  readonly queueLimit?: number;
  /** Tells the network where an address is (SEND_RARP). */
  sendRarp?(mac: number): void;
  /** Takes the largest payload of a frame (NET_SET_MTU). @returns whether it can be so */
  setMtu?(mtu: number): boolean;
}
