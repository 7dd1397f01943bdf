/** The machine of the live page: the project's guest on the embedded engine, with a network card on a switch that has a gateway. @module */
import { guestImage } from "@virtspace/conformance/guests";
import type { VirtualMachine } from "@virtspace/hypervisor";
import { captured, type FrameWitness, Gateway, LearningSwitch } from "@virtspace/network";
import { COM1, ExitPort, loadMultiboot, PIT_IRQ, Pit, Uart } from "@virtspace/pc-platform";
import { openV86 } from "@virtspace/v86-core";
import {
  type AddressSpaceListener,
  arrayBufferMemory,
  gpa,
  KiB,
  type MemoryProvider,
  MiB,
  type Region,
  sharedMemory,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";
import { VirtioMmio } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";

const RAM = 4 * MiB;
const CARD = gpa(0xd000_0000);
const CARD_IRQ = 5;

/** Who is told what happens. */
export interface LiveMachineOptions {
  /** The engine's bytes. */
  readonly wasm: Uint8Array;
  readonly onConsole: (byte: number) => void;
  readonly witness: FrameWitness;
  readonly listener: AddressSpaceListener;
  readonly onEnd: (why: string) => void;
}

/** A machine that runs in the visitor's page. */
export class LiveMachine implements AsyncDisposable {
  readonly memory: VirtAddressSpace;
  readonly ports: VirtAddressSpace;
  readonly vm: VirtualMachine;
  readonly card: VirtioNet;
  readonly transport: VirtioMmio;
  readonly gateway: Gateway;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: Pick<LiveMachine, "memory" | "ports" | "vm" | "card" | "transport" | "gateway">, stack: AsyncDisposableStack) {
    ({ memory: this.memory, ports: this.ports, vm: this.vm, card: this.card, transport: this.transport, gateway: this.gateway } = parts);
    this.#stack = stack;
  }

  /** Puts it together; the guest stands still. */
  static async create({ wasm, onConsole, witness, listener, onEnd }: LiveMachineOptions): Promise<LiveMachine> {
    await using stack = new AsyncDisposableStack();
    const v86 = await openV86({ wasm });
    const memory = stack.use(VirtAddressSpace.create({ name: "guest" }));
    const ports = stack.use(VirtAddressSpace.create({ name: "ports", size: 0x1_0000 }));
    memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(RAM) });
    memory.map({ name: "spare", base: gpa(0x0100_0000), memory: spareMemory() });
    stack.use(memory.listen(listener));
    const vm = stack.use(await v86.createMachine({ memory, ports }));
    const lines = [COM1.irq, PIT_IRQ, CARD_IRQ].map((irq) => stack.use(vm.line(irq)));
    const [serial, timer, interrupt] = lines as [(typeof lines)[0], (typeof lines)[0], (typeof lines)[0]];
    stack.use(new Uart({ ports, onByte: onConsole, interrupt: (up) => serial.setLevel(up) }));
    stack.use(new Pit({ ports, interrupt: () => timer.pulse() }));
    stack.use(new ExitPort({ ports, onExit: (status) => onEnd(`the guest left with status ${status}`) }));
    const network = new LearningSwitch();
    const gateway = stack.use(new Gateway(network, { address: "10.0.2.2" }));
    const card = stack.use(new VirtioNet({ backend: captured(network, witness), mac: "52:54:00:12:34:56" }));
    const space = stack.use(await VirtAddressSpace.attach(memory.descriptor({ scope: "thread" }), { name: card.name }));
    const transport = stack.use(new VirtioMmio({ space, base: CARD, device: card, interrupt: (up) => interrupt.setLevel(up) }));
    const commandLine = `net ping=8 udp=100000 virtio_mmio.device=4K@0x${CARD.toString(16)}:${CARD_IRQ}`;
    await vm.vcpus[0]?.setRegisters(loadMultiboot(memory, guestImage("net"), { commandLine }));
    void vm.ended.then(({ reason }) => onEnd(`the machine ended: ${reason}`));
    return new LiveMachine({ memory, ports, vm, card, transport, gateway }, stack.move());
  }

  /** Lets the guest run until something went over the wire, or there was nothing for so long; then it stands still. */
  async step(wire: () => number, milliseconds = 50): Promise<void> {
    const before = wire();
    this.vm.run();
    const late = performance.now() + milliseconds;
    while (wire() === before && performance.now() < late && this.vm.status === "running") await new Promise((turn) => setTimeout(turn, 0));
    if (this.vm.status === "running") await this.vm.pause();
  }

  /** Takes a region out of the guest's memory. */
  unmap(region: Region): Promise<void> {
    return this.memory.unmap(region);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A page that is not isolated from others has no memory that threads share; this one needs none. */
function spareMemory(): MemoryProvider {
  return typeof SharedArrayBuffer === "undefined" ? arrayBufferMemory(64 * KiB) : sharedMemory(64 * KiB);
}
