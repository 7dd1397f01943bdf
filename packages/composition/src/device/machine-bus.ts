/** A machine's virtual bus: with its bridge, where guests find it. @module */
import type { VirtualMachine } from "@virtspace/hypervisor";
import {
  type BridgeState,
  BridgeWindows,
  type BusState,
  Vbus,
  VbusAdmin,
  VbusBridge,
  type VbusFault,
  type VbusHost,
  VbusMemctx,
} from "@virtspace/vbus";
import { DisposableStack, type Notifier, type VirtAddressSpace } from "@virtspace/virt-address-space";
import type { BridgeSlot } from "./device-slots.ts";

/** What it is put together from. */
export interface MachineBusOptions {
  /** Its name. */
  readonly name: string;
  /** The guest's memory, as it was passed to this bus. */
  readonly memory: VirtAddressSpace;
  /** The guest's ports. */
  readonly ports: VirtAddressSpace;
  /** The machine of the hypervisor. */
  readonly vm: VirtualMachine;
  /** Where the bridge is. */
  readonly slot: BridgeSlot;
  /** Later turns of the event loop. */
  readonly host: VbusHost;
  /** Makes what the guest rings. */
  readonly notifier: () => Notifier;
  /** Told of what devices throw. */
  readonly onFault: (fault: VbusFault) => void;
}

/** What of a bus moves with its guest: JSON can hold it. */
export interface MachineBusState {
  /** What the guest has written of a call. */
  readonly windows: readonly number[];
  /** Devices by number. */
  readonly bus: BusState;
  /** What the guest has open. */
  readonly bridge: BridgeState;
}

/** The bus. Dispose it to take it out of the machine; its devices are their owner's. */
export class MachineBus implements Disposable {
  /** What devices are put on. */
  readonly bus: Vbus;
  /** What the guest talks to. */
  readonly bridge: VbusBridge;
  /** Where. */
  readonly slot: BridgeSlot;
  /** Its tree: the bus is `config/buses/machine`. */
  readonly admin: VbusAdmin;
  readonly #windows: BridgeWindows;
  readonly #stack: DisposableStack;

  constructor({ name, memory, ports, vm, slot, host, notifier, onFault }: MachineBusOptions) {
    using stack = new DisposableStack();
    this.bus = new Vbus({ name, onFault });
    const line = stack.use(vm.line(slot.irq));
    // An edge: the queue's signal says whether the guest has heard of it, so none comes twice, and none is lost.
    const { bus } = this;
    this.bridge = stack.use(new VbusBridge({ bus, memctx: new VbusMemctx(memory), host, interrupt: () => line.pulse() }));
    this.#windows = stack.use(new BridgeWindows({ bridge: this.bridge, memory, mmio: slot.base, ports, port: slot.port, notifier }));
    this.admin = stack.use(new VbusAdmin());
    this.admin.adoptBus("machine", bus);
    this.slot = slot;
    this.#stack = stack.move();
  }

  /** What moves with the guest: saved with the guest standing still, once; the bus serves it no more then. */
  save(): MachineBusState {
    return { windows: this.#windows.save(), bus: this.bus.save(), bridge: this.bridge.save() };
  }

  /**
   * Serves a guest that was moved here. Throws `VbusError` `bad-state`, `busy`, `state-mismatch`.
   */
  restore({ windows, bus, bridge }: MachineBusState): void {
    this.bus.restore(bus);
    this.#windows.restore(windows);
    this.bridge.restore(bridge);
  }

  /** Takes it out. Idempotent. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
