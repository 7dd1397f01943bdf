/** A machine without a hypervisor, for tests: a bus, a bridge in its windows, and a guest that plays the driver. @module */
import { GuestHeap, VbusGuest } from "@virtspace/conformance";
import { gpa, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { Vbus, type VbusFault } from "../device/vbus.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import { BridgeWindows } from "./bridge-windows.ts";
import { VbusBridge } from "./vbus-bridge.ts";

export const MMIO = gpa(0xd000_0000);
export const PORT = gpa(0x700);
const RAM = 1 << 22;
const HEAP = 0x1_0000;

export interface GuestChoice {
  readonly queues?: number;
  readonly events?: number;
  readonly fastcalls?: boolean;
}

/** Parts that belong together; notifiers of the spaces call back in microtasks, all else when {@link Turns} turn. */
export class BridgedMachine implements Disposable {
  readonly turns: Turns = new Turns();
  readonly faults: VbusFault[] = [];
  readonly interrupts: number[] = [];
  readonly memory: VirtAddressSpace = VirtAddressSpace.create({
    name: "guest",
    onFault: ({ cause }) => this.faults.push({ name: "space", cause }),
  });
  readonly ports: VirtAddressSpace = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  readonly bus: Vbus = new Vbus({ name: "bus", onFault: (fault) => void this.faults.push(fault) });
  readonly bridge: VbusBridge;
  readonly windows: BridgeWindows;
  readonly heap: GuestHeap;
  guest: VbusGuest;

  constructor(choice: GuestChoice = {}) {
    this.memory.map({ name: "ram", base: gpa(0), memory: sharedMemory(RAM) });
    this.heap = new GuestHeap(this.memory, HEAP, RAM - HEAP);
    this.bridge = new VbusBridge({
      bus: this.bus,
      memctx: new VbusMemctx(this.memory),
      interrupt: (queue) => {
        this.interrupts.push(queue);
        this.guest.interrupt(queue);
      },
      host: this.turns,
    });
    this.windows = new BridgeWindows({ bridge: this.bridge, memory: this.memory, mmio: MMIO, ports: this.ports, port: PORT });
    this.guest = this.newGuest(choice);
  }

  newGuest(choice: GuestChoice = {}): VbusGuest {
    return new VbusGuest({ ...choice, ports: this.ports, mmio: MMIO, port: PORT, heap: this.heap, host: this.turns });
  }

  /** Until nobody has anything to do. */
  settle(): Promise<void> {
    return this.turns.settleAll();
  }

  [Symbol.dispose](): void {
    this.windows[Symbol.dispose]();
    this.bridge[Symbol.dispose]();
    this.memory[Symbol.dispose]();
    this.ports[Symbol.dispose]();
  }
}
