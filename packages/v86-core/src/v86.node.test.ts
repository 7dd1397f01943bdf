import { flat32, type MachineEnd, type VirtualMachine } from "@virtspace/hypervisor";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";
import { openV86 } from "./index.ts";

const CODE = 0x1_0000;

async function machineWith(code: number[]): Promise<{ memory: VirtAddressSpace; ports: VirtAddressSpace; machine: VirtualMachine }> {
  const v86 = await openV86();
  const memory = VirtAddressSpace.create({ name: "guest" });
  memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(4 * MiB) });
  memory.copyTo(gpa(CODE), Uint8Array.from(code));
  const ports = VirtAddressSpace.create({ name: "ports", size: 0x10000 });
  const machine = await v86.createMachine({ memory, ports });
  await machine.vcpus[0]?.setRegisters(flat32(CODE));
  return { memory, ports, machine };
}

test("a guest's port accesses reach the space", async () => {
  const { ports, machine } = await machineWith([0xb0, 0x41, 0xe6, 0x80, 0xf4, 0xeb, 0xfd]);
  const written = Promise.withResolvers<number[]>();
  ports.map({
    kind: "io",
    name: "port",
    base: gpa(0x80),
    size: 4,
    handler: { read: () => 0, write: (...access) => written.resolve(access) },
  });
  machine.run();
  expect(await written.promise).toEqual([0, 1, 0x41]);
  await machine.pause();
  expect(machine.counters.portAccesses).toBe(1);
  expect((await machine.vcpus[0]?.registers())?.rip).toBe(BigInt(CODE + 5));
  await machine[Symbol.asyncDispose]();
  expect(await machine.ended).toEqual({ reason: "disposed" } satisfies MachineEnd);
});

test("a guest without a handler for its fault ends", async () => {
  const { machine } = await machineWith([0x0f, 0x0b]);
  machine.run();
  expect(await machine.ended).toEqual({ reason: "triple-fault", vcpu: 0 } satisfies MachineEnd);
  await machine[Symbol.asyncDispose]();
});
