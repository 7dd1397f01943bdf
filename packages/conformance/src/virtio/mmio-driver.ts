/** The guest's side of virtio over MMIO: brings a device up by its registers, as a kernel does. @module */
import { type GuestAddress, gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { DeviceStatus, FeatureSet, Register, VirtioFeature } from "@virtspace/virtio";
import { PackedDriver } from "./packed-driver.ts";
import type { RingDriver } from "./ring-driver.ts";
import { SplitDriver } from "./split-driver.ts";

const { Acknowledge, Driver, DriverOk, FeaturesOk } = DeviceStatus;

/** A driver of a device behind MMIO registers. */
export class MmioDriver {
  readonly #space: VirtAddressSpace;
  readonly #base: GuestAddress;
  #features: FeatureSet = FeatureSet.none;

  /** @param base - where the registers are */
  constructor(space: VirtAddressSpace, base: GuestAddress) {
    this.#space = space;
    this.#base = base;
  }

  /** What was negotiated. */
  get features(): FeatureSet {
    return this.#features;
  }

  /** Reads a register. */
  read(register: number): number {
    const value = this.#space.readU32(gpa(this.#base + register));
    if (value === undefined) throw new Error(`there is no register 0x${register.toString(16)}`);
    return value;
  }

  /** Writes a register. */
  write(register: number, value: number): void {
    this.#space.writeU32(gpa(this.#base + register), value);
  }

  /** What the device offers. */
  offered(): FeatureSet {
    const words = [0, 1, 2, 3].map((word) => {
      this.write(Register.DeviceFeaturesSel, word);
      return this.read(Register.DeviceFeatures);
    });
    return FeatureSet.fromWords(words);
  }

  /** Resets the device, and settles features: those of `wanted` that are offered. @returns whether the device agreed */
  negotiate(wanted: FeatureSet): boolean {
    this.write(Register.Status, 0);
    this.write(Register.Status, Acknowledge);
    this.write(Register.Status, Acknowledge | Driver);
    this.#features = wanted.and(this.offered());
    for (const word of [0, 1, 2, 3]) {
      this.write(Register.DriverFeaturesSel, word);
      this.write(Register.DriverFeatures, this.#features.word(word));
    }
    this.write(Register.Status, Acknowledge | Driver | FeaturesOk);
    return (this.read(Register.Status) & FeaturesOk) !== 0;
  }

  /** Lays a queue out and makes it live. */
  startQueue(index: number, base: GuestAddress, size?: number): RingDriver {
    this.write(Register.QueueSel, index);
    const place = { base, size: size ?? this.read(Register.QueueSizeMax), features: this.#features };
    const packed = this.#features.has(VirtioFeature.RingPacked);
    const ring = packed ? new PackedDriver(this.#space, place) : new SplitDriver(this.#space, place);
    const { descriptors, driver, device } = ring.config(index);
    this.write(Register.QueueSize, place.size);
    this.#writeAddress(Register.QueueDescLow, descriptors);
    this.#writeAddress(Register.QueueDriverLow, driver);
    this.#writeAddress(Register.QueueDeviceLow, device);
    this.write(Register.QueueReady, 1);
    return ring;
  }

  #writeAddress(low: number, address: number): void {
    this.write(low, address % 2 ** 32);
    this.write(low + 4, Math.floor(address / 2 ** 32));
  }

  /** Says that the driver is ready. */
  ready(): void {
    this.write(Register.Status, Acknowledge | Driver | FeaturesOk | DriverOk);
  }

  /** Notifies the device of a queue. */
  notify(index: number): void {
    this.write(Register.QueueNotify, index);
  }

  /** Takes and acknowledges the pending interrupts. */
  acknowledge(): number {
    const pending = this.read(Register.InterruptStatus);
    this.write(Register.InterruptAck, pending);
    return pending;
  }
}
