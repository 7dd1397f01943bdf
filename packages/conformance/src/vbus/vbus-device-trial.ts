/**
 * A machine without a hypervisor around a device of a bus, reached in two ways: by a program in this process, and by a guest through the
 * bridge. What the suite of such devices shakes.
 *
 * @module
 */

import {
  BridgeWindows,
  type CallResult,
  isErrno,
  LocalConnector,
  Vbus,
  VbusBridge,
  type VbusDevice,
  type VbusFault,
  VbusMemctx,
  type VbusPlugin,
} from "@virtspace/vbus";
import { AccessFault, gpa, KiB, type MemoryProvider, MiB, sharedMemory, VirtAddressSpace, type Vmap } from "@virtspace/virt-address-space";
import { turns } from "../device/event-loop.ts";
import { GuestHeap } from "./guest-heap.ts";
import type { VbusDeviceProxy } from "./vbus-device-proxy.ts";
import { VbusGuest } from "./vbus-guest.ts";

/** Bytes of the guest's memory, which begins at 0; behind it is a hole. */
export const RAM: number = 2 * MiB;
/** Nothing is here. */
export const HOLE = 0x3000_0000;
/** Memory that is only read. */
export const ROM = 0x4000_0000;
/** An I/O window. */
export const WINDOW = 0x5000_0000;
/** Nobody's memory: what lies here stays. */
const CANARY = 0x1000;
const CANARY_BYTES = 4096;
const HEAP = 0x1_0000;
const MMIO = gpa(0xd000_0000);
const PORT = gpa(0x700);

/** What a device is opened by: the same for a program and for a guest. */
export interface OpenedBy {
  /** Opens it. */
  open(version: number): CallResult;
  /** Calls it with parameters, which are then what it made of them. */
  call(func: number, data: Uint8Array): CallResult;
  /** Gives it memory of so many bytes, with these at its start. */
  share(id: number, length: number, bytes: Uint8Array): CallResult;
  /** Closes it. */
  close(): CallResult;
}

/** The machine. Dispose it to have all of it stopped. */
export class VbusDeviceTrial implements Disposable {
  readonly memory: MemoryProvider = sharedMemory(RAM);
  readonly space: VirtAddressSpace;
  readonly ports: VirtAddressSpace = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  /** What the device's code threw. */
  readonly faults: VbusFault[] = [];
  readonly bus: Vbus;
  readonly device: VbusDevice;
  readonly bridge: VbusBridge;
  readonly heap: GuestHeap;
  guest: VbusGuest;
  readonly #windows: BridgeWindows;
  readonly #opened: Vmap[] = [];
  readonly #connectors: LocalConnector[] = [];
  #stopped = false;

  constructor(plugin: VbusPlugin, random: (bytes: Uint8Array) => void) {
    this.space = VirtAddressSpace.create({ name: "guest", onFault: ({ cause }) => this.faults.push({ name: "space", cause }) });
    this.space.transaction((change) => {
      change.map({ name: "ram", base: gpa(0), memory: this.memory });
      change.map({ kind: "rom", name: "rom", base: gpa(ROM), memory: sharedMemory(64 * KiB) });
      change.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler: { read: () => 0, write: () => {} } });
    });
    const { space } = this;
    const tryVmap = space.tryVmap.bind(space);
    space.tryVmap = (...place) => {
      const window = tryVmap(...place);
      if (!(window instanceof AccessFault)) this.#opened.push(window);
      return window;
    };
    this.space.fill(gpa(CANARY), CANARY_BYTES, 0xee);
    this.heap = new GuestHeap(this.space, HEAP, RAM - HEAP);
    this.bus = new Vbus({ name: "bus", onFault: (fault) => void this.faults.push(fault) });
    this.bridge = new VbusBridge({
      bus: this.bus,
      memctx: new VbusMemctx(this.space),
      interrupt: (queue) => this.guest.interrupt(queue),
    });
    this.#windows = new BridgeWindows({ bridge: this.bridge, memory: this.space, mmio: MMIO, ports: this.ports, port: PORT });
    this.guest = this.newGuest();
    this.device = plugin.create({ machine: "guest", random });
    const connected = this.bus.connect(this.device);
    if (isErrno(connected)) throw new Error(`"${plugin.name}" can't be put on a bus: ${connected}`);
  }

  /** A guest that boots. */
  newGuest(): VbusGuest {
    return new VbusGuest({ ports: this.ports, mmio: MMIO, port: PORT, heap: this.heap });
  }

  /** Starts the guest. @returns its driver's view of the device: the first interface that it shows */
  async startGuest(): Promise<VbusDeviceProxy> {
    const result = this.guest.start();
    if (result !== 0) throw new Error(`the bridge refused the guest: ${result}`);
    for (let step = 0; step < 100 && this.guest.devices.size < this.bus.entries.length; step++) await turns(1);
    const [first] = this.guest.devices.values();
    if (first === undefined) throw new Error("the guest never heard of the device");
    return first;
  }

  /** A program in this process. */
  program(): OpenedBy {
    const connector = new LocalConnector({ bus: this.bus });
    this.#connectors.push(connector);
    let handle = 0;
    return {
      open: (version) => {
        const result = connector.open(this.bus.entries[0]?.id ?? 0, version);
        if (isErrno(result)) return result;
        handle = result;
        return 0;
      },
      call: (func, data) => connector.call(handle, func, data),
      share: (id, length, bytes) => {
        const result = connector.share(handle, id, length, ({ window }) => window.u8.set(bytes));
        return isErrno(result) ? result : 0;
      },
      close: () => connector.close(handle),
    };
  }

  /** The guest, with the same face. */
  async driver(): Promise<OpenedBy> {
    const proxy = await this.startGuest();
    return {
      open: (version) => proxy.open(version),
      call: (func, data) => {
        const at = this.heap.take(data.length);
        this.space.copyTo(at, data);
        const result = proxy.call(func, at, data.length);
        this.space.copyFrom(at, data);
        return result;
      },
      share: (id, length, bytes) => {
        const at = this.heap.take(length);
        this.space.copyTo(at, bytes);
        return proxy.share(id, at, length);
      },
      close: () => proxy.close(),
    };
  }

  /** How many windows on the guest's memory are open: the bridge's, the guest's own, and what was shared. */
  get openWindows(): number {
    return this.#opened.filter(({ valid }) => valid).length;
  }

  /** Whether the memory that is nobody's is as it was. */
  get canaryLives(): boolean {
    return this.memory
      .bytes()
      .subarray(CANARY, CANARY + CANARY_BYTES)
      .every((byte) => byte === 0xee);
  }

  /** Takes the device off its bus for good. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.bus.disconnect(this.device);
    this.device.put();
  }

  /** Ends all but the spaces. */
  end(): void {
    this.stop();
    for (const connector of this.#connectors.splice(0)) connector[Symbol.dispose]();
    this.#windows[Symbol.dispose]();
    this.bridge[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.end();
    this.space[Symbol.dispose]();
    this.ports[Symbol.dispose]();
  }
}
