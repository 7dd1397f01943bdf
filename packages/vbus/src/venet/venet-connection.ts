/** A guest's connection to a card: what was agreed upon, its rings, its link. @module */
import { type Frame, type NetworkPort, NO_OFFLOAD_SUPPORT, type OffloadSupport } from "@virtspace/network";
import { type CallResult, isErrno } from "../errno/errno.ts";
import type { VbusHost } from "../host/host.ts";
import { Ioq } from "../ioq/ioq.ts";
import { guestStruct } from "../memory/guest-struct.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";
import { type HeaderSource, headersIn, headersInPool } from "./header-source.ts";
import { PageQueue } from "./page-queue.ts";
import {
  EventCapability,
  EventqQuery,
  L4roQuery,
  MOST_GSO,
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
import { type LargeFrames, VenetReceiver } from "./venet-receiver.ts";
import { requireVenetState, type VenetState } from "./venet-state.ts";
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
  readonly burst: () => number;
}

/** A connection. */
export class VenetConnection implements Disposable {
  readonly #parts: VenetConnectionParts;
  readonly #agreed = new Map<number, number>();
  #accepts: OffloadSupport = NO_OFFLOAD_SUPPORT;
  /** Of the first group: asked at each frame. */
  #sg = 0;
  #up = false;
  #receiver: VenetReceiver | undefined;
  #transmitter: VenetTransmitter | undefined;
  /** Memory without a signal, by what it is for. */
  readonly #pools = new Map<number, VbusShm>();
  #pages: PageQueue | undefined;
  #large: LargeFrames | undefined;
  #events: VenetEvents | undefined;

  constructor(parts: VenetConnectionParts) {
    this.#parts = parts;
  }

  /** What frames the guest takes: one without headers takes only what goes on a wire. */
  get accepts(): OffloadSupport {
    if (this.#large === undefined) return NO_OFFLOAD_SUPPORT;
    return this.#accepts;
  }

  /** Takes a frame. @returns whether there was a buffer */
  receive(frame: Frame): boolean {
    const { counters, mtu } = this.#parts;
    const receiver = this.#receiver;
    if (!this.#up || receiver === undefined || !this.#parts.enabled()) {
      counters.dropped("link-down");
      return true;
    }
    if (frame.length > (frame.offload.segmentation === "none" ? mtu + ETHERNET_HEADER : MOST_GSO)) {
      counters.dropped("too-long");
      return true;
    }
    return receiver.receive(frame);
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
      case VenetCall.pmtdQuery:
        return this.#has(VenetGroup.sg, SgCapability.pmtd) ? VenetShm.pmtdPool : "EINVAL";
      case VenetCall.l4roQuery:
        return this.#queryLarge(data, len);
      default:
        return "EINVAL";
    }
  }

  /** Shared memory of the guest's. */
  shm(id: number, shm: VbusShm, signal: ShmSignal | undefined): CallResult {
    if (!this.#wants(id)) return "EINVAL";
    if (POOLS.has(id)) return this.#takePool(id, shm);
    if (signal === undefined) return "EINVAL";
    if (this.#isThere(id)) return "EEXIST";
    const ring = Ioq.attach({ shm, locale: "south", signal }, MOST_VENET_DESCRIPTORS);
    if (isErrno(ring)) return ring;
    this.#use(id, ring);
    return 0;
  }

  /** What has to move with a guest: the rings' positions are in its memory. */
  save(): VenetState {
    // What came, and what went out, is told before: the guest may hear of it in its new place.
    this.#receiver?.flush();
    return { up: this.#up, agreed: [...this.#agreed], events: this.#events?.waiting };
  }

  /** Takes what a connection saved. @param shareAgain - gives it the guest's memory again */
  restore(given: unknown, shareAgain: () => void): CallResult {
    const state = requireVenetState(given);
    if (state === undefined) return "EINVAL";
    for (const [group, bits] of state.agreed) this.#agree(group, bits & (KNOWN[group] ?? 0));
    shareAgain();
    if (state.events !== undefined) this.#events?.resume(state.events);
    return state.up ? this.#linkUp() : 0;
  }

  /** Gives all back. Idempotent. */
  [Symbol.dispose](): void {
    this.#up = false;
    for (const part of [this.#receiver, this.#transmitter, this.#pages, this.#events]) part?.[Symbol.dispose]();
    this.#large = undefined;
    for (const pool of this.#pools.values()) pool.put();
    this.#pools.clear();
    // Frames that wait for room of this guest's would wait for ever.
    this.#parts.port.roomAgain();
  }

  get #carries(): boolean {
    return this.#up && this.#parts.enabled();
  }

  #bits(group: number): number {
    return this.#agreed.get(group) ?? 0;
  }

  #agree(group: number, bits: number): void {
    this.#agreed.set(group, bits);
    if (group === VenetGroup.sg) this.#sg = bits;
  }

  #has(group: number, bit: number): boolean {
    return (this.#bits(group) & bit) !== 0;
  }

  /** Whether memory of that kind means something, after what was agreed upon, and in this order. */
  #wants(id: number): boolean {
    switch (id) {
      case VenetShm.rx:
      case VenetShm.tx:
      case VenetShm.eventPool:
        return true;
      case VenetShm.pmtdPool:
        return this.#has(VenetGroup.sg, SgCapability.pmtd);
      case VenetShm.eventQueue:
        return this.#pools.has(VenetShm.eventPool);
      case VenetShm.l4roPool:
        return this.#has(VenetGroup.l4ro, SgCapability.sg);
      case VenetShm.pageQueue:
        return this.#pools.has(VenetShm.l4roPool);
      default:
        return false;
    }
  }

  #isThere(id: number): boolean {
    if (id === VenetShm.rx) return this.#receiver !== undefined;
    if (id === VenetShm.tx) return this.#transmitter !== undefined;
    return (id === VenetShm.pageQueue ? this.#pages : this.#events) !== undefined;
  }

  #use(id: number, ring: Ioq): void {
    const { memctx, port, counters } = this.#parts;
    if (id === VenetShm.rx) this.#receiver = new VenetReceiver({ ring, memctx, port, counters, large: () => this.#large });
    else if (id === VenetShm.tx) this.#transmitter = this.#transmitterOn(ring);
    else if (id === VenetShm.eventQueue) this.#events = new VenetEvents(this.#pools.get(VenetShm.eventPool) as VbusShm, ring);
    else {
      this.#pages = new PageQueue(ring, () => this.#receiver?.room());
      this.#large = { headers: headersInPool(this.#pools.get(VenetShm.l4roPool) as VbusShm), pages: this.#pages };
      const granted = this.#bits(VenetGroup.l4ro);
      const kinds = (["tcp4", "tcp6", "udp"] as const).filter((kind) => (granted & SEGMENTS[kind]) !== 0);
      this.#accepts = { checksum: true, segmentation: kinds, ecn: (granted & SgCapability.ecn) !== 0 };
    }
  }

  #transmitterOn(ring: Ioq): VenetTransmitter {
    const { memctx, port, counters, host, mtu, mitigation, burst } = this.#parts;
    const inMemory = headersIn(memctx);
    // The pool may come after the ring: until then there is no header.
    let found: HeaderSource | undefined;
    const pool = (): HeaderSource | undefined => {
      const shm = this.#pools.get(VenetShm.pmtdPool);
      if (shm !== undefined) found ??= headersInPool(shm);
      return found;
    };
    const headers = this.#has(VenetGroup.sg, SgCapability.pmtd) ? pool : () => inMemory;
    const told = this.#has(VenetGroup.eventq, EventCapability.txComplete);
    return new VenetTransmitter({
      ...{ ring, memctx, headers, port, counters, host, mitigation, burst },
      most: mtu + ETHERNET_HEADER,
      // Agreed before the link is up, and what comes after that is refused.
      capabilities: () => this.#sg,
      completed: told ? (cookie) => this.#events?.txComplete(cookie) : undefined,
      // Events say it where they were agreed upon; then the ring's own signal says nothing.
      tell: () => {
        if (told && this.#events !== undefined) this.#events.flush();
        else ring.signal.inject();
      },
    });
  }

  #takePool(id: number, shm: VbusShm): CallResult {
    if (this.#pools.has(id)) return "EEXIST";
    this.#pools.set(id, shm.get());
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
    if (this.#available(group) !== undefined) this.#agree(group, granted);
    asked.setUint32(NegotiateCaps.bits, granted, true);
    return memctx.copyTo(data, new Uint8Array(asked.buffer)) > 0 ? "EFAULT" : 0;
  }

  #available(group: number): number | undefined {
    if (group === VenetGroup.eventq || group === VenetGroup.l4ro) return KNOWN[group];
    if (group !== VenetGroup.sg) return undefined;
    const { segmentation, ecn } = this.#parts.port.accepts;
    const large = segmentation.reduce((bits, kind) => bits | SEGMENTS[kind], 0);
    return SgCapability.sg | SgCapability.pmtd | large | (ecn === true ? SgCapability.ecn : 0);
  }

  #queryLarge(data: number, len: number): CallResult {
    if (!this.#has(VenetGroup.l4ro, SgCapability.sg)) return "EINVAL";
    const { memctx } = this.#parts;
    const asked = guestStruct(memctx, data, len, L4roQuery.size);
    if (isErrno(asked)) return asked;
    asked.setUint32(L4roQuery.flags, 0, true);
    asked.setUint32(L4roQuery.pool, VenetShm.l4roPool, true);
    asked.setUint32(L4roQuery.pages, VenetShm.pageQueue, true);
    return memctx.copyTo(data, new Uint8Array(asked.buffer)) > 0 ? "EFAULT" : 0;
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

const POOLS: ReadonlySet<number> = new Set([VenetShm.pmtdPool, VenetShm.eventPool, VenetShm.l4roPool]);
const SEGMENTS = { tcp4: SgCapability.tso4, tcp6: SgCapability.tso6, udp: SgCapability.ufo } as const;
const LARGE = SgCapability.sg | SgCapability.tso4 | SgCapability.tso6 | SgCapability.ecn | SgCapability.ufo;
/** All that a group has. */
const KNOWN: Readonly<Record<number, number>> = {
  [VenetGroup.sg]: LARGE | SgCapability.pmtd,
  [VenetGroup.eventq]: EventCapability.linkState | EventCapability.txComplete,
  [VenetGroup.l4ro]: LARGE,
};
