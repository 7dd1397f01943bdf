/** A guest that goes from host to host: its processor stays the same program, and whoever runs it now gets its accesses. @module */
import { GuestHeap, VbusGuest } from "@virtspace/conformance";
import {
  type GuestAddress,
  gpa,
  type IoHandler,
  type MemoryProvider,
  MiB,
  sharedMemory,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";
import { BRIDGE_MMIO_SIZE, BRIDGE_PORTS_SIZE } from "../bridge/bridge-abi.ts";
import { BridgeWindows } from "../bridge/bridge-windows.ts";
import { VbusBridge } from "../bridge/vbus-bridge.ts";
import { Vbus, type VbusFault } from "../device/vbus.ts";
import type { VbusDevice } from "../device/vbus-device.ts";
import type { Turns } from "../host/turns-scenarios.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";

const MMIO = gpa(0xd000_0000);
const PORT = gpa(0x700);
const HEAP = 0x1_0000;

/** What a host gives to the next one, as a file would hold it. */
export interface Luggage {
  readonly bus: unknown;
  readonly bridge: unknown;
  readonly windows: readonly number[];
}

/** One host: spaces, a bus, a bridge. */
export class TrialHost implements Disposable {
  readonly memory: VirtAddressSpace;
  readonly ports: VirtAddressSpace = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  readonly bus: Vbus;
  readonly bridge: VbusBridge;
  readonly windows: BridgeWindows;
  readonly faults: VbusFault[] = [];

  constructor(name: string, ram: MemoryProvider, devices: readonly VbusDevice[], turns: Turns, interrupt: (queue: number) => void) {
    this.memory = VirtAddressSpace.create({ name });
    this.memory.map({ name: "ram", base: gpa(0), memory: ram });
    this.bus = new Vbus({ name, onFault: (fault) => void this.faults.push(fault) });
    for (const device of devices) this.bus.connect(device);
    this.bridge = new VbusBridge({ bus: this.bus, memctx: new VbusMemctx(this.memory), interrupt, host: turns });
    this.windows = new BridgeWindows({ bridge: this.bridge, memory: this.memory, ports: this.ports, mmio: MMIO, port: PORT });
  }

  save(): Luggage {
    return JSON.parse(JSON.stringify({ windows: this.windows.save(), bus: this.bus.save(), bridge: this.bridge.save() })) as Luggage;
  }

  restore({ bus, bridge, windows }: Luggage): void {
    this.bus.restore(bus);
    this.windows.restore(windows);
    this.bridge.restore(bridge);
  }

  [Symbol.dispose](): void {
    this.windows[Symbol.dispose]();
    this.bridge[Symbol.dispose]();
    for (const device of this.bus.devices) this.bus.disconnect(device);
    this.memory[Symbol.dispose]();
    this.ports[Symbol.dispose]();
  }
}

/** The guest. */
export class MovingGuest implements Disposable {
  readonly ram: MemoryProvider = sharedMemory(4 * MiB);
  readonly guest: VbusGuest;
  readonly turns: Turns;
  host: TrialHost;
  readonly #memory = VirtAddressSpace.create({ name: "what the processor sees" });
  readonly #ports = VirtAddressSpace.create({ name: "its ports", size: 0x1_0000 });

  constructor(turns: Turns, devices: readonly VbusDevice[], choice: { readonly events?: number; readonly queues?: number } = {}) {
    this.turns = turns;
    this.host = this.hostWith("first", devices);
    this.#memory.map({ name: "ram", base: gpa(0), memory: this.ram });
    this.#forward(this.#memory, MMIO, BRIDGE_MMIO_SIZE, () => this.host.memory);
    this.#forward(this.#ports, PORT, BRIDGE_PORTS_SIZE, () => this.host.ports);
    const heap = new GuestHeap(this.#memory, HEAP, 4 * MiB - HEAP);
    this.guest = new VbusGuest({ ...choice, ports: this.#ports, mmio: MMIO, port: PORT, heap, host: turns });
  }

  hostWith(name: string, devices: readonly VbusDevice[]): TrialHost {
    return new TrialHost(name, this.ram, devices, this.turns, (queue) => this.guest.interrupt(queue));
  }

  /** Goes to another host: the old one is gone before the new one knows of the guest. */
  move(name: string, devices: () => readonly VbusDevice[]): void {
    const luggage = this.host.save();
    this.host[Symbol.dispose]();
    this.host = this.hostWith(name, devices());
    this.host.restore(luggage);
  }

  /** Until nobody has anything to do. */
  settle(): Promise<void> {
    return this.turns.settleAll();
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
    this.#ports[Symbol.dispose]();
  }

  #forward(space: VirtAddressSpace, base: GuestAddress, size: number, to: () => VirtAddressSpace): void {
    const handler: IoHandler = {
      read: (offset) => to().readU32(gpa(base + offset)) ?? 0,
      write: (offset, _bytes, value) => void to().writeU32(gpa(base + offset), value),
    };
    space.map({ kind: "io", name: "the bridge", base, size, handler });
  }
}
