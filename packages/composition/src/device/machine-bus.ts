/** A machine's virtual bus: with its bridge, where guests find it. @module */
import type { VirtualMachine } from "@virtspace/hypervisor";
import { BridgeWindows, Vbus, VbusBridge, type VbusFault, type VbusHost, VbusMemctx } from "@virtspace/vbus";
import type { Notifier, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { BridgeSlot } from "./device-slots.ts";

/** What it is put together from. */
export interface MachineBusOptions {
  readonly machine: string;
  readonly memory: VirtAddressSpace;
  readonly ports: VirtAddressSpace;
  readonly vm: VirtualMachine;
  readonly slot: BridgeSlot;
  readonly host: VbusHost;
  readonly notifier: () => Notifier;
  readonly onFault: (fault: VbusFault) => void;
}

/** The bus. Dispose it to take it out of the machine; its devices are their owner's. */
export class MachineBus implements Disposable {
  /** What devices are put on. */
  readonly bus: Vbus;
  /** What the guest talks to. */
  readonly bridge: VbusBridge;
  /** Where. */
  readonly slot: BridgeSlot;
  readonly #stack: DisposableStack;

  constructor({ machine, memory, ports, vm, slot, host, notifier, onFault }: MachineBusOptions) {
    using stack = new DisposableStack();
    this.bus = new Vbus({ name: `${machine}'s bus`, onFault });
    const line = stack.use(vm.line(slot.irq));
    stack.use(memory.bind({ name: this.bus.name }));
    // An edge: the queue's signal says whether the guest has heard of it, so none comes twice, and none is lost.
    const { bus } = this;
    this.bridge = stack.use(new VbusBridge({ bus, memctx: new VbusMemctx(memory), host, interrupt: () => line.pulse() }));
    stack.use(new BridgeWindows({ bridge: this.bridge, memory, mmio: slot.base, ports, port: slot.port, notifier }));
    this.slot = slot;
    this.#stack = stack.move();
  }

  /** Takes it out. Idempotent. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
