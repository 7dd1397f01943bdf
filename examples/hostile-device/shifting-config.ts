/** A configuration that becomes another one while its driver reads it. */
import { ConfigBytes } from "@virtspace/virtio";

/** A number of 64 bits at offset 0. A driver that reads half of it has the other half of the next number. */
export class ShiftingConfig extends ConfigBytes {
  /** Tells the driver: the device's `configChanged`, once there is a driver to tell. */
  changed: () => void = () => {};
  readonly #values: Iterator<bigint>;

  /** @param values - one after the other; the last one stays */
  constructor(values: Iterable<bigint>) {
    super(8);
    this.#values = values[Symbol.iterator]();
    this.#next();
  }

  override read(offset: number, size: 1 | 2 | 4): number {
    const value = super.read(offset, size);
    if (this.#next()) this.changed();
    return value;
  }

  #next(): boolean {
    const { value, done } = this.#values.next();
    if (done === true) return false;
    this.data.setBigUint64(0, value, true);
    return true;
  }
}
