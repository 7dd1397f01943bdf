/** Events of a card: through a ring, in memory that the guest gave for them. @module */
import type { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { VenetEvent, VenetEventDesc } from "./venet-abi.ts";
import type { WaitingEvents } from "./venet-state.ts";

/** Of a guest that never takes them, so many wait. */
const MOST_WAITING = 1024;

/** Tells of changes of the link, and of frames that went out. */
export class VenetEvents implements Disposable {
  readonly #pool: VbusShm;
  readonly #ring: Ioq;
  readonly #iterator: IoqIterator;
  /** The link's state that is still to be told. */
  #link: boolean | undefined;
  #completed: bigint[] = [];
  #closed = false;

  /** @param pool - the caller's, who keeps it as long */
  constructor(pool: VbusShm, ring: Ioq) {
    this.#pool = pool;
    this.#ring = ring;
    this.#iterator = ring.iterator("inuse", { autoUpdate: true, quiet: true });
    ring.signal.listener = () => this.flush();
    ring.signal.enable();
  }

  /** The link changed. What was still to be told is old. */
  linkState(up: boolean): void {
    this.#link = up;
    this.flush();
  }

  /** A frame went out; {@link flush} tells. */
  txComplete(cookie: bigint): void {
    if (this.#completed.length < MOST_WAITING) this.#completed.push(cookie);
  }

  /** What waits goes, as far as there is room. */
  flush(): void {
    if (this.#closed) return;
    let told = false;
    if (this.#link !== undefined && this.#put(VenetEvent.linkState, VenetEventDesc.linkSize, this.#link ? 1n : 0n)) {
      this.#link = undefined;
      told = true;
    }
    let taken = 0;
    while (taken < this.#completed.length && this.#put(VenetEvent.txComplete, VenetEventDesc.txSize, this.#completed[taken] as bigint))
      taken++;
    this.#completed.splice(0, taken);
    if (told || taken > 0) this.#ring.signal.inject();
  }

  /** What is still to be told. */
  get waiting(): WaitingEvents {
    return { link: this.#link, completed: this.#completed.map(String) };
  }

  /** Goes on with what another had still to tell. */
  resume({ link, completed }: WaitingEvents): void {
    this.#link = link;
    this.#completed = completed.slice(0, MOST_WAITING).map(BigInt);
    this.flush();
  }

  /** Gives the ring back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ring[Symbol.dispose]();
  }

  #put(id: number, size: number, value: bigint): boolean {
    const iterator = this.#iterator;
    if (iterator.seek("tail") !== 0 || !iterator.mine || !iterator.valid) return false;
    // An offset into the pool, by the guest's word: read once.
    const offset = iterator.ptr;
    const { window } = this.#pool;
    if (iterator.len < size || offset + size > window.u8.length) return false;
    const { data } = window;
    data.setUint32(offset + VenetEventDesc.flags, 0, true);
    data.setUint32(offset + VenetEventDesc.size, size, true);
    data.setUint32(offset + VenetEventDesc.id, id, true);
    if (id === VenetEvent.linkState) data.setUint32(offset + VenetEventDesc.linkState, Number(value), true);
    else {
      data.setUint32(offset + VenetEventDesc.txQueue, 0, true);
      data.setBigUint64(offset + VenetEventDesc.cookie, value, true);
    }
    window.markDirty(offset, size);
    iterator.len = size;
    return iterator.push() === 0;
  }
}
