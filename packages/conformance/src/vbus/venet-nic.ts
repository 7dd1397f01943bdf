/** A driver of a venet in a guest: buffers, rings and calls, as one in a kernel has them. @module */
import {
  type CallResult,
  type ErrnoName,
  EventqQuery,
  Ioq,
  IoqOffset,
  ioqSize,
  isErrno,
  NegotiateCaps,
  SgCapability,
  VENET_VERSION,
  VenetCall,
  VenetEvent,
  VenetEventDesc,
  VenetGroup,
  VenetIov,
  VenetSg,
  VenetShm,
} from "@virtspace/vbus";
import { advance, type GuestAddress, gpa } from "@virtspace/virt-address-space";
import type { VbusDeviceProxy } from "./vbus-device-proxy.ts";

/** Capabilities, by group. */
export interface VenetCapabilities {
  /** Of the first group: `SgCapability`. */
  readonly sg: number;
  /** Of the second: `EventCapability`. */
  readonly events: number;
}

/** How often a host called, by ring. */
export interface VenetSignals {
  /** That something came. */
  rx: number;
  /** That something went out. */
  tx: number;
}

/** How a driver is. */
export interface VenetNicOptions {
  /** Descriptors of a ring; 256 unless given. */
  readonly size?: number;
  /** Capabilities that it wishes for, by group. */
  readonly capabilities?: Partial<VenetCapabilities>;
  /** Bytes of a buffer; 1514 unless given. */
  readonly bufferBytes?: number;
  /** Told of each frame that came. */
  readonly onFrame?: (frame: Uint8Array) => void;
}

/** What is said of a frame that goes out. */
export interface SentFrame {
  /** Into how many pieces it is cut; 1 unless given. */
  readonly pieces?: number;
  /** The driver's word for it. */
  readonly cookie?: number;
  /** Changes its header, before it is posted. */
  readonly describe?: (header: DataView) => void;
}

const PRIORITY = { rx: 4, tx: 2, events: 6 } as const;

/** A driver of one card. */
export class VenetNic {
  /** The guest's address, once it is open. */
  mac: Uint8Array = new Uint8Array(6);
  /** Capabilities that were granted. */
  granted: VenetCapabilities = { sg: 0, events: 0 };
  /** The link, by events; undefined until one came. */
  link: boolean | undefined;
  /** The words of frames that went out, by events. */
  readonly completed: bigint[] = [];
  /** Frames that came. */
  received = 0;
  /** How often the host called. */
  signals: VenetSignals = { rx: 0, tx: 0 };
  /** Buffers that came back without a frame. */
  returned = 0;
  readonly #device: VbusDeviceProxy;
  readonly #options: VenetNicOptions;
  readonly #size: number;
  #rings: { rx: Ioq; tx: Ioq; events?: Ioq } | undefined;
  #pool: GuestAddress = gpa(0);
  #buffers: { rx: GuestAddress[]; tx: GuestAddress[] } = { rx: [], tx: [] };

  constructor(device: VbusDeviceProxy, options: VenetNicOptions = {}) {
    this.#device = device;
    this.#options = options;
    this.#size = options.size ?? 256;
  }

  /** Opens the card, agrees on what it can, and gives it rings. @returns 0, or what was refused first */
  open(): CallResult {
    const opened = this.#device.open(VENET_VERSION);
    if (opened !== 0) return opened;
    const { sg = SgCapability.sg, events = 3 } = this.#options.capabilities ?? {};
    this.granted = { sg: this.negotiate(VenetGroup.sg, sg), events: this.negotiate(VenetGroup.eventq, events) };
    const queue = this.granted.events === 0 ? 0 : this.#openEvents();
    if (isErrno(queue)) return queue;
    const rx = this.#openRing(VenetShm.rx, PRIORITY.rx, () => this.#reap());
    if (isErrno(rx)) return rx;
    const tx = this.#openRing(VenetShm.tx, PRIORITY.tx, () => {
      this.signals.tx++;
      this.#takeBack();
    });
    if (isErrno(tx)) return tx;
    this.#rings = { rx, tx, ...(queue !== 0 && { events: queue }) };
    this.#buffers = { rx: this.#takeBuffers(), tx: this.#takeBuffers() };
    this.#fill();
    return this.#macQuery();
  }

  /** Agrees on a group. @returns what was granted */
  negotiate(group: number, bits: number): number {
    const { heap } = this.#device.guest;
    const at = heap.take(NegotiateCaps.size);
    heap.space.writeU32(advance(at, NegotiateCaps.group), group);
    heap.space.writeU32(advance(at, NegotiateCaps.bits), bits);
    const result = this.#device.call(VenetCall.negotiate, at, NegotiateCaps.size);
    return result === 0 ? (heap.space.readU32(advance(at, NegotiateCaps.bits)) as number) : 0;
  }

  /** Calls a function that takes nothing. */
  call(func: number): CallResult {
    return this.#device.call(func, gpa(0), 0);
  }

  /** Posts a frame. @returns whether there was room */
  send(frame: Uint8Array, { pieces = 1, cookie = 0, describe }: SentFrame = {}): boolean {
    const { tx } = this.#rings as { tx: Ioq };
    const { space } = this.#device.guest.heap;
    const post = tx.iterator("valid", { autoUpdate: true });
    if (tx.remaining("valid") === 0 || post.seek("tail") !== 0 || !post.mine) return false;
    const buffer = this.#buffers.tx[post.position] as GuestAddress;
    const data = advance(buffer, SG_BYTES);
    space.copyTo(data, frame);
    if (this.granted.sg === 0) Object.assign(post, { ptr: data, len: frame.length });
    else {
      const size = Math.ceil(frame.length / pieces);
      const list = Array.from({ length: pieces }, (_, i) => ({ ptr: data + i * size, len: Math.min(size, frame.length - i * size) }));
      Object.assign(post, { ptr: buffer, len: this.#writeSg(buffer, frame.length, list, cookie, describe) });
    }
    post.valid = true;
    return post.push() === 0;
  }

  /** Takes what came and what went out, and gives the buffers back: for a driver that polls. */
  poll(): void {
    this.#reap();
    this.#takeBack();
  }

  /** Closes the card. */
  close(): CallResult {
    const result = this.#device.close();
    for (const ring of Object.values(this.#rings ?? {})) ring[Symbol.dispose]();
    this.#rings = undefined;
    return result;
  }

  #macQuery(): CallResult {
    const { heap } = this.#device.guest;
    const at = heap.take(8);
    const result = this.#device.call(VenetCall.macQuery, at, 6);
    heap.space.copyFrom(at, this.mac);
    return result;
  }

  #takeBuffers(): GuestAddress[] {
    const { bufferBytes = 1514 } = this.#options;
    return Array.from({ length: this.#size }, () => this.#device.guest.heap.take(SG_BYTES + bufferBytes));
  }

  #openRing(id: number, prio: number, listener: () => void): Ioq | ErrnoName {
    const { heap, memctx, host } = this.#device.guest;
    const length = ioqSize(this.#size);
    const address = heap.take(length);
    const shm = memctx.shm(address, length);
    if (isErrno(shm)) return shm;
    // Its bytes are written before anybody is told of them; the signal that it goes on with is the bus's.
    Ioq.create({ shm, count: this.#size, inject: () => {}, ...host })[Symbol.dispose]();
    const signal = this.#device.shm(id, address, length, { offset: IoqOffset.signal, prio });
    const ring = isErrno(signal) ? signal : Ioq.attach({ shm, locale: "north", signal }, this.#size);
    shm.put();
    if (isErrno(signal) || isErrno(ring)) return isErrno(ring) ? ring : "EIO";
    signal.listener = listener;
    signal.enable();
    return ring;
  }

  #openEvents(): Ioq | ErrnoName {
    const { heap } = this.#device.guest;
    const query = heap.take(EventqQuery.size);
    const asked = this.#device.call(VenetCall.eventqQuery, query, EventqQuery.size);
    if (isErrno(asked)) return asked;
    const [size, pool, queue] = [EventqQuery.eventSize, EventqQuery.pool, EventqQuery.queue].map(
      (offset) => heap.space.readU32(advance(query, offset)) as number,
    ) as [number, number, number];
    this.#pool = heap.take(this.#size * size);
    const shared = this.#device.share(pool, this.#pool, this.#size * size);
    if (isErrno(shared)) return shared;
    const ring = this.#openRing(queue, PRIORITY.events, () => this.#takeEvents());
    if (isErrno(ring)) return ring;
    const post = ring.iterator("valid", { autoUpdate: true });
    for (let i = 0; i < this.#size; i++) {
      Object.assign(post, { ptr: i * size, len: size, valid: true });
      post.push();
    }
    return ring;
  }

  /** Posts all buffers that are free. */
  #fill(): void {
    const { rx } = this.#rings as { rx: Ioq };
    const { bufferBytes = 1514 } = this.#options;
    const post = rx.iterator("valid", { autoUpdate: true });
    if (post.seek("tail") !== 0) return;
    while (rx.remaining("valid") !== 0 && post.mine) {
      const buffer = this.#buffers.rx[post.position] as GuestAddress;
      const data = advance(buffer, SG_BYTES);
      if (this.granted.sg === 0) Object.assign(post, { ptr: data, len: bufferBytes });
      else Object.assign(post, { ptr: buffer, len: this.#writeSg(buffer, 0, [{ ptr: data, len: bufferBytes }], 0) });
      post.valid = true;
      if (post.push() !== 0) return;
    }
  }

  #reap(): void {
    if (this.#rings === undefined) return;
    this.signals.rx++;
    const { rx } = this.#rings;
    const { space } = this.#device.guest.heap;
    this.#each(rx, (position, len) => {
      const buffer = this.#buffers.rx[position] as GuestAddress;
      const length = this.granted.sg === 0 || len === 0 ? len : (space.readU32(advance(buffer, VenetSg.len)) as number);
      if (length === 0) {
        this.returned++;
        return;
      }
      this.received++;
      if (this.#options.onFrame === undefined) return;
      const frame = new Uint8Array(length);
      space.copyFrom(advance(buffer, SG_BYTES), frame);
      this.#options.onFrame(frame);
    });
    this.#fill();
  }

  #takeBack(): void {
    if (this.#rings !== undefined) this.#each(this.#rings.tx, () => {});
  }

  /** What the host has worked on, one after the other: both indices move on. */
  #each(ring: Ioq, visit: (position: number, len: number) => void): void {
    const used = ring.iterator("inuse", { autoUpdate: true, keepOwner: true });
    const posted = ring.iterator("valid", { autoUpdate: true, keepOwner: true });
    used.seek("head");
    posted.seek("head");
    while (ring.used("inuse") !== 0 && used.mine) {
      visit(used.position, used.len);
      used.pop();
      posted.pop();
    }
  }

  #takeEvents(): void {
    const ring = this.#rings?.events;
    if (ring === undefined) return;
    const { space } = this.#device.guest.heap;
    const iterator = ring.iterator("inuse", { autoUpdate: true });
    for (iterator.seek("head"); ring.used("inuse") !== 0 && iterator.mine; ) {
      const at = advance(this.#pool, iterator.ptr);
      const id = space.readU32(advance(at, VenetEventDesc.id));
      if (id === VenetEvent.linkState) this.link = space.readU8(advance(at, VenetEventDesc.linkState)) === 1;
      else this.completed.push(space.readBigU64(advance(at, VenetEventDesc.cookie)) as bigint);
      iterator.len = VenetEventDesc.txSize;
      iterator.pop();
    }
  }

  /** @returns bytes of the header and its pieces */
  #writeSg(
    at: GuestAddress,
    length: number,
    list: readonly { readonly ptr: number; readonly len: number }[],
    cookie: number,
    describe: (header: DataView) => void = () => {},
  ): number {
    const bytes = new Uint8Array(VenetSg.iov + list.length * VenetIov.size);
    const data = new DataView(bytes.buffer);
    data.setBigUint64(VenetSg.cookie, BigInt(cookie), true);
    data.setUint32(VenetSg.len, length, true);
    data.setUint32(VenetSg.count, list.length, true);
    list.forEach(({ ptr, len }, i) => {
      data.setUint32(VenetSg.iov + i * VenetIov.size + VenetIov.len, len, true);
      data.setBigUint64(VenetSg.iov + i * VenetIov.size + VenetIov.ptr, BigInt(ptr), true);
    });
    describe(data);
    this.#device.guest.heap.space.copyTo(at, bytes);
    return bytes.length;
  }
}

/** What a buffer begins with: a header, and at most 16 pieces. */
const SG_BYTES = VenetSg.iov + 16 * VenetIov.size;
