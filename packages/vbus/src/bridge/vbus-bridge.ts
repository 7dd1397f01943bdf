/**
 * The bridge: a bus as a guest sees it. Calls to the bridge set it up, calls to the bus open and use devices, and events come back through
 * rings. Whatever a guest asks for is answered by a number; nothing that it writes throws.
 *
 * @module
 */
import { type SignalRequest, VbusClient } from "../client/vbus-client.ts";
import type { Vbus } from "../device/vbus.ts";
import { type CallResult, type ErrnoName, isErrno, returnValue } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { defaultVbusHost, type VbusHost } from "../host/host.ts";
import { guestStruct, quadAt } from "../memory/guest-struct.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { BRIDGE_STATE, type BridgeState, type EventState, requireShape } from "../state/vbus-state.ts";
import {
  BRIDGE_MAGIC,
  BRIDGE_VERSION,
  BridgeCall,
  BridgeEvent,
  BUS_PRIORITY,
  BusCall,
  BusReg,
  CallDesc,
  DevCall,
  DevClose,
  DevOpen,
  DevShm,
  FastcallDesc,
  MOST_CHANNELS,
  Negotiate,
  NO_SIGNAL,
  PRIORITIES,
} from "./bridge-abi.ts";
import { BridgeCounters } from "./bridge-counters.ts";
import { type BusEvent, EventQueue, type EventQueuePlace } from "./event-queue.ts";

/** How a bridge is made. */
export interface VbusBridgeOptions {
  /** The bus. */
  readonly bus: Vbus;
  /** The guest's memory. */
  readonly memctx: VbusMemctx;
  /** Interrupts the guest: an event queue has news. */
  readonly interrupt: (queue: number) => void;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

/** A bridge, for one guest. It has no windows of its own: {@link BridgeWindows} has. */
export class VbusBridge implements Disposable {
  /** What it counts. */
  readonly counters: BridgeCounters = new BridgeCounters();
  readonly #options: VbusBridgeOptions;
  readonly #host: VbusHost;
  readonly #client: VbusClient;
  readonly #fastcalls = new Map<number, VbusShm>();
  #negotiated = false;
  #queues: readonly EventQueue[] = [];
  #listening: Disposable | undefined;

  constructor(options: VbusBridgeOptions) {
    this.#options = options;
    const { bus, memctx, host = defaultVbusHost } = options;
    this.#host = host;
    this.#client = new VbusClient({
      bus,
      memctx,
      host,
      signalled: (request) => {
        this.counters.notify++;
        this.#send(request.prio, { id: BridgeEvent.shmsignal, subject: request.cookie });
      },
      dropped: (request) => this.#send(request.prio, { id: BridgeEvent.shmclose, subject: request.cookie }),
    });
  }

  /** How many handles the guest has open. */
  get openHandles(): number {
    return this.#client.openHandles;
  }

  /** Events that wait for room, by queue. */
  get backlog(): readonly (readonly BusEvent[])[] {
    return this.#queues.map(({ backlog }) => backlog);
  }

  /**
   * A call to the bridge.
   *
   * @returns what the guest reads: a signed number
   */
  bridgecall(vector: number, len: number, datap: number): number {
    this.counters.bridgecalls++;
    return returnValue(this.#bridgecall(vector, len, datap));
  }

  /** A call to the bus through a processor's descriptor, which holds the result then. A channel that nobody has does nothing. */
  fastcall(channel: number): void {
    const shm = this.#fastcalls.get(channel);
    if (shm === undefined) return;
    const { window } = shm;
    if (!window.valid) return;
    // Copied, and only then looked at.
    const call = new DataView(window.u8.slice(FastcallDesc.call, FastcallDesc.call + CallDesc.size).buffer);
    const result = returnValue(
      this.#buscall(call.getUint32(CallDesc.vector, true), call.getUint32(CallDesc.len, true), quadAt(call, CallDesc.datap)),
    );
    // The call may have taken the memory away.
    if (!window.valid) return;
    window.data.setInt32(FastcallDesc.result, result, true);
    window.markDirty(FastcallDesc.result, 4);
  }

  /** The guest has news for a device. */
  shmsignal(handle: number): void {
    this.counters.inject++;
    this.#client.shmsignal(handle);
  }

  /** The guest has taken events. */
  eventq(): void {
    this.counters.qinject++;
    for (const queue of this.#queues) queue.wake();
  }

  /**
   * What it knows of its guest, for where the guest goes. Save it between two turns of the event loop, with the guest standing still: it is
   * closed then, and writes nothing into the guest's memory any more.
   */
  save(): BridgeState {
    const client = this.#client.save();
    const state = {
      negotiated: this.#negotiated,
      queues: this.#queues.map((queue) => queue.save()),
      fastcalls: [...this.#fastcalls].map(([channel, { window }]) => ({ channel, address: window.address })),
      known: this.#options.bus.entries.map(({ id }) => id),
      client,
    };
    // The guest must not hear that its devices were closed: for it they were not.
    for (const queue of this.#queues) queue[Symbol.dispose]();
    this.#queues = [];
    this[Symbol.dispose]();
    return state;
  }

  /**
   * Goes on for a guest that was moved here, whose memory is here already. What the guest has broken there is gone for it, and no fault of ours.
   *
   * @throws {@link VbusError} `bad-state`; `busy` where a guest has begun already
   */
  restore(state: unknown): void {
    const { negotiated, queues, fastcalls, known, client } = requireShape<BridgeState>(state, BRIDGE_STATE, "bridge");
    if (this.#negotiated || this.#client.openHandles > 0) throw new VbusError("busy", "this bridge has a guest: restore into a new one");
    this.#negotiated = negotiated;
    const opened = queues.map((place, index) => ({ queue: this.#openQueue(index, place), backlog: place.backlog }));
    const running = opened.filter((each): each is { queue: EventQueue; backlog: readonly EventState[] } => !isErrno(each.queue));
    this.#queues = running.map(({ queue }) => queue);
    for (const { channel, address } of fastcalls) {
      const shm = this.#options.memctx.shm(address, FastcallDesc.size);
      if (!isErrno(shm)) this.#fastcalls.set(channel, shm);
    }
    this.#client.restore(client);
    if (this.#queues.length > 0) this.#tellOfDevices(new Set(known));
    for (const { queue, backlog } of running) queue.resume(backlog);
  }

  /** As it was in the beginning: all is closed. */
  reset(): void {
    this.#negotiated = false;
    this.#listening?.[Symbol.dispose]();
    this.#listening = undefined;
    this.#client.reset();
    for (const queue of this.#queues) queue[Symbol.dispose]();
    this.#queues = [];
    for (const shm of this.#fastcalls.values()) shm.put();
    this.#fastcalls.clear();
  }

  /** Closes all. Idempotent. */
  [Symbol.dispose](): void {
    this.reset();
    this.#client[Symbol.dispose]();
  }

  #bridgecall(vector: number, len: number, datap: number): CallResult {
    if (vector === BridgeCall.negotiate) return this.#negotiate(len, datap);
    if (!this.#negotiated) return "EINVAL";
    switch (vector) {
      case BridgeCall.qreg:
        return this.#registerQueues(len, datap);
      case BridgeCall.slowcall: {
        const call = guestStruct(this.#options.memctx, datap, len, CallDesc.size);
        if (isErrno(call)) return call;
        return this.#buscall(call.getUint32(CallDesc.vector, true), call.getUint32(CallDesc.len, true), quadAt(call, CallDesc.datap));
      }
      case BridgeCall.fastcallAdd:
        return this.#addFastcall(len, datap);
      case BridgeCall.fastcallDrop:
        return this.#dropFastcall(len, datap);
      default:
        return "EINVAL";
    }
  }

  #negotiate(len: number, datap: number): CallResult {
    const { memctx } = this.#options;
    const asked = guestStruct(memctx, datap, len, Negotiate.size);
    if (isErrno(asked)) return asked;
    this.reset();
    if (asked.getUint32(Negotiate.magic, true) !== BRIDGE_MAGIC) return "EINVAL";
    if (asked.getUint32(Negotiate.version, true) !== BRIDGE_VERSION) return "EINVAL";
    // None has been thought of yet.
    asked.setBigUint64(Negotiate.capabilities, 0n, true);
    if (memctx.copyTo(datap, new Uint8Array(asked.buffer)) > 0) return "EFAULT";
    this.#negotiated = true;
    return 0;
  }

  #registerQueues(len: number, datap: number): CallResult {
    const { memctx } = this.#options;
    if (this.#queues.length > 0) return "EEXIST";
    const { entry } = BusReg;
    const count = (len - BusReg.queues) / entry.size;
    if (!Number.isInteger(count) || count < 1 || count > PRIORITIES) return "EINVAL";
    const asked = guestStruct(memctx, datap, len, len);
    if (isErrno(asked)) return asked;
    if (asked.getUint32(BusReg.count, true) !== count) return "EINVAL";
    const queues: EventQueue[] = [];
    for (let index = 0; index < count; index++) {
      const at = BusReg.queues + index * entry.size;
      const [ring, data] = [quadAt(asked, at + entry.ring), quadAt(asked, at + entry.data)];
      const queue = this.#openQueue(index, { count: asked.getUint32(at + entry.count, true), ring, data });
      if (isErrno(queue)) {
        for (const made of queues) made[Symbol.dispose]();
        return queue;
      }
      queues.push(queue);
    }
    this.#queues = queues;
    this.#tellOfDevices();
    return 0;
  }

  #openQueue(index: number, { count, ring, data }: EventQueuePlace): EventQueue | ErrnoName {
    const { memctx } = this.#options;
    return EventQueue.open({ count, ring, data, memctx, host: this.#host, interrupt: () => this.#interrupt(index) });
  }

  /** @param known - devices that the guest was told of elsewhere */
  #tellOfDevices(known: ReadonlySet<number> = new Set()): void {
    const { bus } = this.#options;
    for (const id of known) if (bus.find(id) === undefined) this.#send(BUS_PRIORITY, { id: BridgeEvent.devdrop, subject: BigInt(id) });
    this.#listening = bus.listen(({ kind, id, shown: { type } }) => {
      const event: BusEvent =
        kind === "devadd" ? { id: BridgeEvent.devadd, subject: BigInt(id), type } : { id: BridgeEvent.devdrop, subject: BigInt(id) };
      this.#send(BUS_PRIORITY, event);
    }, known);
  }

  #addFastcall(len: number, datap: number): CallResult {
    const { memctx } = this.#options;
    const asked = guestStruct(memctx, datap, len, CallDesc.size);
    if (isErrno(asked)) return asked;
    const channel = asked.getUint32(CallDesc.vector, true);
    if (channel >= MOST_CHANNELS || asked.getUint32(CallDesc.len, true) !== FastcallDesc.size) return "EINVAL";
    if (this.#fastcalls.has(channel)) return "EEXIST";
    const shm = memctx.shm(quadAt(asked, CallDesc.datap), FastcallDesc.size);
    if (isErrno(shm)) return shm;
    this.#fastcalls.set(channel, shm);
    return 0;
  }

  #dropFastcall(len: number, datap: number): CallResult {
    const asked = guestStruct(this.#options.memctx, datap, len, CallDesc.size);
    if (isErrno(asked)) return asked;
    const channel = asked.getUint32(CallDesc.vector, true);
    const shm = this.#fastcalls.get(channel);
    if (shm === undefined) return "ENOENT";
    this.#fastcalls.delete(channel);
    shm.put();
    return 0;
  }

  #buscall(vector: number, len: number, datap: number): CallResult {
    this.counters.buscalls++;
    const { memctx } = this.#options;
    const asked = guestStruct(memctx, datap, len, SIZES[vector] ?? -1);
    if (isErrno(asked)) return asked;
    switch (vector) {
      case BusCall.devopen: {
        const handle = this.#client.deviceopen(asked.getUint32(DevOpen.devid, true), asked.getUint32(DevOpen.version, true));
        if (isErrno(handle)) return handle;
        asked.setBigUint64(DevOpen.handle, BigInt(handle), true);
        if (memctx.copyTo(datap, new Uint8Array(asked.buffer)) === 0) return 0;
        // The guest will never know its handle.
        this.#client.deviceclose(handle);
        return "EFAULT";
      }
      case BusCall.devclose:
        return this.#client.deviceclose(quadAt(asked, DevClose.devh));
      case BusCall.devcall: {
        const [func, length, flags] = [DevCall.func, DevCall.len, DevCall.flags].map((offset) => asked.getUint32(offset, true)) as [
          number,
          number,
          number,
        ];
        return this.#client.devicecall(quadAt(asked, DevCall.devh), func, quadAt(asked, DevCall.datap), length, flags);
      }
      default:
        return this.#deviceShm(asked);
    }
  }

  #deviceShm(asked: DataView): CallResult {
    const [id, len, flags, offset, prio] = [DevShm.id, DevShm.len, DevShm.flags, DevShm.signalOffset, DevShm.signalPrio].map((at) =>
      asked.getUint32(at, true),
    ) as [number, number, number, number, number];
    if (offset !== NO_SIGNAL && prio >= PRIORITIES) return "EINVAL";
    const request: SignalRequest | undefined =
      offset === NO_SIGNAL ? undefined : { offset, prio, cookie: asked.getBigUint64(DevShm.signalCookie, true) };
    return this.#client.deviceshm(quadAt(asked, DevShm.devh), id, quadAt(asked, DevShm.datap), len, flags, request);
  }

  #send(prio: number, event: BusEvent): void {
    const queue = this.#queues[Math.min(prio, this.#queues.length - 1)];
    if (queue === undefined) return;
    this.counters.events++;
    queue.send(event);
  }

  #interrupt(queue: number): void {
    this.counters.qnotify++;
    this.#options.interrupt(queue);
  }
}

const SIZES: Readonly<Record<number, number>> = {
  [BusCall.devopen]: DevOpen.size,
  [BusCall.devclose]: DevClose.size,
  [BusCall.devcall]: DevCall.size,
  [BusCall.devshm]: DevShm.size,
};
