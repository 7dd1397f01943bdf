/**
 * The driver under test, on conformance's rings: reads numbers from an entropy device, and believes nothing of what that says. Yours
 * takes its place.
 */
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { type GuestAddress, gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { DeviceStatus, FeatureSet, Register, VirtioFeature } from "@virtspace/virtio";

const RING = gpa(0x1_0000);
const BUFFER = gpa(0x2_0000);

/** What a device did wrong. After it the driver wants to be started again. */
export type Fault = "too-long" | "unknown-buffer" | "no-answer" | "needs-reset";

/** A driver of entropy devices. */
export class EntropyDriver {
  readonly #space: VirtAddressSpace;
  readonly #registers: MmioDriver;
  #requests: RingDriver | undefined;

  /** @param base - where the device's registers are */
  constructor(space: VirtAddressSpace, base: GuestAddress) {
    this.#space = space;
    this.#registers = new MmioDriver(space, base);
  }

  /** Resets the device, whatever it is doing, and begins anew. @param layout - `RingPacked`, or nothing */
  start(...layout: readonly number[]): void {
    this.#registers.negotiate(FeatureSet.of(VirtioFeature.Version1, ...layout));
    this.#requests = this.#registers.startQueue(0, RING);
    this.#registers.ready();
  }

  /** Reads some bytes: as many as the device has. @param patience - milliseconds */
  async read(length: number, patience = 100): Promise<Uint8Array | Fault> {
    const requests = this.#requests as RingDriver;
    const id = requests.add([], [{ address: BUFFER, length }]);
    requests.publish();
    this.#registers.notify(0);
    for (const end = performance.now() + patience; performance.now() < end; ) {
      if ((this.#registers.read(Register.Status) & DeviceStatus.NeedsReset) !== 0) return "needs-reset";
      try {
        const used = requests.used();
        if (used !== undefined) return used.id === id ? this.#take(length, used.written) : "unknown-buffer";
      } catch {
        // The ring's driver knows what the device has: this was not of that.
        return "unknown-buffer";
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    // The device has the buffer still, and may write to it: nobody else may have that memory before a reset.
    return "no-answer";
  }

  #take(length: number, written: number): Uint8Array | Fault {
    if (written > length) return "too-long";
    const bytes = new Uint8Array(written);
    this.#space.copyFrom(BUFFER, bytes);
    return bytes;
  }
}

/**
 * Reads 64 bits of a configuration in two halves of the same number.
 *
 * @param tries - how often the device may change it meanwhile
 * @returns undefined where it never stands still
 */
export function readConfig(space: VirtAddressSpace, base: GuestAddress, tries = 16): bigint | undefined {
  const read = (register: number): number => space.readU32(gpa(base + register)) ?? 0;
  for (let left = tries; left > 0; left--) {
    const before = read(Register.ConfigGeneration);
    const low = read(Register.Config);
    const high = read(Register.Config + 4);
    if (read(Register.ConfigGeneration) === before) return (BigInt(high) << 32n) | BigInt(low);
  }
  return undefined;
}
