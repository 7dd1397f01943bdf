/**
 * Run by Node in a guest that has /dev/kvm: our own guest with a virtio-net and a venet on kvm-core, which is moved to another machine
 * while it streams. Its argument is the guest's image; the last line says how it went.
 */
import { readFileSync } from "node:fs";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { boot, compose, defineMachine, kvm, multiboot, venet, virtioNet } from "../index.ts";

const DATAGRAMS = 60;

const network = new LearningSwitch({ whenFull: "wait" });
const gateway = new Gateway(network, { address: "10.0.2.2" });
const description = defineMachine({
  name: "cards",
  memory: 4 * MiB,
  hypervisor: kvm(),
  devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:57" }), venet({ backend: network, mac: "52:54:00:12:34:56" })],
  boot: multiboot(readFileSync(process.argv[2] as string), { commandLine: `net ping=2 udp=${DATAGRAMS} exit` }),
});
let said = "";
const onConsole = (byte: number): void => {
  said += String.fromCharCode(byte);
  process.stdout.write(String.fromCharCode(byte));
};
const until = async (count: number): Promise<void> => {
  while (gateway.counters.udpEcho < count) await new Promise((resolve) => setTimeout(resolve, 1));
};

let machine = await boot(description, { onConsole });
const { holders } = machine.memory;
// Once while each of the cards streams.
for (const count of [DATAGRAMS / 2, DATAGRAMS + DATAGRAMS / 2]) {
  await until(count);
  const from = structuredClone(await machine.save());
  await machine[Symbol.asyncDispose]();
  machine = await compose(description, { onConsole, from });
  machine.machine.run();
}
const outcome = await machine.outcome;
const came = said.split("\n").filter((line) => line.endsWith("came back"));
const { echo, udpEcho } = gateway.counters;
await machine[Symbol.asyncDispose]();
process.stdout.write(`@result ${JSON.stringify({ holders, outcome, came, echo, udpEcho })}\n`);
gateway[Symbol.dispose]();
