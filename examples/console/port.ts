/** One port: a stream of the host on one side, two queues of the guest on the other. Neither side can make the other keep its bytes. */
import type { Duplex } from "node:stream";
import type { Chain, DefinedQueue } from "@virtspace/virtio";

/** What a port is joined to. A terminal's stream has a size, and an event `resize`, as `process.stdout` has. */
export type PortStream = Duplex & { readonly columns?: number; readonly rows?: number };

/** A port. */
export interface PortOptions {
  /** Where what the guest writes goes, and what it reads comes from. The device destroys it when it leaves its machine. */
  readonly stream: PortStream;
  /** What the guest calls it. */
  readonly name?: string;
  /** Whether it is a console (Linux: /dev/hvc0) and not a plain port (/dev/vport0p1). */
  readonly console?: boolean;
}

/** Bytes that go from guest to stream at once. */
const PIECE = 4096;

/** A port of a running device. */
export class Port {
  readonly options: PortOptions;
  /** Whether the guest has it open. What is for a guest that hasn't waits in the stream. */
  #opened = false;
  /** Bytes of the buffer under way that the stream has already. */
  #passed = 0;
  #receive: DefinedQueue | undefined;

  constructor(options: PortOptions) {
    this.options = options;
  }

  /** Serves the guest's queues. @returns what ends that */
  serve(receive: DefinedQueue, transmit: DefinedQueue): () => void {
    const { stream } = this.options;
    this.#opened = false;
    this.#passed = 0;
    this.#receive = receive;
    receive.serve((chain) => this.#toGuest(chain));
    transmit.serve((chain) => this.#fromGuest(chain));
    const more = (): void => receive.resume();
    const room = (): void => transmit.resume();
    stream.on("readable", more).on("drain", room).on("close", room);
    return () => void stream.off("readable", more).off("drain", room).off("close", room);
  }

  /** The guest has opened it, or closed it. */
  setOpened(opened: boolean): void {
    this.#opened = opened;
    this.#receive?.resume();
  }

  /** Fills a buffer with what is there; keeps it, by answering false, until something is. */
  #toGuest(chain: Chain): boolean {
    const { stream } = this.options;
    if (!this.#opened || stream.readableLength === 0) return false;
    const bytes = stream.read(Math.min(chain.writableBytes, stream.readableLength)) as Uint8Array | null;
    if (bytes !== null) chain.copyTo(0, bytes);
    return true;
  }

  /** Passes a buffer on, piece by piece. Where the stream is full it goes on later, with the same buffer. */
  #fromGuest(chain: Chain): boolean {
    const { stream } = this.options;
    while (this.#passed < chain.readableBytes) {
      if (stream.writable && stream.writableNeedDrain) return false;
      const bytes = new Uint8Array(Math.min(PIECE, chain.readableBytes - this.#passed));
      if (chain.copyFrom(this.#passed, bytes) !== 0) break;
      // What is for a stream that has ended is gone, as with a terminal that was unplugged.
      if (stream.writable) stream.write(bytes);
      this.#passed += bytes.length;
    }
    this.#passed = 0;
    return true;
  }
}
