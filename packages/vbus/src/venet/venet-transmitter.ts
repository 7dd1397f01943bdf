/** Frames that go out: what the guest posts on its ring. @module */
import { canTake, HEADER_BYTES, type NetworkPort, NO_OFFLOAD, Segmenter } from "@virtspace/network";
import type { VbusHost } from "../host/host.ts";
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import { GuestFrame } from "./guest-frame.ts";
import type { HeaderSource } from "./header-source.ts";
import { type SgLimits, SgReader } from "./sg-reader.ts";
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
  /** Asked at each frame. */
  readonly limits: () => SgLimits;
  /** After how many frames the guest is told that they went out, 0 for each; those of a batch are told at its end. */
  readonly mitigation: () => number;
  /** Frames in one turn. */
  readonly burst: () => number;
  /** Tells the guest. */
  readonly tell: () => void;
  /** A frame went out. */
  readonly completed: (cookie: bigint) => void;
}

/** Sends what a ring holds. */
export class VenetTransmitter implements Disposable {
  readonly #parts: TransmitterParts;
  readonly #iterator: IoqIterator;
  readonly #reader: SgReader;
  readonly #frame = new GuestFrame();
  readonly #segmenter = new Segmenter();
  #cookie = 0n;
  #untold = 0;
  #up = false;
  #waiting = false;
  #closed = false;

  constructor(parts: TransmitterParts) {
    this.#parts = parts;
    this.#reader = new SgReader(parts.headers);
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
    const { port, host, mitigation, burst } = this.#parts;
    const budget = burst();
    let sent = 0;
    for (; sent < budget; sent++) {
      if (this.#iterator.seek("head") !== 0 || !this.#iterator.mine || !this.#iterator.valid) break;
      if (!this.#send()) {
        this.#waiting = true;
        break;
      }
      // A ring that the guest writes over meanwhile: the frame stays on it, and isn't sent for ever.
      if (this.#iterator.pop() !== 0) break;
      this.#parts.completed(this.#cookie);
      if (++this.#untold >= mitigation()) this.#tell();
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
    const { memctx, limits } = this.#parts;
    const agreed = limits();
    // Each is read once: the guest may write there now.
    const { ptr, len } = this.#iterator;
    this.#cookie = 0n;
    if ((agreed.capabilities & SgCapability.sg) === 0) {
      if (len > agreed.most) return "bad-length";
      if (len < HEADER_BYTES) return "short";
      return this.#frame.over(memctx, [{ ptr, len }], len, NO_OFFLOAD) ? undefined : "gone";
    }
    const found = this.#reader.read(ptr, len, agreed);
    if (typeof found === "string") return found;
    this.#cookie = found.cookie;
    if (found.length < HEADER_BYTES) return "short";
    return this.#frame.over(memctx, found.pieces, found.length, found.offload) ? undefined : "gone";
  }
}
