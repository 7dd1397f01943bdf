/**
 * The split layout: a table of descriptors, a ring of available heads, a ring of used ones.
 *
 * @see virtio 1.3, section 2.7
 */
import type { Vmap } from "@virtspace/virt-address-space";
import type { Chain } from "./chain.ts";
import { DESCRIPTOR_BYTES, INDIRECT, NEXT } from "./chain-walker.ts";
import { type QueueConfig, requireQueueSize } from "./queue-config.ts";
import { freshQueueState, type JournalledBuffer, type QueueState } from "./queue-state.ts";
import { openRing, type RingRefusal } from "./ring-window.ts";
import { type QueueOwner, Virtqueue } from "./virtqueue.ts";

const NO_INTERRUPT = 1;
const NO_NOTIFY = 1;
const NONE_16 = new Uint16Array(0);
const NONE_32 = new Uint32Array(0);

/** A split queue. */
export class SplitQueue extends Virtqueue {
  readonly #config: QueueConfig;
  readonly #mask: number;
  /** A chain for each head, made when it is first used. */
  readonly #chains: (Chain | undefined)[];
  #windows: readonly Vmap[] = [];
  #used: Vmap | undefined;
  // Arrays of the windows: a table of descriptors, the available ring, the used ring as two kinds of words.
  #table: Uint32Array = NONE_32;
  #avail: Uint16Array = NONE_16;
  #used16: Uint16Array = NONE_16;
  #used32: Uint32Array = NONE_32;
  /** The next head to take, and how far the driver is known to be: free-running, 16 bits. */
  #next: number;
  #seen: number;
  /** The next used entry, and up to where the driver has been shown them. */
  #usedNext: number;
  #shown: number;

  /** @internal */
  constructor(config: QueueConfig, owner: QueueOwner) {
    super(config, owner);
    requireQueueSize(config, false);
    this.#config = config;
    this.#mask = config.size - 1;
    this.#chains = new Array(config.size).fill(undefined);
    const { available, used } = config.state ?? freshQueueState(false);
    this.#next = available & 0xffff;
    this.#seen = this.#next;
    this.#usedNext = used & 0xffff;
    this.#shown = this.#usedNext;
  }

  override bind(): RingRefusal | undefined {
    const { size, descriptors, driver, device } = this.#config;
    const event = this.eventIdx ? 2 : 0;
    const windows = openRing(
      this.space,
      [
        { address: descriptors, length: DESCRIPTOR_BYTES * size, alignment: 16, write: false },
        { address: driver, length: 4 + 2 * size + event, alignment: 2, write: false },
        { address: device, length: 4 + 8 * size + event, alignment: 4, write: true },
      ],
      this.becameStale,
    );
    if ("code" in windows) return windows;
    const [table, avail, used] = windows as [Vmap, Vmap, Vmap];
    this.#windows = windows;
    this.#used = used;
    this.#table = table.u32;
    this.#avail = avail.u16;
    this.#used16 = used.u16;
    this.#used32 = used.u32;
    return undefined;
  }

  protected override unbind(): void {
    for (const window of this.#windows) window[Symbol.dispose]();
    this.#windows = [];
    this.#used = undefined;
    this.#table = NONE_32;
    this.#avail = NONE_16;
    this.#used16 = NONE_16;
    this.#used32 = NONE_32;
  }

  protected override take(): Chain | undefined {
    const next = this.#next;
    if (next === this.#seen && !this.#look()) return undefined;
    const head = this.#avail[2 + (next & this.#mask)] as number;
    this.#next = (next + 1) & 0xffff;
    const chain = this.claim(head);
    if (chain === undefined || !this.#walk(chain, head)) return undefined;
    this.journal?.took(chain, this.#table, head);
    return chain;
  }

  protected override walkAgain(chain: Chain, { id }: JournalledBuffer): boolean {
    return this.#walk(chain, id);
  }

  /** Asks how far the driver is. @returns whether there is something to take */
  #look(): boolean {
    const index = Atomics.load(this.#avail, 1);
    const more = (index - this.#next) & 0xffff;
    if (more > this.size) return this.fail("index-jump", index);
    this.#seen = index;
    return more !== 0;
  }

  #walk(chain: Chain, head: number): boolean {
    const { walker, size } = this;
    const table = this.#table;
    walker.begin(chain);
    chain.id = head;
    let index = head;
    for (let count = 1; ; count++) {
      if (index >= size) return this.fail("next-out-of-range", index);
      const at = index * 4;
      const low = table[at] as number;
      const high = table[at + 1] as number;
      const length = table[at + 2] as number;
      const last = table[at + 3] as number;
      if ((last & INDIRECT) !== 0) {
        if (!this.#follow(chain, low, high, length, last)) return this.failWalk();
        chain.slots = count;
        return true;
      }
      if (!walker.add(chain, low, high, length, last & 0xffff)) return this.failWalk();
      if ((last & NEXT) === 0) {
        chain.slots = count;
        return true;
      }
      index = last >>> 16;
    }
  }

  #follow(chain: Chain, low: number, high: number, length: number, flags: number): boolean {
    if (!this.indirect) return this.walker.bad("indirect-not-negotiated", chain.id);
    if ((flags & NEXT) !== 0) return this.walker.bad("indirect-with-next", chain.id);
    return this.walker.addTable(chain, low, high, length, true);
  }

  protected override claim(head: number): Chain | undefined {
    const chain = this.#chains[head];
    if (chain?.taken === false) return chain;
    if (chain !== undefined || head >= this.size) {
      this.fail(chain === undefined ? "head-out-of-range" : "head-in-flight", head);
      return undefined;
    }
    const made = this.makeChain();
    this.#chains[head] = made;
    return made;
  }

  protected override untake(): void {
    this.#next = (this.#next - 1) & 0xffff;
  }

  protected override *known(): Iterable<Chain> {
    for (const chain of this.#chains) if (chain !== undefined) yield chain;
  }

  protected override use(chain: Chain): void {
    const at = 1 + 2 * (this.#usedNext & this.#mask);
    this.#used32[at] = chain.id;
    this.#used32[at + 1] = chain.written;
    this.#usedNext = (this.#usedNext + 1) & 0xffff;
  }

  protected override publish(): boolean {
    const from = this.#shown;
    const to = this.#usedNext;
    if (from === to) return false;
    Atomics.store(this.#used16, 1, to);
    this.#shown = to;
    this.#mark(from, to);
    if (!this.eventIdx) return (Atomics.load(this.#avail, 0) & NO_INTERRUPT) === 0;
    // The driver wants to hear when its event index is among those just shown.
    const event = Atomics.load(this.#avail, 2 + this.size);
    return ((to - event - 1) & 0xffff) < ((to - from) & 0xffff);
  }

  #mark(from: number, to: number): void {
    const first = from & this.#mask;
    const count = (to - from) & 0xffff;
    this.#used?.markDirty(0, 4);
    if (first + count <= this.size) this.#used?.markDirty(4 + 8 * first, 8 * count);
    else this.#used?.markDirty(4, 8 * this.size);
  }

  protected override attached(): boolean {
    return this.#table.length !== 0 && this.#avail.length !== 0 && this.#used16.length !== 0;
  }

  protected override tellToIgnore(): void {
    // With event indices it is enough not to move ours.
    if (!this.eventIdx) this.#setFlags(NO_NOTIFY);
  }

  protected override tellToKick(): boolean {
    if (this.eventIdx) {
      const at = 2 + 4 * this.size;
      Atomics.store(this.#used16, at, this.#next);
      this.#used?.markDirty(2 * at, 2);
    } else {
      this.#setFlags(0);
    }
    return Atomics.load(this.#avail, 1) !== this.#next;
  }

  #setFlags(flags: number): void {
    Atomics.store(this.#used16, 0, flags);
    this.#used?.markDirty(0, 2);
  }

  protected override position(): Omit<QueueState, "inFlight"> {
    return { available: this.#next, used: this.#usedNext };
  }
}
