/** Makes the doorbells of a space. @module */
import type { GuestAddress } from "../address/addresses.ts";
import type { Doorbell, DoorbellSpec } from "../doorbell/doorbell.ts";
import type { Notifier } from "../notifier/notifier.ts";

/** Removes a doorbell that was disposed. */
export type RemoveDoorbell = (doorbell: Doorbell) => void;

/** A doorbell as its space made it; its number and its removal follow from the commit. */
export class MadeDoorbell implements Doorbell {
  readonly address: GuestAddress;
  readonly length: 0 | 1 | 2 | 4 | 8;
  readonly datamatch: bigint | undefined;
  readonly notifier: Notifier;
  #id = 0;
  #remove: RemoveDoorbell = () => {};

  constructor(spec: DoorbellSpec, datamatch: bigint | undefined) {
    this.address = spec.address;
    this.length = spec.length;
    this.datamatch = datamatch;
    this.notifier = spec.notifier;
  }

  get id(): number {
    return this.#id;
  }

  /** Says under which number all holders know it, and what disposing it does. */
  place(id: number, remove: RemoveDoorbell): this {
    this.#id = id;
    this.#remove = remove;
    return this;
  }

  [Symbol.dispose](): void {
    this.#remove(this);
  }
}
