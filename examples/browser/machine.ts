/** A machine by hand, as a page has it: a guest on the embedded engine, and a virtio-net on a switch with a gateway. */
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { COM1, ExitPort, loadMultiboot, PIT_IRQ, Pit, Uart } from "@virtspace/pc-platform";
import { openV86 } from "@virtspace/v86-core";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { VirtioMmio } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";

const CARD = gpa(0xd000_0000);
const CARD_IRQ = 5;

/** What a page wants of it. Dispose it to take it down. */
export interface PageMachine extends AsyncDisposable {
  /** Who is bound to the guest's memory. */
  readonly holders: readonly string[];
  /** Pings that the gateway has answered. */
  readonly pings: number;
  /** Resolves with the guest's status when it has left. */
  readonly left: Promise<number>;
}

/** Puts it together and lets the guest run. @param wasm - the engine's bytes @param onConsole - told of each byte that the guest says */
export async function bootInPage(wasm: Uint8Array, onConsole: (byte: number) => void): Promise<PageMachine> {
  await using stack = new AsyncDisposableStack();
  // The spaces first. The memory is the engine's, but the space is nobody's.
  const v86 = await openV86({ wasm });
  const memory = stack.use(VirtAddressSpace.create({ name: "guest" }));
  memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(4 * MiB) });
  const ports = stack.use(VirtAddressSpace.create({ name: "ports", size: 0x1_0000 }));
  const machine = stack.use(await v86.createMachine({ memory, ports }));

  // A small PC, whose devices are windows in the space of ports.
  const serial = stack.use(machine.line(COM1.irq));
  const timer = stack.use(machine.line(PIT_IRQ));
  const left = Promise.withResolvers<number>();
  stack.use(new Uart({ ports, onByte: onConsole, interrupt: (up) => serial.setLevel(up) }));
  stack.use(new Pit({ ports, interrupt: () => timer.pulse() }));
  stack.use(new ExitPort({ ports, onExit: left.resolve }));

  // The card is passed the guest's memory by a descriptor, a line and a network: it does not know that this is a page.
  const network = new LearningSwitch();
  const gateway = stack.use(new Gateway(network, { address: "10.0.2.2" }));
  const card = stack.use(new VirtioNet({ backend: network, mac: "52:54:00:12:34:56" }));
  const line = stack.use(machine.line(CARD_IRQ));
  const space = stack.use(await VirtAddressSpace.attach(memory.descriptor({ scope: "thread" }), { name: card.name }));
  stack.use(new VirtioMmio({ space, base: CARD, device: card, interrupt: (up) => line.setLevel(up) }));

  const commandLine = `net ping=4 udp=100 exit virtio_mmio.device=4K@0x${CARD.toString(16)}:${CARD_IRQ}`;
  await machine.vcpus[0]?.setRegisters(loadMultiboot(memory, guestImage("net"), { commandLine }));
  machine.run();
  const parts = stack.move();
  return {
    holders: memory.holders,
    get pings() {
      return gateway.counters.echo;
    },
    left: left.promise,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
