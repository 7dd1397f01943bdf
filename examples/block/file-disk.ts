/** A disk in a file: sectors, and what can be done with them. It knows nothing of virtio, and believes what it is asked for. */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { punchHole } from "@virtspace/host-linux";

/** Bytes of a sector, everywhere in virtio. */
export const SECTOR = 512;

const ZEROS = new Uint8Array(64 * 1024);

/** A disk. Dispose it to close the file. */
export class FileDisk implements Disposable {
  readonly readOnly: boolean;
  /** How many it has. Bytes of the file behind the last whole one are left alone. */
  readonly sectors: number;
  readonly #fd: number;

  constructor(path: string, readOnly: boolean) {
    this.readOnly = readOnly;
    this.#fd = openSync(path, readOnly ? "r" : "r+");
    this.sectors = Math.floor(fstatSync(this.#fd).size / SECTOR);
  }

  /** Reads. @param at - bytes from the start */
  read(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#fd, bytes, done, bytes.length - done, at + done);
      if (read === 0) throw new Error(`the file ends at ${at + done}: somebody has made it shorter`);
      done += read;
    }
  }

  /** Writes. It is sure to be there after the next {@link flush}. */
  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done, at + done);
  }

  /** Returns when all that was written is on the disk that the file lies on. */
  flush(): void {
    fdatasyncSync(this.#fd);
  }

  /** Nobody needs these bytes any more. */
  discard(at: number, length: number): void {
    punchHole(this.#fd, at, length);
  }

  /** Makes bytes zeros. @param mayGiveBack - whether the file may have a hole there */
  zero(at: number, length: number, mayGiveBack: boolean): void {
    if (mayGiveBack && punchHole(this.#fd, at, length)) return;
    for (let done = 0; done < length; done += ZEROS.length) this.write(at + done, ZEROS.subarray(0, length - done));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
