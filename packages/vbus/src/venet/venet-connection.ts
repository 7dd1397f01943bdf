/** A guest's connection to a card: what was agreed upon, its rings, its link. @module */
import type { Frame, NetworkPort, OffloadSupport } from "@virtspace/network";
import { type CallResult, isErrno } from "../errno/errno.ts";
import type { VbusHost } from "../host/host.ts";
import { Ioq } from "../ioq/ioq.ts";
import { guestStruct } from "../memory/guest-struct.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";
import {
  EventCapability,
  EventqQuery,
  MOST_VENET_DESCRIPTORS,
  NegotiateCaps,
  SgCapability,
  VenetCall,
  VenetEventDesc,
  VenetGroup,
  VenetShm,
} from "./venet-abi.ts";
import type { VenetCounters } from "./venet-counters.ts";
import { VenetEvents } from "./venet-events.ts";
import { VenetReceiver } from "./venet-receiver.ts";
import { VenetTransmitter } from "./venet-transmitter.ts";

const ETHERNET_HEADER = 14;

/** What it needs of its card. */
export interface VenetConnectionParts {
  readonly memctx: VbusMemctx;
  readonly mtu: number;
  readonly mac: Uint8Array;
  readonly port: NetworkPort;
  readonly counters: VenetCounters;
  readonly host: VbusHost;
  readonly enabled: () => boolean;
  readonly mitigation: () => number;
}

/** A connection. */
export class VenetConnection implements Disposable {
  readonly #parts: VenetConnectionParts;
  readonly #agreed = new Map<number, number>();
  #up = false;
  #receiver: VenetReceiver | undefined;
  #transmitter: VenetTransmitter | undefined;
  #pool: VbusShm | undefined;
  #events: VenetEvents | undefined;

  constructor(parts: VenetConnectionParts) {
    this.#parts = parts;
  }

  /** What frames the guest takes: large ones of the kinds that it agreed upon. */
  get accepts(): OffloadSupport {
    const bits = this.#bits(VenetGroup.sg);
    // A buffer has room for a frame of the MTU: large ones are cut before they come here.
    return { checksum: (bits & SgCapability.sg) !== 0, segmentation: [] };
  }

  /** Takes a frame. @returns whether there was a buffer */
  receive(frame: Frame): boolean {
    const { counters, mtu } = this.#parts;
    if (!this.#carries || this.#receiver === undefined) {
      counters.dropped("link-down");
      return true;
    }
    if (frame.length > mtu + ETHERNET_HEADER) {
      counters.dropped("too-long");
      return true;
    }
    return this.#receiver.receive(frame);
  }

  /** The guest hears of what came. */
  flush(): void {
    this.#receiver?.flush();
  }

  /** The cable was plugged in, or out. */
  carrierChanged(): void {
    if (this.#transmitter !== undefined) this.#transmitter.up = this.#carries;
    if ((this.#bits(VenetGroup.eventq) & EventCapability.linkState) !== 0) this.#events?.linkState(this.#parts.enabled());
  }

  /** A call of the guest's. */
  call(func: number, data: number, len: number): CallResult {
    const { memctx, mac } = this.#parts;
    switch (func) {
      case VenetCall.linkUp:
        return this.#linkUp();
      case VenetCall.linkDown:
        return this.#linkDown();
      case VenetCall.macQuery:
        if (len !== mac.length) return "EINVAL";
        return memctx.copyTo(data, mac) > 0 ? "EFAULT" : 0;
      case VenetCall.negotiate:
        return this.#negotiate(data, len);
      case VenetCall.flushRx:
        if (this.#receiver === undefined) return "EINVAL";
        this.#receiver.giveBack();
        return 0;
      case VenetCall.eventqQuery:
        return this.#queryEvents(data, len);
      default:
        // Pre-mapped descriptors and large frames that come in are never granted.
        return "EINVAL";
    }
  }

  /** Shared memory of the guest's. */
  shm(id: number, shm: VbusShm, signal: ShmSignal | undefined): CallResult {
    if (id === VenetShm.eventPool) return this.#takePool(shm);
    if (signal === undefined) return "EINVAL";
    if (!RINGS.has(id)) return "EINVAL";
    if (this.#has(id)) return "EEXIST";
    if (id === VenetShm.eventQueue && this.#pool === undefined) return "EINVAL";
    const ring = Ioq.attach({ shm, locale: "south", signal }, MOST_VENET_DESCRIPTORS);
    if (isErrno(ring)) return ring;
    this.#use(id, ring);
    return 0;
  }

  /** Gives all back. Idempotent. */
  [Symbol.dispose](): void {
    this.#up = false;
    this.#receiver?.[Symbol.dispose]();
    this.#transmitter?.[Symbol.dispose]();
    // The events have taken the pool over.
    if (this.#events === undefined) this.#pool?.put();
    this.#events?.[Symbol.dispose]();
    this.#pool = undefined;
    // Frames that wait for room of this guest's would wait for ever.
    this.#parts.port.roomAgain();
  }

  get #carries(): boolean {
    return this.#up && this.#parts.enabled();
  }

  #bits(group: number): number {
    return this.#agreed.get(group) ?? 0;
  }

  #has(id: number): boolean {
    if (id === VenetShm.rx) return this.#receiver !== undefined;
    return id === VenetShm.tx ? this.#transmitter !== undefined : this.#events !== undefined;
  }

  #use(id: number, ring: Ioq): void {
    const { memctx, port, counters, host, mtu, mitigation } = this.#parts;
    if (id === VenetShm.rx)
      this.#receiver = new VenetReceiver({ ring, memctx, port, counters, capabilities: () => this.#bits(VenetGroup.sg) });
    else if (id === VenetShm.eventQueue) this.#events = new VenetEvents(this.#pool as VbusShm, ring);
    else {
      this.#transmitter = new VenetTransmitter({
        ...{ ring, memctx, port, counters, host, mitigation },
        limits: () => ({ most: mtu + ETHERNET_HEADER, capabilities: this.#bits(VenetGroup.sg) }),
        completed: (cookie) => {
          if ((this.#bits(VenetGroup.eventq) & EventCapability.txComplete) === 0) return;
          this.#events?.txComplete(cookie);
        },
        batchEnd: () => this.#events?.flush(),
      });
    }
  }

  #takePool(shm: VbusShm): CallResult {
    if (this.#pool !== undefined) return "EEXIST";
    this.#pool = shm.get();
    return 0;
  }

  #linkUp(): CallResult {
    if (this.#up) return "EEXIST";
    if (this.#receiver === undefined || this.#transmitter === undefined) return "EINVAL";
    this.#up = true;
    this.#transmitter.up = this.#carries;
    return 0;
  }

  #linkDown(): CallResult {
    if (!this.#up) return "ENOENT";
    this.#up = false;
    if (this.#transmitter !== undefined) this.#transmitter.up = false;
    this.#parts.port.roomAgain();
    return 0;
  }

  #negotiate(data: number, len: number): CallResult {
    const { memctx } = this.#parts;
    const asked = guestStruct(memctx, data, len, NegotiateCaps.size);
    if (isErrno(asked)) return asked;
    if (this.#up) return "EINVAL";
    const group = asked.getUint32(NegotiateCaps.group, true);
    const granted = asked.getUint32(NegotiateCaps.bits, true) & (this.#available(group) ?? 0);
    if (this.#available(group) !== undefined) this.#agreed.set(group, granted);
    asked.setUint32(NegotiateCaps.bits, granted, true);
    return memctx.copyTo(data, new Uint8Array(asked.buffer)) > 0 ? "EFAULT" : 0;
  }

  #available(group: number): number | undefined {
    if (group === VenetGroup.eventq) return EventCapability.linkState | EventCapability.txComplete;
    if (group !== VenetGroup.sg) return undefined;
    const { segmentation, ecn } = this.#parts.port.accepts;
    const has = (kind: "tcp4" | "tcp6" | "udp", bit: number): number => (segmentation.includes(kind) ? bit : 0);
    const large = has("tcp4", SgCapability.tso4) | has("tcp6", SgCapability.tso6) | has("udp", SgCapability.ufo);
    return SgCapability.sg | large | (ecn === true ? SgCapability.ecn : 0);
  }

  #queryEvents(data: number, len: number): CallResult {
    if (this.#bits(VenetGroup.eventq) === 0) return "EINVAL";
    const { memctx } = this.#parts;
    const asked = guestStruct(memctx, data, len, EventqQuery.size);
    if (isErrno(asked)) return asked;
    asked.setUint32(EventqQuery.flags, 0, true);
    asked.setUint32(EventqQuery.eventSize, VenetEventDesc.txSize, true);
    asked.setUint32(EventqQuery.pool, VenetShm.eventPool, true);
    asked.setUint32(EventqQuery.queue, VenetShm.eventQueue, true);
    return memctx.copyTo(data, new Uint8Array(asked.buffer)) > 0 ? "EFAULT" : 0;
  }
}

const RINGS: ReadonlySet<number> = new Set([VenetShm.rx, VenetShm.tx, VenetShm.eventQueue]);
