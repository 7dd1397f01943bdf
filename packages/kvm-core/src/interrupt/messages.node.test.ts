/** Interrupts as messages, and machines of several vCPUs: what the embedded engine hasn't got. */
import { Place, TrialMachine } from "@virtspace/conformance";
import { HypervisorError } from "@virtspace/hypervisor";
import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { openKvm } from "../index.ts";

const missing = await openKvm().then(
  (kvm) => void kvm[Symbol.dispose](),
  (error: unknown) => String(error),
);

const APIC = 0xfee0_0000;
const SPURIOUS = APIC + 0xf0;
const END_OF_INTERRUPT = APIC + 0xb0;
const READY = 0x530;
const VECTOR = 0x25;

describe.skipIf(missing !== undefined)(`on KVM${missing === undefined ? "" : `, not run: ${missing}`}`, () => {
  test("each message is an interrupt of its vector", async () => {
    using kvm = await openKvm();
    await using box = await TrialMachine.create(kvm);
    let taken = 0;
    box.port(0x510, 4, { write: () => void taken++ });
    const ready = box.reported(READY);
    await box.load(
      (code) => {
        // The local APIC is turned on, and the guest waits.
        code.eax(0x1ff).store(SPURIOUS).write(READY, 1);
        const again = code.here;
        code.waitForInterrupt().jump(again);
      },
      {
        [VECTOR - 0x20]: (code) =>
          code.enterHandler().increment(Place.counter).write(0x510, 1).eax(0).store(END_OF_INTERRUPT).leaveHandler(),
      },
    );
    box.machine.run();
    await ready;
    for (let sent = 1; sent <= 20; sent++) {
      box.machine.sendMessage?.(APIC, VECTOR);
      await expect.poll(() => taken).toBe(sent);
    }
    await box.machine.pause();
    expect([box.counter, box.machine.counters.interrupts]).toEqual([20, 20]);
  });

  test("two vCPUs: the second waits until the first starts it, and both stop", async () => {
    using kvm = await openKvm();
    using memory = VirtAddressSpace.create({ name: "guest" });
    memory.map({ name: "ram", base: gpa(0), memory: await kvm.createMemory(1 << 20) });
    using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
    await using box = await TrialMachine.over(kvm, memory, ports, [], 2);
    expect(box.machine.vcpus.map(({ index }) => index)).toEqual([0, 1]);
    await box.load((code) => {
      const again = code.here;
      code.increment(Place.counter).jump(again);
    });
    for (let i = 0; i < 3; i++) {
      box.machine.run();
      const before = box.counter;
      await expect.poll(() => box.counter).toBeGreaterThan(before);
      await box.machine.pause();
    }
    const [first, second] = await Promise.all(box.machine.vcpus.map((vcpu) => vcpu.registers()));
    expect([Number(first?.rip) >= Place.code, second?.rip]).toEqual([true, 0xfff0n]);
  });

  test("more vCPUs than this KVM gives are refused", async () => {
    using kvm = await openKvm();
    using memory = VirtAddressSpace.create({ name: "guest" });
    using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
    const vcpus = kvm.features.maxVcpus + 1;
    await expect(kvm.createMachine({ memory, ports, vcpus })).rejects.toSatisfy((error) => HypervisorError.is(error, "unsupported"));
  });
});
