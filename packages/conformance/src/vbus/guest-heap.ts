/** Memory that a driver in a guest takes for itself: never given back. @module */
import { type GuestAddress, gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";

/** A run of guest addresses, handed out from the front. */
export class GuestHeap {
  /** The guest's memory. */
  readonly space: VirtAddressSpace;
  readonly #end: number;
  #next: number;

  /** @param start - where it begins, a multiple of 8 */
  constructor(space: VirtAddressSpace, start: number, size: number) {
    this.space = space;
    this.#next = start;
    this.#end = start + size;
  }

  /** Takes a piece, aligned to 8 bytes and full of zeros. */
  take(size: number): GuestAddress {
    const at = this.#next;
    this.#next = Math.ceil((at + size) / 8) * 8;
    if (this.#next > this.#end) throw new Error(`the guest's heap has no ${size} bytes left: give it more`);
    this.space.fill(gpa(at), size, 0);
    return gpa(at);
  }
}
