/** A device's configuration space. @module */

/** Bytes that the driver reads and, here and there, writes. Offsets come from the driver: any of them, of any size. */
export interface DeviceConfig {
  /** Bytes. */
  readonly size: number;
  /** Reads an unsigned little-endian number; what lies outside reads as 0. */
  read(offset: number, size: 1 | 2 | 4): number;
  /** Writes one; what is not for the driver to write is passed over. */
  write(offset: number, size: 1 | 2 | 4, value: number): void;
  /** Takes the bytes that a saved device had, as many as there are. */
  load(bytes: Uint8Array): void;
}

/** A run of bytes that the driver may write. */
export interface WritableField {
  /** Bytes from the start. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** A configuration space in plain bytes. */
export class ConfigBytes implements DeviceConfig {
  readonly size: number;
  /** The bytes as the device sets them; then it calls `configChanged`. */
  readonly data: DataView;
  readonly #writable: readonly WritableField[];
  readonly #onWrite: (offset: number, size: number) => void;

  /**
   * @param size - bytes
   * @param writable - what the driver may write
   * @param onWrite - told after it did
   */
  constructor(size: number, writable: readonly WritableField[] = [], onWrite: (offset: number, size: number) => void = () => {}) {
    this.size = size;
    this.data = new DataView(new ArrayBuffer(size));
    this.#writable = writable;
    this.#onWrite = onWrite;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    if (offset < 0 || offset + size > this.size) return 0;
    if (size === 4) return this.data.getUint32(offset, true);
    return size === 2 ? this.data.getUint16(offset, true) : this.data.getUint8(offset);
  }

  write(offset: number, size: 1 | 2 | 4, value: number): void {
    const allowed = this.#writable.some((field) => offset >= field.offset && offset + size <= field.offset + field.size);
    if (!allowed) return;
    if (size === 4) this.data.setUint32(offset, value, true);
    else if (size === 2) this.data.setUint16(offset, value, true);
    else this.data.setUint8(offset, value);
    this.#onWrite(offset, size);
  }

  load(bytes: Uint8Array): void {
    new Uint8Array(this.data.buffer).set(bytes.subarray(0, this.size));
  }
}
