/** A guest in a page or a worker: what "Run in the browser" shows. It is the same file in Node. */
// #region guest
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { ExitPort, loadMultiboot, PIT_IRQ, Pit, Uart } from "@virtspace/pc-platform";
import { openV86 } from "@virtspace/v86-core";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { VirtioMmio } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";

const CARD = gpa(0xd000_0000);
const CARD_IRQ = 5;

/** Boots a guest that gets an address and pings its gateway. @returns what it said, when it has left */
export async function pingInAPage(wasm?: Promise<Response>): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const v86 = await openV86(wasm === undefined ? {} : { wasm });
  const memory = stack.use(VirtAddressSpace.create({ name: "guest" }));
  memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(16 * MiB) });
  const ports = stack.use(VirtAddressSpace.create({ name: "ports", size: 0x1_0000 }));
  const machine = stack.use(await v86.createMachine({ memory, ports }));

  const network = new LearningSwitch();
  stack.use(new Gateway(network, { address: "10.0.2.2" }));
  const card = stack.use(new VirtioNet({ backend: network, mac: "52:54:00:12:34:56" }));
  const line = stack.use(machine.line(CARD_IRQ));
  stack.use(new VirtioMmio({ space: memory, base: CARD, device: card, interrupt: (up) => line.setLevel(up) }));

  const said: number[] = [];
  const console = machine.line(4);
  const timer = machine.line(PIT_IRQ);
  stack.use(new Uart({ ports, onByte: (byte) => void said.push(byte), interrupt: (up) => console.setLevel(up) }));
  stack.use(new Pit({ ports, interrupt: () => timer.pulse() }));
  const left = Promise.withResolvers<number>();
  stack.use(new ExitPort({ ports, onExit: left.resolve }));

  const commandLine = `net ping=2 exit virtio_mmio.device=4K@0x${CARD.toString(16)}:${CARD_IRQ}`;
  await machine.vcpus[0]?.setRegisters(loadMultiboot(memory, guestImage("net"), { commandLine }));
  machine.run();
  const status = await left.promise;
  return `${String.fromCharCode(...said)}status ${status}`;
}
// #endregion guest
