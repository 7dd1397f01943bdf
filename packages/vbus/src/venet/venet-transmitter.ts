/** Frames that go out: what the guest posts on its ring. @module */
import { canTake, HEADER_BYTES, type NetworkPort, Segmenter } from "@virtspace/network";
import type { VbusHost } from "../host/host.ts";
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import { GuestFrame } from "./guest-frame.ts";
import type { HeaderSource } from "./header-source.ts";
import { SgReader } from "./sg-reader.ts";
import { SgCapability } from "./venet-abi.ts";
import type { VenetCounters, VenetDropReason } from "./venet-counters.ts";

/** What it needs. */
export interface TransmitterParts {
  readonly ring: Ioq;
  readonly memctx: VbusMemctx;
  /** Where headers are; undefined while that is nowhere. */
  readonly headers: () => HeaderSource | undefined;
  readonly port: NetworkPort;
  readonly counters: VenetCounters;
  readonly host: VbusHost;
  /** Bytes of a frame that is no large segment. */
  readonly most: number;
  /** Agreed upon. */
  readonly capabilities: () => number;
  /** After how many frames the guest is told that they went out, 0 for each; those of a batch are told at its end. */
  readonly mitigation: () => number;
  /** Frames in one turn. */
  readonly burst: () => number;
  /** Tells the guest. */
  readonly tell: () => void;
  /** A frame went out: told of its word. Left out where nobody wants to hear it. */
  readonly completed?: ((cookie: bigint) => void) | undefined;
}

/** Sends what a ring holds. */
export class VenetTransmitter implements Disposable {
  readonly #parts: TransmitterParts;
  readonly #iterator: IoqIterator;
  readonly #reader: SgReader;
  readonly #frame = new GuestFrame();
  readonly #segmenter = new Segmenter();
  /** What holds for a batch: agreed before the link is up, and what comes after that is refused. */
  #capabilities = 0;
  #headers: HeaderSource | undefined;
  /** Whether the frame's header could be read, and so the driver's word for it. */
  #hasWord = false;
  #untold = 0;
  #up = false;
  #waiting = false;
  #closed = false;

  constructor(parts: TransmitterParts) {
    this.#parts = parts;
    this.#reader = new SgReader(parts.most);
    this.#iterator = parts.ring.iterator("inuse", { autoUpdate: true, quiet: true });
    parts.ring.signal.listener = () => this.#work();
    parts.ring.signal.enable();
    parts.port.onRoom(() => {
      this.#waiting = false;
      this.#work();
    });
  }

  /** Whether frames go out; else they wait on the ring. */
  set up(up: boolean) {
    this.#up = up;
    if (up) this.#work();
  }

  /** Gives the ring back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.ring[Symbol.dispose]();
  }

  #work(): void {
    if (this.#closed || !this.#up || this.#waiting) return;
    const { port, host, completed } = this.#parts;
    const budget = this.#parts.burst();
    const mitigation = this.#parts.mitigation();
    this.#capabilities = this.#parts.capabilities();
    this.#headers = this.#parts.headers();
    let sent = 0;
    for (; sent < budget; sent++) {
      if (!this.#iterator.reach("head")) break;
      if (!this.#send()) {
        this.#waiting = true;
        break;
      }
      // A ring that the guest writes over meanwhile: the frame stays on it, and isn't sent for ever.
      if (this.#iterator.pop() !== 0) break;
      completed?.(this.#hasWord ? this.#reader.cookie : 0n);
      if (++this.#untold >= mitigation) this.#tell();
    }
    if (sent === 0) return;
    port.flush();
    if (this.#untold > 0) this.#tell();
    if (sent === budget) host.defer(() => this.#work());
  }

  #tell(): void {
    this.#untold = 0;
    this.#parts.tell();
  }

  /** @returns false where the frame has to wait */
  #send(): boolean {
    const { port, counters } = this.#parts;
    const refusal = this.#read();
    if (refusal !== undefined) {
      counters.dropped(refusal);
      return true;
    }
    if (!this.#pass(port)) {
      counters.waits++;
      return false;
    }
    counters.txFrames++;
    counters.txBytes += this.#frame.length;
    return true;
  }

  /** As it is where the network takes it so; else finished, and cut. @returns false where it has to wait */
  #pass(port: NetworkPort): boolean {
    if (canTake(port.accepts, this.#frame.offload)) return port.send(this.#frame);
    let first = true;
    for (const frame of this.#segmenter.frames(this.#frame) ?? []) {
      if (!port.send(frame) && first) return false;
      first = false;
    }
    if (first) this.#parts.counters.dropped("bad-offload");
    return true;
  }

  #read(): VenetDropReason | undefined {
    const { memctx, most } = this.#parts;
    // Each is read once: the guest may write there now.
    const { ptr, len } = this.#iterator;
    this.#hasWord = false;
    if ((this.#capabilities & SgCapability.sg) === 0) {
      if (len > most) return "bad-length";
      if (len < HEADER_BYTES) return "short";
      return this.#frame.overOne(memctx, ptr, len) ? undefined : "gone";
    }
    const reader = this.#reader;
    const refusal = reader.read(this.#headers, ptr, len, this.#capabilities);
    if (refusal !== undefined) return refusal;
    this.#hasWord = true;
    if (reader.length < HEADER_BYTES) return "short";
    return this.#frame.over(memctx, reader.list, reader.length, reader.offload) ? undefined : "gone";
  }
}
