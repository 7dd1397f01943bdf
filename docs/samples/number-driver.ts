/** The driver that "Test a driver against a hostile device" tests: it has numbers from an entropy device, and believes nothing else of it. */
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { type GuestAddress, gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";

const BUFFER = gpa(0x2_0000);
const ROOM = 16;

/** A driver. */
export class NumberDriver {
  readonly #space: VirtAddressSpace;
  readonly #registers: MmioDriver;
  readonly #ring: RingDriver;
  /** Why it has given the device up. */
  broken: string | undefined;

  constructor(space: VirtAddressSpace, registers: GuestAddress) {
    this.#space = space;
    this.#registers = new MmioDriver(space, registers);
    this.#registers.negotiate(FeatureSet.of(VirtioFeature.Version1));
    this.#ring = this.#registers.startQueue(0, gpa(0x1_0000));
    this.#registers.ready();
  }

  /** Asks for numbers. */
  ask(): void {
    this.#space.fill(BUFFER, ROOM);
    this.#ring.add([], [{ address: BUFFER, length: ROOM }]);
    this.#ring.publish();
    this.#registers.notify(0);
  }

  // #region careful
  /** @returns the numbers, where they have come */
  numbers(): Uint8Array | undefined {
    if (this.broken !== undefined) return undefined;
    try {
      const used = this.#ring.used(); // throws for a buffer that the device did not have
      if (used === undefined) return undefined;
      if (used.written > ROOM) throw new Error(`the device says that it wrote ${used.written} bytes of ${ROOM}`);
      const copy = new Uint8Array(used.written); // a copy: the device can write there at any time
      this.#space.copyFrom(BUFFER, copy);
      return copy;
    } catch (error) {
      this.broken = (error as Error).message;
      return undefined;
    }
  }
  // #endregion careful
}
