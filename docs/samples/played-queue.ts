/** The device's side of a split ring, played by a test: honest where the test wants it to be. */
// #region played
import { gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import type { MmioQueueState } from "@virtspace/virtio";

/** A queue whose device is the test. */
export class PlayedQueue {
  readonly #space: VirtAddressSpace;
  readonly #rings: MmioQueueState;
  #taken = 0;
  #shown = 0;

  /** @param rings - where the driver put them: a queue of `VirtioMmio.save()` */
  constructor(space: VirtAddressSpace, rings: MmioQueueState) {
    this.#space = space;
    this.#rings = rings;
  }

  /** Takes the buffer that the driver offered next. */
  take(): { readonly id: number; readonly address: number; readonly length: number } | undefined {
    const { driver, descriptors, size } = this.#rings;
    if (this.#space.atomicLoad(gpa(driver + 2), 16) === this.#taken) return undefined;
    const id = this.#space.readU16(gpa(driver + 4 + 2 * (this.#taken++ % size))) ?? 0;
    const at = descriptors + 16 * id;
    return { id, address: this.#space.readU64(gpa(at)) ?? 0, length: this.#space.readU32(gpa(at + 8)) ?? 0 };
  }

  /** Gives any buffer back, with any length. */
  giveBack(id: number, written: number): void {
    const at = this.#rings.device + 4 + 8 * (this.#shown % this.#rings.size);
    this.#space.writeU32(gpa(at), id);
    this.#space.writeU32(gpa(at + 4), written);
    this.showIndex(this.#shown + 1);
  }

  /** Shows any index. */
  showIndex(index: number): void {
    this.#shown = index & 0xffff;
    this.#space.atomicStore(gpa(this.#rings.device + 2), 16, this.#shown);
  }
}
// #endregion played
