/** Handlers in a vCPU's own thread. */
import { GuestCode } from "@virtspace/conformance";
import { memfdMemory } from "@virtspace/host-linux";
import { flat32 } from "@virtspace/hypervisor";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { kvmRefusal } from "../../../../.config/kvm/kvm-here.ts";
import { openKvm } from "../index.ts";

describe.skipIf(kvmRefusal !== undefined)(
  `a vCPU's thread with handlers of its own${kvmRefusal === undefined ? "" : `, not run: ${kvmRefusal}`}`,
  () => {
    test("answers its exits, forwards others, and lets go of what is unmapped under the running guest", async () => {
      using kvm = await openKvm();
      using memory = VirtAddressSpace.create({ name: "guest" });
      memory.map({ name: "ram", base: gpa(0), memory: memfdMemory(MiB) });
      const extra = memfdMemory(4096);
      const region = memory.map({ name: "extra", base: gpa(0xe000_0000), memory: extra });
      using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
      const reports: number[] = [];
      const done = Promise.withResolvers<void>();
      const write = (_offset: number, _size: number, value: number): void => {
        reports.push(value);
        if (value === 99) done.resolve();
      };
      ports.map({ kind: "io", name: "report", base: gpa(0x500), size: 4, handler: { read: () => 0, write } });
      const code = new GuestCode(0x1000).write(0x600, 41).in(0x600).out(0x500).eax(6).store(0xd000_0000).load(0xd000_0000).out(0x500);
      const again = code.here;
      code.load(0xe000_0000).jumpIfEax(0, again).write(0x500, 99).haltForGood();
      memory.copyTo(gpa(0x1000), code.bytes);
      await using machine = await kvm.createMachine({ memory, ports, threadModules: [new URL("./thread.worker.ts", import.meta.url)] });
      await machine.vcpus[0]?.setRegisters(flat32(0x1000));
      machine.run();
      await expect.poll(() => reports).toEqual([42, 7]);
      expect([memory.holders, ports.holders]).toEqual([
        ["its creator", "kvm", "vcpu 0"],
        ["its creator", "kvm", "vcpu 0"],
      ]);
      await memory.unmap(region);
      expect(extra.released).toBe(true);
      await done.promise;
      expect(reports).toEqual([42, 7, 99]);
    });

    test("a module that can't be loaded ends the machine, and is named", async () => {
      using kvm = await openKvm();
      using memory = VirtAddressSpace.create({ name: "guest" });
      memory.map({ name: "ram", base: gpa(0), memory: memfdMemory(MiB) });
      using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
      await using machine = await kvm.createMachine({ memory, ports, threadModules: [new URL("./no-such-file.ts", import.meta.url)] });
      machine.run();
      expect(await machine.ended).toMatchObject({ reason: "engine-failed", message: expect.stringContaining("no-such-file") });
      // The thread is long gone when the machine is disposed.
      await new Promise((resolve) => setTimeout(resolve, 100));
    });
  },
);
