/**
 * Events for a guest, through a ring of its own: what the ring has no room for waits in a list, and an event that waits is not told twice.
 *
 * @module
 */
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import type { VbusHost } from "../host/host.ts";
import { Ioq } from "../ioq/ioq.ts";
import type { IoqIterator } from "../ioq/ioq-iterator.ts";
import { IoqOffset, ioqSize } from "../ioq/ioq-layout.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import type { EventQueueState, EventState } from "../state/vbus-state.ts";
import { BridgeEvent, EventDesc, MOST_EVENTS } from "./bridge-abi.ts";

/** An event. */
export interface BusEvent {
  /** Which: one of {@link BridgeEvent}. */
  readonly id: number;
  /** The device's number, or the guest's word for the signal. */
  readonly subject: bigint;
  /** Of a device that came. */
  readonly type?: string;
}

/** Where a guest wants its events. */
export interface EventQueuePlace {
  readonly count: number;
  /** Of the ring: an address. */
  readonly ring: number;
  /** Of the events: an address. */
  readonly data: number;
}

/** How a queue is made. */
export interface EventQueueOptions extends EventQueuePlace {
  readonly memctx: VbusMemctx;
  /** Interrupts the guest. */
  readonly interrupt: () => void;
  readonly host: VbusHost;
}

/** A queue. */
export class EventQueue implements Disposable {
  readonly #ioq: Ioq;
  readonly #data: VbusShm;
  readonly #place: EventQueuePlace;
  readonly #iterator: IoqIterator;
  /** By what they say, in their order. */
  readonly #backlog = new Map<string, BusEvent>();
  #closed = false;

  private constructor(ioq: Ioq, data: VbusShm, place: EventQueuePlace) {
    this.#ioq = ioq;
    this.#data = data;
    this.#place = place;
    this.#iterator = ioq.iterator("inuse", { autoUpdate: true });
    ioq.signal.listener = () => this.flush();
    ioq.signal.enable();
  }

  /** @returns the queue; `EINVAL`, `EFAULT` where ring or events are none */
  static open({ memctx, interrupt, host, ...place }: EventQueueOptions): EventQueue | ErrnoName {
    const { count, ring, data } = place;
    if (count < 1 || count > MOST_EVENTS) return "EINVAL";
    const shm = memctx.shm(ring, ioqSize(count));
    if (isErrno(shm)) return shm;
    const events = memctx.shm(data, count * EventDesc.size);
    const found = isErrno(events) ? events : ringIn(shm, interrupt, host, count);
    shm.put();
    if (!isErrno(found) && !isErrno(events)) return new EventQueue(found, events, place);
    if (!isErrno(events)) events.put();
    return isErrno(found) ? found : "EINVAL";
  }

  /** Events that wait. */
  get backlog(): readonly BusEvent[] {
    return [...this.#backlog.values()];
  }

  /** Tells an event, when there is room for it. */
  send(event: BusEvent): void {
    if (this.#closed) return;
    // A device that came and went, and the guest has heard of neither.
    if (event.id === BridgeEvent.devdrop && this.#backlog.delete(keyOf({ id: BridgeEvent.devadd, subject: event.subject }))) return;
    this.#backlog.set(keyOf(event), event);
    this.flush();
  }

  /** What waits goes, as far as there is room. */
  flush(): void {
    if (this.#closed) return;
    for (const [key, event] of this.#backlog) {
      if (!this.#put(event)) return;
      this.#backlog.delete(key);
    }
  }

  /** Where it is, and what waits. */
  save(): EventQueueState {
    const backlog = this.backlog.map(({ id, subject, type }) => ({ id, subject: `${subject}`, type }));
    return { ...this.#place, backlog };
  }

  /** Goes on where another stood: the guest is interrupted, where it was to be. */
  resume(backlog: readonly EventState[]): void {
    for (const { id, subject, type } of backlog) this.send({ id, subject: BigInt(subject), ...(type !== undefined && { type }) });
    this.#ioq.signal.remind();
  }

  /** The guest has taken events: what waits may go. */
  wake(): void {
    this.#ioq.signal.wake();
  }

  /** Gives the guest's memory back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#backlog.clear();
    this.#ioq[Symbol.dispose]();
    this.#data.put();
  }

  /** @returns whether there was room */
  #put(event: BusEvent): boolean {
    const iterator = this.#iterator;
    if (iterator.seek("tail") !== 0 || !iterator.mine) return false;
    // Read once: the guest may write another there now.
    const offset = iterator.ptr - this.#place.data;
    const { window } = this.#data;
    if (offset < 0 || offset + EventDesc.size > window.u8.length) return false;
    const bytes = window.u8.subarray(offset, offset + EventDesc.size).fill(0);
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    data.setUint32(EventDesc.id, event.id, true);
    data.setBigUint64(EventDesc.data, event.subject, true);
    const { type = "" } = event;
    for (let i = 0; i < Math.min(type.length, EventDesc.typeSize - 1); i++) bytes[EventDesc.type + i] = type.charCodeAt(i);
    window.markDirty(offset, EventDesc.size);
    iterator.len = EventDesc.size;
    iterator.valid = true;
    return iterator.push() === 0;
  }
}

function ringIn(shm: VbusShm, inject: () => void, host: VbusHost, count: number): Ioq | ErrnoName {
  if (!ShmSignal.isAt(shm, IoqOffset.signal)) return "EINVAL";
  const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "south", inject, host });
  const ioq = Ioq.attach({ shm, locale: "south", signal }, count);
  if (isErrno(ioq)) signal[Symbol.dispose]();
  return ioq;
}

const keyOf = ({ id, subject }: Pick<BusEvent, "id" | "subject">): string => `${id} ${subject}`;
