/**
 * A guest on the far side of a vbus bridge: it finds devices by events, drivers by the devices' types, and speaks the bridge's ABI with
 * reads and writes of its memory and ports, as one in a machine does.
 *
 * @module
 */
import {
  BRIDGE_MAGIC,
  BRIDGE_VERSION,
  BridgeCall,
  BridgeCounters,
  BridgeEvent,
  BridgePort,
  BusReg,
  CallDesc,
  type CallResult,
  EventDesc,
  FastcallDesc,
  Ioq,
  ioqSize,
  isErrno,
  Negotiate,
  PRIORITIES,
  resultOf,
  type ShmSignal,
  type VbusHost,
  VbusMemctx,
} from "@virtspace/vbus";
import { advance, type GuestAddress, gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { type BusCallAnswer, type BusCaller, type HostChoice, quad } from "./bus-caller.ts";
import type { GuestHeap } from "./guest-heap.ts";
import { VbusDeviceProxy } from "./vbus-device-proxy.ts";

/** A driver, for devices of a type. */
export interface VbusDriver {
  /** Of the devices that it drives. */
  readonly type: string;
  /** A device of that type is there. */
  probe(device: VbusDeviceProxy): void;
  /** It is gone. */
  remove?(device: VbusDeviceProxy): void;
}

/** Where a guest finds its bridge. */
export interface VbusGuestOptions {
  /** The guest's ports. */
  readonly ports: VirtAddressSpace;
  /** Where the bridge's window in memory begins. */
  readonly mmio: GuestAddress;
  /** Its first port. */
  readonly port: GuestAddress;
  /** Memory for the driver. */
  readonly heap: GuestHeap;
  /** How many event queues; 8 unless given. */
  readonly queues?: number;
  /** How many events a queue has; 16 unless given. */
  readonly events?: number;
  /** Whether calls to the bus go by a descriptor of the processor's, and a port; they do unless this says no. */
  readonly fastcalls?: boolean;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

const CHANNEL = 0;

interface Queue {
  readonly ring: Ioq;
  readonly address: GuestAddress;
  readonly data: GuestAddress;
}

/** The guest's end of a bridge. */
export class VbusGuest implements BusCaller {
  /** What it counts, by the names of the originals. */
  readonly counters: BridgeCounters = new BridgeCounters();
  /** The devices that it knows, by number. */
  readonly devices: Map<bigint, VbusDeviceProxy> = new Map();
  /** The guest's memory. */
  readonly heap: GuestHeap;
  readonly #options: VbusGuestOptions;
  readonly #memctx: VbusMemctx;
  readonly #drivers = new Map<string, VbusDriver>();
  readonly #signals = new Map<bigint, ShmSignal>();
  readonly #params: GuestAddress;
  readonly #fastcall: GuestAddress;
  #queues: readonly Queue[] = [];
  #nextCookie = 1n;

  constructor(options: VbusGuestOptions) {
    this.#options = options;
    this.heap = options.heap;
    this.#memctx = new VbusMemctx(options.heap.space);
    this.#params = this.heap.take(1024);
    this.#fastcall = this.heap.take(FastcallDesc.size);
  }

  /** Adds a driver: devices of its type that are there are its own from now on. */
  register(driver: VbusDriver): void {
    this.#drivers.set(driver.type, driver);
    for (const device of this.devices.values()) if (device.type === driver.type) driver.probe(device);
  }

  /** Negotiates, registers event queues, and a processor's descriptor. @returns 0, or what the bridge says */
  start(): CallResult {
    const { queues = PRIORITIES, fastcalls = true } = this.#options;
    const negotiated = this.bridgecall(BridgeCall.negotiate, this.#struct([BRIDGE_MAGIC, BRIDGE_VERSION, 0, 0]), Negotiate.size);
    if (negotiated !== 0) return negotiated;
    this.#queues = Array.from({ length: queues }, () => this.#makeQueue());
    const entries = this.#queues.flatMap(({ ring, address, data }) => [ring.count, 0, ...quad(address), ...quad(data)]);
    const registration = this.#struct([queues, 0, ...entries]);
    const registered = this.bridgecall(BridgeCall.qreg, registration, BusReg.queues + queues * BusReg.entry.size);
    if (registered !== 0 || !fastcalls) return registered;
    const channel = this.#struct([CHANNEL, FastcallDesc.size, ...quad(this.#fastcall)]);
    return this.bridgecall(BridgeCall.fastcallAdd, channel, CallDesc.size);
  }

  /** The bridge interrupts: a queue has news. */
  interrupt(queue: number): void {
    this.counters.qnotify++;
    this.#queues[queue]?.ring.signal.wake();
  }

  /** Calls the bridge. @param params - their address; @param length - bytes */
  bridgecall(vector: number, params: GuestAddress, length: number): CallResult {
    this.counters.bridgecalls++;
    const { mmio } = this.#options;
    const { space } = this.heap;
    [vector, length, ...quad(params)].forEach((word, i) => {
      space.writeU32(advance(mmio, 4 * i), word);
    });
    return resultOf((space.readU32(mmio) as number) | 0);
  }

  /** Calls the bus, with a structure of words. @returns the result, and the words as they are then */
  buscall(vector: number, words: readonly number[]): BusCallAnswer {
    this.counters.buscalls++;
    const { fastcalls = true, ports, port } = this.#options;
    const { space } = this.heap;
    const params = this.#struct(words);
    const call = [vector, words.length * 4, ...quad(params)];
    let result: CallResult;
    if (fastcalls) {
      call.forEach((word, i) => {
        space.writeU32(advance(this.#fastcall, 4 * i), word);
      });
      ports.writeU32(advance(port, BridgePort.fastcall), CHANNEL);
      result = resultOf((space.readU32(advance(this.#fastcall, FastcallDesc.result)) as number) | 0);
    } else {
      const outer = advance(this.#params, 512);
      call.forEach((word, i) => {
        space.writeU32(advance(outer, 4 * i), word);
      });
      result = this.bridgecall(BridgeCall.slowcall, outer, CallDesc.size);
    }
    return { result, words: words.map((_, i) => space.readU32(advance(params, 4 * i)) as number) };
  }

  /** Has events of a cookie wake a signal. */
  listen(signal: (cookie: bigint) => ShmSignal): ShmSignal {
    const cookie = this.#nextCookie++;
    const made = signal(cookie);
    this.#signals.set(cookie, made);
    return made;
  }

  /** Nothing comes of a signal any more. */
  forget(signal: ShmSignal): void {
    for (const [cookie, each] of this.#signals) if (each === signal) this.#signals.delete(cookie);
  }

  /** Tells a device of news. */
  shmsignal(handle: number): void {
    this.counters.inject++;
    this.#options.ports.writeU32(advance(this.#options.port, BridgePort.shmsignal), handle);
  }

  /** The guest's memory, to have shared memory from. */
  get memctx(): VbusMemctx {
    return this.#memctx;
  }

  /** Services of the host, where they were replaced. */
  get host(): HostChoice {
    return this.#options.host === undefined ? {} : { host: this.#options.host };
  }

  #makeQueue(): Queue {
    const { events = 16, ports, port } = this.#options;
    const data = this.heap.take(events * EventDesc.size);
    const address = this.heap.take(ioqSize(events));
    const shm = this.#memctx.shm(address, ioqSize(events));
    if (isErrno(shm)) throw new Error(`the guest's own ring is no memory: ${shm}`);
    const inject = (): void => {
      this.counters.qinject++;
      ports.writeU32(advance(port, BridgePort.eventq), 0);
    };
    const ring = Ioq.create({ shm, count: events, inject, ...this.host });
    shm.put();
    const post = ring.iterator("valid", { autoUpdate: true });
    for (let i = 0; i < events; i++) {
      post.ptr = data + i * EventDesc.size;
      post.len = EventDesc.size;
      post.valid = true;
      post.push();
    }
    ring.signal.listener = () => this.#takeEvents(ring);
    ring.signal.enable();
    return { ring, address, data };
  }

  #takeEvents(ring: Ioq): void {
    const iterator = ring.iterator("inuse", { autoUpdate: true });
    for (iterator.seek("head"); iterator.mine && ring.used("inuse") !== 0; ) {
      const address = gpa(iterator.ptr);
      const { space } = this.heap;
      const id = space.readU32(address) as number;
      const subject = space.readBigU64(advance(address, EventDesc.data)) as bigint;
      const type = id === BridgeEvent.devadd ? textAt(space, advance(address, EventDesc.type)) : "";
      const popped = iterator.pop();
      this.counters.events++;
      this.#event(id, subject, type);
      // A ring that was written over goes no further.
      if (popped !== 0) return;
    }
  }

  #event(id: number, subject: bigint, type: string): void {
    if (id === BridgeEvent.devadd) {
      const device = new VbusDeviceProxy(this, type, subject);
      this.devices.set(subject, device);
      this.#drivers.get(type)?.probe(device);
    } else if (id === BridgeEvent.devdrop) {
      const device = this.devices.get(subject);
      this.devices.delete(subject);
      if (device !== undefined) this.#drivers.get(device.type)?.remove?.(device);
    } else if (id === BridgeEvent.shmsignal) {
      this.counters.notify++;
      this.#signals.get(subject)?.wake();
    } else if (id === BridgeEvent.shmclose) {
      this.#signals.delete(subject);
    }
  }

  #struct(words: readonly number[]): GuestAddress {
    words.forEach((word, i) => {
      this.heap.space.writeU32(advance(this.#params, 4 * i), word);
    });
    return this.#params;
  }
}

function textAt(space: VirtAddressSpace, address: GuestAddress): string {
  let text = "";
  for (let at = address; text.length < EventDesc.typeSize; at = advance(at, 1)) {
    const byte = space.readU8(at) as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}
