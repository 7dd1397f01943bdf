/**
 * Where tables of buffers in flight are: in memory that the front-end keeps (GET_INFLIGHT_FD, SET_INFLIGHT_FD), or, as some
 * front-ends keep none, in files of one's own.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Inflight I/O tracking"
 * @module
 */
import { type Fd, Mapping, Memfd } from "@virtspace/host-linux";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { PayloadOf } from "../protocol/layout.ts";
import { packedTableBytes } from "./packed-table.ts";
import type { RingFiles } from "./ring-files.ts";
import { splitTableBytes } from "./split-journal.ts";

const MOST_ENTRIES = 32768;
const ALIGNMENT = 64;
/** What a compiler puts behind the message. */
const TAIL_BYTES = 4;

/** Which ring a table is asked for. */
export interface RingKey {
  readonly index: number;
  /** Descriptors. */
  readonly size: number;
  readonly packed: boolean;
  /** Which memory the ring is in, and where: the same after another process has come. */
  readonly place: string;
}

interface Given {
  readonly fd: Fd;
  readonly queues: number;
  readonly queueSize: number;
  readonly mapping: Mapping;
}

/** The tables of a session. Dispose it to let go of them. */
export class RingTables implements Disposable {
  readonly #most: number;
  readonly #files: RingFiles | undefined;
  readonly #unsealed: boolean;
  #given: Given | undefined;

  /** @param most - queues of the device */
  constructor(most: number, files: RingFiles | undefined, unsealed: boolean) {
    this.#most = most;
    this.#files = files;
    this.#unsealed = unsealed;
  }

  /** Makes tables for the front-end to keep. @throws {@link VhostUserError} `bad-payload` */
  make({ queues, queueSize, tail }: PayloadOf<"inflight">): PayloadOf<"inflight"> & { readonly fds: readonly Fd[] } {
    this.#requireSane(queues, queueSize, tail);
    const mmapSize = Math.max(queues, 1) * bytesOf(queueSize, true);
    const fd = Memfd.create(mmapSize, "in flight");
    this.#keep({ fd, queues, queueSize, mapping: new Mapping(fd, { size: mmapSize }) });
    return { mmapSize, mmapOffset: 0, queues, queueSize, tail, fds: [fd] };
  }

  /**
   * Takes tables that the front-end kept.
   *
   * @param fd - stays the caller's
   * @throws {@link VhostUserError} `bad-payload`
   */
  take({ queues, queueSize, mmapSize, mmapOffset, tail }: PayloadOf<"inflight">, fd: Fd): undefined {
    this.#requireSane(queues, queueSize, tail);
    const most = Math.max(queues, 1) * bytesOf(queueSize, true);
    // Others make the smaller one of the two layouts where it is known to be that.
    if (!Number.isSafeInteger(mmapSize + mmapOffset) || mmapSize < Math.max(queues, 1) * bytesOf(queueSize, false))
      throw new VhostUserError("bad-payload", "a table of buffers in flight that is too small");
    let mapping: Mapping;
    try {
      mapping = new Mapping(fd, { size: Math.min(mmapSize, most), offset: mmapOffset, unsealed: this.#unsealed });
    } catch (cause) {
      throw new VhostUserError("bad-payload", `a table of buffers in flight can't be mapped: ${(cause as Error).message}`, { cause });
    }
    this.#keep({ fd: fd.duplicate(), queues, queueSize, mapping });
  }

  #requireSane(queues: number, queueSize: number, tail: Uint8Array): void {
    if (queues > this.#most || queueSize > MOST_ENTRIES || tail.length > TAIL_BYTES) {
      throw new VhostUserError("bad-payload", `no more than ${this.#most} queues can have buffers in flight`);
    }
  }

  #keep(given: Given): void {
    this.#letGo();
    this.#given = given;
  }

  #letGo(): void {
    this.#given?.mapping[Symbol.dispose]();
    this.#given?.fd[Symbol.dispose]();
    this.#given = undefined;
  }

  /** The table of a ring; undefined where none is kept. */
  table(key: RingKey): DataView | undefined {
    return this.#inGiven(key) ?? this.#files?.table(key, (key.packed ? packedTableBytes : splitTableBytes)(key.size));
  }

  #inGiven({ index, size, packed }: RingKey): DataView | undefined {
    if (this.#given === undefined) return undefined;
    const { queues, queueSize, mapping } = this.#given;
    const each = bytesOf(queueSize, packed);
    if (index >= queues || size > queueSize || (index + 1) * each > mapping.size) return undefined;
    return new DataView(mapping.bytes.buffer, mapping.bytes.byteOffset + index * each, each);
  }

  /** All rings begin anew: what is written of them is void. */
  reset(): void {
    this.#given?.mapping.bytes.fill(0);
    this.#files?.clear();
  }

  /** The front-end was told where a ring stands. */
  told(index: number): void {
    this.#files?.told(index);
  }

  /** Idempotent. Files of rings that ran stay: who comes after goes on with them. */
  [Symbol.dispose](): void {
    this.#letGo();
    this.#files?.[Symbol.dispose]();
  }
}

const bytesOf = (queueSize: number, packed: boolean): number =>
  Math.ceil((packed ? packedTableBytes : splitTableBytes)(queueSize) / ALIGNMENT) * ALIGNMENT;
