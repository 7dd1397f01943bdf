/** A guest in a worker: it posts what the guest said, and the status it left with. */
import { parentPort } from "node:worker_threads";
import { guestImage } from "@virtspace/conformance/guests";
import { ExitPort, loadMultiboot, Uart } from "@virtspace/pc-platform";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { openV86 } from "./index.ts";

const v86 = await openV86();
const memory = VirtAddressSpace.create({ name: "guest" });
memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(2 * MiB) });
const ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
const machine = await v86.createMachine({ memory, ports });
let text = "";
new Uart({ ports, onByte: (byte) => (text += String.fromCharCode(byte)) });
const left = new Promise<number>((onExit) => void new ExitPort({ ports, onExit }));
await machine.vcpus[0]?.setRegisters(loadMultiboot(memory, guestImage("hello")));
machine.run();
const status = await left;
parentPort?.postMessage([text, status]);
await machine[Symbol.asyncDispose]();
