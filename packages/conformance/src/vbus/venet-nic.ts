/** A driver of a venet in a guest: buffers, rings and calls, as one in a kernel has them. @module */
import {
  type CallResult,
  type ErrnoName,
  EventqQuery,
  Ioq,
  IoqOffset,
  ioqSize,
  isErrno,
  L4roQuery,
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
  /** Of the third: `SgCapability`, of frames that come in. */
  readonly l4ro: number;
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
  /** Told of each frame that came, and of its header where it has one. */
  readonly onFrame?: (frame: Uint8Array, header: DataView | undefined) => void;
  /** Bytes of a page for large frames; 4096 unless given. */
  readonly pageBytes?: number;
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
  granted: VenetCapabilities = { sg: 0, events: 0, l4ro: 0 };
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
  #rings: { rx: Ioq; tx: Ioq; events?: Ioq; pages?: Ioq } | undefined;
  /** Where events are, headers of frames that go out, and those of frames that come in. */
  #pools: { events: GuestAddress; pmtd: GuestAddress; l4ro: GuestAddress } = { events: gpa(0), pmtd: gpa(0), l4ro: gpa(0) };
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
    const { sg = SgCapability.sg, events = 3, l4ro = 0 } = this.#options.capabilities ?? {};
    this.granted = {
      sg: this.negotiate(VenetGroup.sg, sg),
      events: this.negotiate(VenetGroup.eventq, events),
      l4ro: l4ro === 0 ? 0 : this.negotiate(VenetGroup.l4ro, l4ro),
    };
    const queue = this.granted.events === 0 ? 0 : this.#openEvents();
    if (isErrno(queue)) return queue;
    const pages = this.#isLarge ? this.#openPages() : 0;
    if (isErrno(pages)) return pages;
    const rx = this.#openRing(VenetShm.rx, PRIORITY.rx, () => this.#reap());
    if (isErrno(rx)) return rx;
    const tx = this.#openRing(VenetShm.tx, PRIORITY.tx, () => {
      this.signals.tx++;
      this.#takeBack();
    });
    if (isErrno(tx)) return tx;
    const pooled = this.#isPooled ? this.#openTxPool() : 0;
    if (isErrno(pooled)) return pooled;
    this.#rings = { rx, tx, ...(queue !== 0 && { events: queue }), ...(pages !== 0 && { pages }) };
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
    // Both indices move on together: the host takes from the second, and this side takes back from the first.
    const post = tx.iterator("inuse", { autoUpdate: true, both: true });
    if (tx.remaining("valid") === 0 || post.seek("tail") !== 0 || !post.mine) return false;
    const { position } = post;
    const buffer = this.#buffers.tx[position] as GuestAddress;
    const data = advance(buffer, SG_BYTES);
    space.copyTo(data, frame);
    if (this.granted.sg === 0) Object.assign(post, { ptr: data, len: frame.length });
    else {
      const size = Math.ceil(frame.length / pieces);
      const list = Array.from({ length: pieces }, (_, i) => ({ ptr: data + i * size, len: Math.min(size, frame.length - i * size) }));
      const at = this.#isPooled ? advance(this.#pools.pmtd, position * SG_BYTES) : buffer;
      const len = this.#writeSg(at, frame.length, list, cookie, describe);
      Object.assign(post, { ptr: this.#isPooled ? position * SG_BYTES : at, len });
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
    this.#pools.events = heap.take(this.#size * size);
    const shared = this.#device.share(pool, this.#pools.events, this.#size * size);
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

  get #isLarge(): boolean {
    return (this.granted.l4ro & SgCapability.sg) !== 0;
  }

  get #isPooled(): boolean {
    return (this.granted.sg & SgCapability.pmtd) !== 0;
  }

  /** Headers of frames that go out, where the host has them mapped. */
  #openTxPool(): CallResult {
    const { heap } = this.#device.guest;
    const id = this.call(VenetCall.pmtdQuery);
    if (isErrno(id)) return id;
    this.#pools.pmtd = heap.take(this.#size * SG_BYTES);
    const shared = this.#device.share(id, this.#pools.pmtd, this.#size * SG_BYTES);
    return isErrno(shared) ? shared : 0;
  }

  /** Headers of frames that come in, and pages for what is more than a buffer. */
  #openPages(): Ioq | ErrnoName {
    const { heap } = this.#device.guest;
    const query = heap.take(L4roQuery.size);
    const asked = this.#device.call(VenetCall.l4roQuery, query, L4roQuery.size);
    if (isErrno(asked)) return asked;
    const [pool, pages] = [L4roQuery.pool, L4roQuery.pages].map((at) => heap.space.readU32(advance(query, at)) as number) as [
      number,
      number,
    ];
    this.#pools.l4ro = heap.take(this.#size * SG_BYTES);
    const shared = this.#device.share(pool, this.#pools.l4ro, this.#size * SG_BYTES);
    if (isErrno(shared)) return shared;
    const ring = this.#openRing(pages, PRIORITY.rx, () => {});
    if (isErrno(ring)) return ring;
    const { pageBytes = 4096 } = this.#options;
    for (let i = 0; i < this.#size; i++) this.#givePage(ring, heap.take(pageBytes));
    return ring;
  }

  #givePage(ring: Ioq, page: number): void {
    const { pageBytes = 4096 } = this.#options;
    const give = ring.iterator("inuse", { autoUpdate: true });
    if (give.seek("tail") !== 0 || !give.mine) return;
    Object.assign(give, { ptr: page, len: pageBytes, cookie: page, valid: true });
    give.push();
  }

  /** Posts all buffers that are free. */
  #fill(): void {
    const { rx } = this.#rings as { rx: Ioq };
    const { bufferBytes = 1514 } = this.#options;
    const post = rx.iterator("valid", { autoUpdate: true });
    if (post.seek("tail") !== 0) return;
    while (rx.remaining("valid") !== 0 && post.mine) {
      const { position } = post;
      const ptr = this.#buffers.rx[position] as GuestAddress;
      if (!this.#isLarge) Object.assign(post, { ptr, len: bufferBytes });
      else {
        const offset = position * SG_BYTES;
        this.#writeSg(advance(this.#pools.l4ro, offset), 0, [{ ptr, len: bufferBytes }], 0);
        Object.assign(post, { ptr: offset, len: SG_BYTES });
      }
      post.valid = true;
      if (post.push() !== 0) return;
    }
  }

  #reap(): void {
    if (this.#rings === undefined) return;
    this.signals.rx++;
    this.#each(this.#rings.rx, (position, len) => {
      if (this.#isLarge) this.#takeLarge(position);
      else this.#takeFrame([{ ptr: this.#buffers.rx[position] as GuestAddress, len }], undefined);
    });
    this.#fill();
  }

  /** What a header names: the buffer, and pages, which are given back at once. */
  #takeLarge(position: number): void {
    const { space } = this.#device.guest.heap;
    const bytes = new Uint8Array(SG_BYTES);
    space.copyFrom(advance(this.#pools.l4ro, position * SG_BYTES), bytes);
    const header = new DataView(bytes.buffer);
    const pieces = Array.from({ length: header.getUint32(VenetSg.len, true) === 0 ? 0 : header.getUint32(VenetSg.count, true) }, (_, i) => {
      const at = VenetSg.iov + i * VenetIov.size;
      return { ptr: gpa(header.getUint32(at + VenetIov.ptr, true)), len: header.getUint32(at + VenetIov.len, true) };
    });
    this.#takeFrame(pieces, header);
    for (const { ptr } of pieces.slice(1)) this.#givePage(this.#rings?.pages as Ioq, ptr);
  }

  #takeFrame(pieces: readonly { readonly ptr: GuestAddress; readonly len: number }[], header: DataView | undefined): void {
    const length = pieces.reduce((sum, { len }) => sum + len, 0);
    if (length === 0) {
      this.returned++;
      return;
    }
    this.received++;
    if (this.#options.onFrame === undefined) return;
    const frame = new Uint8Array(length);
    let at = 0;
    for (const { ptr, len } of pieces) {
      this.#device.guest.heap.space.copyFrom(ptr, frame.subarray(at, at + len));
      at += len;
    }
    this.#options.onFrame(frame, header);
  }

  /** Frames that went out: the host gave their descriptors back. */
  #takeBack(): void {
    const { tx } = this.#rings ?? {};
    if (tx === undefined) return;
    const done = tx.iterator("valid", { autoUpdate: true, keepOwner: true });
    for (done.seek("head"); tx.used("valid") !== 0 && done.mine; ) if (done.pop() !== 0) return;
  }

  /** What the host has worked on, one after the other: both indices move on. */
  #each(ring: Ioq, visit: (position: number, len: number) => void): void {
    const used = ring.iterator("inuse", { autoUpdate: true, keepOwner: true });
    const posted = ring.iterator("valid", { autoUpdate: true, keepOwner: true });
    used.seek("head");
    posted.seek("head");
    while (ring.used("inuse") !== 0 && used.mine) {
      visit(used.position, used.len);
      // A ring that was written over goes no further.
      if (used.pop() !== 0 || posted.pop() !== 0) return;
    }
  }

  #takeEvents(): void {
    const ring = this.#rings?.events;
    if (ring === undefined) return;
    const { space } = this.#device.guest.heap;
    const iterator = ring.iterator("inuse", { autoUpdate: true });
    for (iterator.seek("head"); ring.used("inuse") !== 0 && iterator.mine; ) {
      const at = advance(this.#pools.events, iterator.ptr);
      const id = space.readU32(advance(at, VenetEventDesc.id));
      if (id === VenetEvent.linkState) this.link = space.readU8(advance(at, VenetEventDesc.linkState)) === 1;
      else this.completed.push(space.readBigU64(advance(at, VenetEventDesc.cookie)) as bigint);
      iterator.len = VenetEventDesc.txSize;
      if (iterator.pop() !== 0) break;
    }
    this.#takeBack();
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
