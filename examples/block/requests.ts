/**
 * The requests of a driver, each done at once. A driver is not to be trusted: whatever it asks for, it gets a status, and nothing
 * outside its disk and its buffer is touched.
 */
import type { Chain } from "@virtspace/virtio";
import { type FileDisk, SECTOR } from "./file-disk.ts";
import { HEAD_BYTES, ID_BYTES, MOST_RUN_SECTORS, MOST_RUNS, RUN_BYTES, readU64, Status, Type, UNMAP } from "./format.ts";

/** What requests are done with. */
export interface RequestsOptions {
  readonly disk: FileDisk;
  /** The disk's name. */
  readonly id: string;
  /** Whether the driver flushes what is to stay. If not, each write is there when its status is. */
  readonly driverFlushes: boolean;
  /** The file could not be read, or written. Told once: a guest must not fill a log. */
  readonly onError: (error: unknown) => void;
}

/** Does requests. */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #head = new DataView(new ArrayBuffer(HEAD_BYTES));
  readonly #run = new DataView(new ArrayBuffer(RUN_BYTES));
  /** Data on its way: a request may be larger, and goes through in pieces. */
  readonly #bytes = new Uint8Array(64 * 1024);
  #failed = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Does what a buffer asks for. */
  do(chain: Chain): void {
    // The status is the last byte that the driver gave to be written, wherever that lies.
    const statusAt = chain.writableBytes - 1;
    if (statusAt < 0) return;
    const status = this.#try(chain, statusAt);
    // What the driver is told was written was written: zeros, where there is nothing better.
    if (status !== Status.Ok) chain.fill((bytes) => bytes.fill(0));
    chain.copyTo(statusAt, Uint8Array.of(status));
  }

  #try(chain: Chain, room: number): Status {
    try {
      return this.#dispatch(chain, room);
    } catch (error) {
      if (!this.#failed) this.#options.onError(error);
      this.#failed = true;
      return Status.IoError;
    }
  }

  #dispatch(chain: Chain, room: number): Status {
    const head = this.#head;
    if (chain.copyFrom(0, new Uint8Array(head.buffer)) !== 0) return Status.IoError;
    const type = head.getUint32(0, true);
    const sector = readU64(head, 8);
    switch (type) {
      case Type.In:
        return this.#read(chain, sector, room);
      case Type.Out:
        return this.#write(chain, sector);
      case Type.Flush:
        this.#options.disk.flush();
        return Status.Ok;
      case Type.GetId:
        return this.#getId(chain, room);
      case Type.Discard:
      case Type.WriteZeroes:
        return this.#clear(chain, type);
      default:
        return Status.Unsupported;
    }
  }

  #read(chain: Chain, sector: number, length: number): Status {
    const { disk } = this.#options;
    if (length % SECTOR !== 0 || !this.#isOnDisk(sector, length / SECTOR)) return Status.IoError;
    for (let done = 0; done < length; ) {
      const bytes = this.#bytes.subarray(0, length - done);
      disk.read(sector * SECTOR + done, bytes);
      if (chain.copyTo(done, bytes) !== 0) return Status.IoError;
      done += bytes.length;
    }
    return Status.Ok;
  }

  #write(chain: Chain, sector: number): Status {
    const { disk } = this.#options;
    const length = chain.readableBytes - HEAD_BYTES;
    if (disk.readOnly || length % SECTOR !== 0 || !this.#isOnDisk(sector, length / SECTOR)) return Status.IoError;
    for (let done = 0; done < length; ) {
      const bytes = this.#bytes.subarray(0, length - done);
      if (chain.copyFrom(HEAD_BYTES + done, bytes) !== 0) return Status.IoError;
      disk.write(sector * SECTOR + done, bytes);
      done += bytes.length;
    }
    return this.#wrote();
  }

  #getId(chain: Chain, room: number): Status {
    const id = new Uint8Array(Math.min(room, ID_BYTES));
    new TextEncoder().encodeInto(this.#options.id, id);
    return chain.copyTo(0, id) === 0 ? Status.Ok : Status.IoError;
  }

  /** DISCARD and WRITE_ZEROES: all of the runs are checked before the first is done. */
  #clear(chain: Chain, type: number): Status {
    const { disk } = this.#options;
    const count = (chain.readableBytes - HEAD_BYTES) / RUN_BYTES;
    if (disk.readOnly || !Number.isInteger(count) || count < 1 || count > MOST_RUNS) return Status.IoError;
    const runs: { readonly at: number; readonly length: number; readonly unmap: boolean }[] = [];
    for (let i = 0; i < count; i++) {
      const run = this.#run;
      if (chain.copyFrom(HEAD_BYTES + i * RUN_BYTES, new Uint8Array(run.buffer)) !== 0) return Status.IoError;
      const sector = readU64(run, 0);
      const sectors = run.getUint32(8, true);
      const flags = run.getUint32(12, true);
      if ((flags & ~(type === Type.WriteZeroes ? UNMAP : 0)) !== 0) return Status.Unsupported;
      if (sectors > MOST_RUN_SECTORS || !this.#isOnDisk(sector, sectors)) return Status.IoError;
      if (sectors > 0) runs.push({ at: sector * SECTOR, length: sectors * SECTOR, unmap: flags === UNMAP });
    }
    for (const { at, length, unmap } of runs) {
      if (type === Type.Discard) disk.discard(at, length);
      else disk.zero(at, length, unmap);
    }
    return this.#wrote();
  }

  #wrote(): Status {
    if (!this.#options.driverFlushes) this.#options.disk.flush();
    return Status.Ok;
  }

  #isOnDisk(sector: number, count: number): boolean {
    return sector + count <= this.#options.disk.sectors;
  }
}
