/** A machine of KVM, over spaces that somebody else made. @module */
import { type DeviceFile, DeviceMapping, NativeBlock } from "@virtspace/host-linux";
import {
  HypervisorError,
  type InterruptLine,
  type MachineCounters,
  type MachineEnd,
  type MachineParts,
  type MachineState,
  type MachineStatus,
  type MessageInterrupt,
  type VirtualMachine,
} from "@virtspace/hypervisor";
import { type AddressSpaceListener, DisposableStack, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { IoEventFds } from "../doorbell/io-event-fds.ts";
import { GsiRoutes } from "../interrupt/gsi-routes.ts";
import { KvmLine } from "../interrupt/kvm-line.ts";
import { KvmMessage } from "../interrupt/kvm-message.ts";
import { Wires } from "../interrupt/wires.ts";
import type { KvmHost } from "../kvm/kvm-host.ts";
import { Kvm, Size } from "../kvm/kvm-layout.ts";
import { MemorySlots } from "../memory/memory-slots.ts";
import { KvmVcpu } from "../vcpu/kvm-vcpu.ts";
import { performerOf } from "../vcpu/space-access.ts";
import { NAME, restoreMachine, saveMachine } from "./kvm-state.ts";

/** Below 4 GiB, where no memory is: processors of one maker need three pages there, and one more. */
const TSS_ADDRESS = 0xfffb_d000;
/** The kernel answers port 0x61 too: guests ask the speaker whether time has passed. */
const PIT_WITH_SPEAKER = 1;
const LINES = 24;
const CASCADE = 2;

/** What a machine of KVM is made of. */
export interface KvmMachineParts extends MachineParts {
  /**
   * Modules that each vCPU's thread loads, whose default export is a `VcpuThreadModule`: handlers that live there answer an exit at
   * once. The memory has to be of kinds that other threads can have.
   */
  readonly threadModules?: readonly URL[];
}

/** A machine. */
export class KvmMachine implements VirtualMachine {
  readonly hypervisor: string = NAME;
  readonly vcpus: readonly KvmVcpu[];
  readonly #host: KvmHost;
  readonly #vm: DeviceFile;
  readonly #wires: Wires;
  readonly #stack: DisposableStack;
  #status: MachineStatus = "stopped";
  readonly #end: PromiseWithResolvers<MachineEnd> = Promise.withResolvers();

  /** @throws {@link HostLinuxError} `system-call`; what binding to the spaces throws */
  constructor(host: KvmHost, { memory, ports, vcpus = 1, threadModules = [] }: KvmMachineParts) {
    this.#host = host;
    using stack = new DisposableStack();
    this.#vm = stack.use(host.createVm());
    this.#vm.control("KVM_SET_TSS_ADDR", Kvm.SET_TSS_ADDR, TSS_ADDRESS);
    this.#vm.control("KVM_CREATE_IRQCHIP", Kvm.CREATE_IRQCHIP);
    this.#wires = stack.use(new Wires(this.#vm, new GsiRoutes(this.#vm, LINES, host.interruptRoutes)));
    using pit = new NativeBlock(Size.pitConfig);
    pit.view.setUint32(0, PIT_WITH_SPEAKER, true);
    this.#vm.control("KVM_CREATE_PIT2", Kvm.CREATE_PIT2, pit);
    // A thread with spaces of its own lets go of old maps when it comes out of the guest.
    const letGo = threadModules.length === 0 ? undefined : () => this.#kick();
    bind(stack, memory, {
      slots: new MemorySlots(this.#vm, memory, host.memorySlots),
      doorbells: new IoEventFds(this.#vm, "memory"),
      letGo,
    });
    bind(stack, ports, { doorbells: new IoEventFds(this.#vm, "ports"), letGo });
    const owner = {
      perform: performerOf(memory, ports),
      requireStopped: () => this.#requireStopped(),
      threadModules: () => {
        if (threadModules.length === 0) return undefined;
        const spaces = { memory: memory.descriptor(), ports: ports.descriptor() };
        const modules = { ...spaces, modules: threadModules.map(({ href }) => href) };
        return { modules, transfer: [...spaces.memory.transfer, ...spaces.ports.transfer] };
      },
      left: (end: MachineEnd | undefined) => this.#left(end),
    };
    const made: KvmVcpu[] = [];
    for (let index = 0; index < vcpus; index++) {
      const device = stack.use(host.createVcpu(this.#vm, index));
      made.push(new KvmVcpu(index, device, stack.use(new DeviceMapping(device, host.runBytes)), owner));
    }
    this.vcpus = made;
    this.#stack = stack.move();
    host.add(this);
  }

  get status(): MachineStatus {
    return this.#status;
  }

  get ended(): Promise<MachineEnd> {
    return this.#end.promise;
  }

  get counters(): MachineCounters {
    const sum = (of: (vcpu: KvmVcpu) => number): number => this.vcpus.reduce((total, vcpu) => total + of(vcpu), 0);
    return {
      portAccesses: sum(({ portAccesses }) => portAccesses),
      memoryAccesses: sum(({ memoryAccesses }) => memoryAccesses),
      interrupts: this.#wires.interrupts,
    };
  }

  line(irq: number): InterruptLine {
    if (this.#status === "closed") throw closed();
    if (!Number.isInteger(irq) || irq < 0 || irq >= LINES || irq === CASCADE) {
      throw new HypervisorError(
        "invalid-argument",
        `this machine has no interrupt line ${irq}: give 0 to ${LINES - 1}, but for ${CASCADE}`,
      );
    }
    return new KvmLine(irq, this.#wires);
  }

  message(address: number, data: number): MessageInterrupt {
    if (this.#status === "closed") throw closed();
    return new KvmMessage(address, data, this.#wires);
  }

  run(): void {
    if (this.#status === "closed") throw closed();
    if (this.#status === "ended") throw new HypervisorError("ended", "this guest came to an end: restore a state, or make another machine");
    if (this.#status === "running") return;
    this.#status = "running";
    for (const vcpu of this.vcpus) vcpu.enter();
  }

  async pause(): Promise<void> {
    if (this.#status === "running") this.#status = "stopped";
    await Promise.all(this.vcpus.map((vcpu) => vcpu.leave()));
  }

  async save(): Promise<MachineState> {
    this.#requireStopped();
    return saveMachine(this.#vm, this.vcpus, this.#host.msrs);
  }

  async restore(state: MachineState): Promise<void> {
    this.#requireStopped();
    restoreMachine(this.#vm, this.vcpus, state);
  }

  /** Takes the vCPUs out of the guest, in a process that ends: it could not, while a thread is in there. @internal */
  abandon(): void {
    for (const vcpu of this.vcpus) vcpu.kickOut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#status === "closed") return;
    this.#status = "closed";
    await Promise.all(this.vcpus.map((vcpu) => vcpu[Symbol.asyncDispose]()));
    this.#stack.dispose();
    this.#host.remove(this);
    this.#end.resolve({ reason: "disposed" });
  }

  #kick(): void {
    for (const vcpu of this.vcpus ?? []) vcpu.kick();
  }

  #left(end: MachineEnd | undefined): void {
    if (end === undefined || this.#status === "closed" || this.#status === "ended") return;
    this.#status = "ended";
    this.abandon();
    this.#end.resolve(end);
  }

  #requireStopped(): void {
    if (this.#status === "closed") throw closed();
    if (this.#status === "running") throw new HypervisorError("running", "the machine is running: await its pause() first");
    if (this.#status === "ended") throw new HypervisorError("ended", "this guest came to an end: make another machine");
  }
}

interface Binding {
  readonly slots?: MemorySlots;
  readonly doorbells: IoEventFds;
  readonly letGo?: (() => void) | undefined;
}

/** Holds a space, and follows it. What fails takes back what was done. */
function bind(stack: DisposableStack, space: VirtAddressSpace, { slots, doorbells, letGo }: Binding): void {
  stack.use(doorbells);
  if (slots !== undefined) stack.use(slots);
  stack.use(space.bind({ name: NAME, ...(letGo !== undefined && { letGo }) }));
  const listener: AddressSpaceListener = {
    name: NAME,
    added: (range) => slots?.added(range),
    removed: (range) => slots?.removed(range),
    doorbellAdded: (doorbell) => doorbells.doorbellAdded(doorbell),
    doorbellRemoved: (doorbell) => doorbells.doorbellRemoved(doorbell),
    logStarted: () => slots?.logStarted(),
    logStopped: () => slots?.logStopped(),
  };
  stack.use(space.listen(listener));
  if (slots !== undefined) stack.use(space.addDirtySource(slots));
}

function closed(): HypervisorError {
  return new HypervisorError("closed", "this machine was disposed: make another");
}
