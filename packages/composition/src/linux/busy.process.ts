/**
 * A program for a machine with an AMD processor of its own: takes the processor as another hypervisor would, by its EFER.SVME, asks KVM
 * for a machine, and prints what that says as a line of JSON.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { openKvm } from "@virtspace/kvm-core";
import { VirtAddressSpace } from "@virtspace/virt-address-space";

const EFER = 0xc000_0080;
const SVME = 0x1000n;

const registers = openSync("/dev/cpu/0/msr", "r+");
const value = new BigUint64Array(1);
readSync(registers, value, 0, 8, EFER);
value[0] = (value[0] as bigint) | SVME;
writeSync(registers, value, 0, 8, EFER);
closeSync(registers);

using kvm = await openKvm();
using memory = VirtAddressSpace.create({ name: "guest" });
using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
const refused = await kvm.createMachine({ memory, ports }).catch((error: unknown) => error);
const { name, code, errno, message } = refused as Error & { readonly code?: string; readonly errno?: string };
process.stdout.write(`@result ${JSON.stringify({ name, code, errno, message, holders: memory.holders })}\n`);
