/**
 * The packed layout: one ring that driver and device both write, and two words by which they say when to notify.
 *
 * @see virtio 1.3, section 2.8
 */
import type { Vmap } from "@virtspace/virt-address-space";
import type { Chain } from "./chain.ts";
import { DESCRIPTOR_BYTES, INDIRECT, NEXT, WRITE } from "./chain-walker.ts";
import { type QueueConfig, requireQueueSize } from "./queue-config.ts";
import { freshQueueState, type JournalledBuffer, type QueueState } from "./queue-state.ts";
import type { RingFaultCode } from "./ring-fault.ts";
import { openRing, type RingRefusal } from "./ring-window.ts";
import { type QueueOwner, Virtqueue } from "./virtqueue.ts";

const AVAIL_SHIFT = 7;
const USED_SHIFT = 15;
const USED_FLAGS = (1 << AVAIL_SHIFT) | (1 << USED_SHIFT);
const EVENT_BYTES = 4;
const EVENTS_OFF = 1;
const EVENTS_AT = 2;
const NONE_16 = new Uint16Array(0);
const NONE_32 = new Uint32Array(0);

/** A packed queue. */
export class PackedQueue extends Virtqueue {
  readonly #config: QueueConfig;
  /** A chain for each id, made when it is first used. An id is any 16-bit number: those that are mostly used are less than the size. */
  readonly #chains: (Chain | undefined)[];
  /** Of other ids, only as long as the device has them: a driver that cycles through all would have a chain kept for each. */
  readonly #strays = new Map<number, Chain>();
  /** The chain to walk into: the id comes last. */
  #spare: Chain | undefined;
  #windows: readonly Vmap[] = [];
  #ring: Vmap | undefined;
  #deviceEvent: Vmap | undefined;
  #words: Uint32Array = NONE_32;
  #halves: Uint16Array = NONE_16;
  #driverEvent16: Uint16Array = NONE_16;
  #deviceEvent16: Uint16Array = NONE_16;
  #next: number;
  #wrap: number;
  #usedNext: number;
  #usedWrap: number;
  /** Descriptors that the device has: never more than there are. */
  #held = 0;
  /** Descriptors used since the start, and how many of them the driver has been shown: for the arithmetic of events. */
  #usedTotal = 0;
  #shownTotal = 0;
  /** The first used descriptor that the driver has not been shown: its flags are written last, so that a batch shows at once. */
  #hidden = -1;
  #hiddenFlags = 0;

  /** @internal */
  constructor(config: QueueConfig, owner: QueueOwner) {
    super(config, owner);
    requireQueueSize(config, true);
    this.#config = config;
    this.#chains = new Array(config.size).fill(undefined);
    const { available, used, inFlight } = config.state ?? freshQueueState(true);
    for (const { slots } of inFlight) this.#held += slots;
    // A position that the ring does not have is a damaged state's; it must not become an index.
    this.#next = (available & 0x7fff) % config.size;
    this.#wrap = (available >>> 15) & 1;
    this.#usedNext = (used & 0x7fff) % config.size;
    this.#usedWrap = (used >>> 15) & 1;
  }

  override bind(): RingRefusal | undefined {
    const { size, descriptors, driver, device } = this.#config;
    const windows = openRing(
      this.space,
      [
        { address: descriptors, length: DESCRIPTOR_BYTES * size, alignment: 16, write: true },
        { address: driver, length: EVENT_BYTES, alignment: 4, write: false },
        { address: device, length: EVENT_BYTES, alignment: 4, write: true },
      ],
      this.becameStale,
    );
    if ("code" in windows) return windows;
    const [ring, driverEvent, deviceEvent] = windows as [Vmap, Vmap, Vmap];
    this.#windows = windows;
    this.#ring = ring;
    this.#deviceEvent = deviceEvent;
    this.#words = ring.u32;
    this.#halves = ring.u16;
    this.#driverEvent16 = driverEvent.u16;
    this.#deviceEvent16 = deviceEvent.u16;
    return undefined;
  }

  protected override unbind(): void {
    for (const window of this.#windows) window[Symbol.dispose]();
    this.#windows = [];
    this.#ring = undefined;
    this.#deviceEvent = undefined;
    this.#words = NONE_32;
    this.#halves = NONE_16;
    this.#driverEvent16 = NONE_16;
    this.#deviceEvent16 = NONE_16;
  }

  protected override take(): Chain | undefined {
    if (!this.#available()) return undefined;
    const chain = this.#spare ?? this.makeChain();
    this.#spare = chain;
    const at = this.#walk(chain);
    if (at === undefined) return undefined;
    if (this.#held + chain.slots > this.size) return this.#bad("ring-overrun", this.#held + chain.slots);
    if (this.claim(chain.id) === undefined) return undefined;
    this.#held += chain.slots;
    // The one walked into takes the id's place, and the id's former one is walked into next.
    this.#spare = this.#of(chain.id);
    this.#keep(chain.id, chain);
    this.journal?.took(chain, this.#words, this.#next);
    if (at <= this.#next) this.#wrap ^= 1;
    this.#next = at;
    return chain;
  }

  /** @returns the place behind the chain; undefined where it is bad */
  #walk(chain: Chain): number | undefined {
    const { walker, size } = this;
    const words = this.#words;
    walker.begin(chain);
    let at = this.#next;
    for (let count = 1; ; count++) {
      if (count > size) return this.#bad("chain-too-long", count);
      const low = words[4 * at] as number;
      const high = words[4 * at + 1] as number;
      const length = words[4 * at + 2] as number;
      const last = words[4 * at + 3] as number;
      const flags = last >>> 16;
      at = at + 1 === size ? 0 : at + 1;
      const added =
        (flags & INDIRECT) === 0
          ? walker.add(chain, low, high, length, flags) || this.failWalk()
          : this.#addTable(chain, count, low, high, length, flags);
      if (!added) return undefined;
      if ((flags & NEXT) !== 0) continue;
      chain.id = last & 0xffff;
      chain.slots = count;
      return at;
    }
  }

  #addTable(chain: Chain, count: number, low: number, high: number, length: number, flags: number): boolean {
    if (!this.indirect) return this.fail("indirect-not-negotiated", count);
    if ((flags & NEXT) !== 0) return this.fail("indirect-with-next", count);
    if (count > 1) return this.fail("indirect-in-chain", count);
    return this.walker.addTable(chain, low, high, length, false) || this.failWalk();
  }

  protected override walkAgain(chain: Chain, { descriptors }: JournalledBuffer): boolean {
    const { walker } = this;
    walker.begin(chain);
    return descriptors.every(([address, length, flags], i) => {
      const [low, high] = [address % 2 ** 32, Math.floor(address / 2 ** 32)];
      if ((flags & INDIRECT) !== 0) return this.#addTable(chain, i + 1, low, high, length, flags);
      return walker.add(chain, low, high, length, flags) || this.failWalk();
    });
  }

  #bad(code: RingFaultCode, value: number): undefined {
    this.fail(code, value);
  }

  #available(): boolean {
    const flags = Atomics.load(this.#halves, 8 * this.#next + 7);
    return ((flags >>> AVAIL_SHIFT) & 1) === this.#wrap && ((flags >>> USED_SHIFT) & 1) !== this.#wrap;
  }

  protected override claim(id: number): Chain | undefined {
    const chain = this.#of(id);
    if (chain?.taken === false) return chain;
    if (chain !== undefined) return this.#bad("head-in-flight", id);
    const made = this.makeChain();
    this.#keep(id, made);
    return made;
  }

  #of(id: number): Chain | undefined {
    return id < this.size ? this.#chains[id] : this.#strays.get(id);
  }

  #keep(id: number, chain: Chain): void {
    if (id < this.size) this.#chains[id] = chain;
    else this.#strays.set(id, chain);
  }

  /** The device has a chain no more. */
  #forget({ id, slots }: Chain): void {
    this.#held -= slots;
    if (id >= this.size) this.#strays.delete(id);
  }

  protected override untake(chain: Chain): void {
    this.#forget(chain);
    this.#next -= chain.slots;
    if (this.#next >= 0) return;
    this.#next += this.size;
    this.#wrap ^= 1;
  }

  protected override *known(): Iterable<Chain> {
    for (const chain of this.#chains) if (chain !== undefined) yield chain;
    yield* this.#strays.values();
  }

  protected override use(chain: Chain): void {
    const at = this.#usedNext;
    this.#words[4 * at + 2] = chain.written;
    this.#halves[8 * at + 6] = chain.id;
    const flags = (this.#usedWrap === 1 ? USED_FLAGS : 0) | (chain.written > 0 ? WRITE : 0);
    if (this.#hidden < 0) {
      this.#hidden = at;
      this.#hiddenFlags = flags;
    } else {
      this.#halves[8 * at + 7] = flags;
    }
    this.#usedTotal += chain.slots;
    this.#forget(chain);
    const next = at + chain.slots;
    this.#usedNext = next;
    if (next < this.size) return;
    this.#usedNext = next - this.size;
    this.#usedWrap ^= 1;
  }

  protected override publish(): boolean {
    if (this.#hidden < 0) return false;
    Atomics.store(this.#halves, 8 * this.#hidden + 7, this.#hiddenFlags);
    this.#mark(this.#hidden, this.#usedNext);
    this.#hidden = -1;
    const from = this.#shownTotal;
    this.#shownTotal = this.#usedTotal;
    const wish = Atomics.load(this.#driverEvent16, 1) & 3;
    if (wish === EVENTS_OFF) return false;
    if (wish !== EVENTS_AT || !this.eventIdx) return true;
    const event = Atomics.load(this.#driverEvent16, 0);
    // The event is a place in the ring with the wrap counter of its lap: this lap's, or the one's before.
    const lap = this.#usedTotal - this.#usedNext - (event >>> 15 === this.#usedWrap ? 0 : this.size);
    const place = lap + (event & 0x7fff);
    return place >= from && place < this.#usedTotal;
  }

  /** Records the used descriptors from one place to another, round the end of the ring where it must be. */
  #mark(from: number, to: number): void {
    const end = to > from ? to : this.size;
    this.#ring?.markDirty(DESCRIPTOR_BYTES * from, DESCRIPTOR_BYTES * (end - from));
    if (to <= from) this.#ring?.markDirty(0, DESCRIPTOR_BYTES * to);
  }

  protected override attached(): boolean {
    return this.#halves.length !== 0 && this.#driverEvent16.length !== 0 && this.#deviceEvent16.length !== 0;
  }

  protected override tellToIgnore(): void {
    this.#setDeviceEvent(0, EVENTS_OFF);
  }

  protected override tellToKick(): boolean {
    if (this.eventIdx) this.#setDeviceEvent(this.#next | (this.#wrap << 15), EVENTS_AT);
    else this.#setDeviceEvent(0, 0);
    return this.#available();
  }

  #setDeviceEvent(place: number, wish: number): void {
    this.#deviceEvent16[0] = place;
    Atomics.store(this.#deviceEvent16, 1, wish);
    this.#deviceEvent?.markDirty(0, EVENT_BYTES);
  }

  protected override position(): Omit<QueueState, "inFlight"> {
    return { available: this.#next | (this.#wrap << 15), used: this.#usedNext | (this.#usedWrap << 15) };
  }
}
