/** Interrupts as messages, and machines of several vCPUs: what the embedded engine hasn't got. */
import { Place, TrialMachine } from "@virtspace/conformance";
import { EventFdNotifier, EventLoopPoller } from "@virtspace/host-linux";
import { HypervisorError, type MessageInterrupt } from "@virtspace/hypervisor";
import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { kvmRefusal } from "../../../../.config/kvm/kvm-here.ts";
import { openKvm } from "../index.ts";

const APIC = 0xfee0_0000;
const SPURIOUS = APIC + 0xf0;
const END_OF_INTERRUPT = APIC + 0xb0;
const READY = 0x530;
const VECTOR = 0x25;

describe.skipIf(kvmRefusal !== undefined)(`on KVM${kvmRefusal === undefined ? "" : `, not run: ${kvmRefusal}`}`, () => {
  test.each(["sent", "an eventfd's"])("each message is an interrupt of its vector: %s", async (kind) => {
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
    using message = box.machine.message?.(APIC, VECTOR);
    using eventFd = new EventFdNotifier(new EventLoopPoller());
    using following = message?.follow(eventFd);
    for (let sent = 1; sent <= 20; sent++) {
      if (kind === "sent") message?.send();
      else eventFd.signal();
      await expect.poll(() => taken).toBe(sent);
    }
    // The kernel takes an eventfd's signal itself: nothing of it passes here.
    expect([box.counter, box.machine.counters.interrupts]).toEqual([20, kind === "sent" ? 20 : 0]);
    following?.[Symbol.dispose]();
    eventFd.signal();
    await box.machine.pause();
    expect(taken).toBe(20);
  });

  test("numbers of messages that are given back are given again", async () => {
    using kvm = await openKvm();
    await using box = await TrialMachine.create(kvm);
    using eventFd = new EventFdNotifier(new EventLoopPoller());
    const messages: MessageInterrupt[] = [];
    const another = (): void => {
      const message = box.machine.message?.(APIC, VECTOR) as MessageInterrupt;
      messages.push(message);
      message.follow(eventFd)[Symbol.dispose]();
    };
    for (let i = 0; i < 100; i++) another();
    expect(new Set(messages).size).toBe(100);
    for (const message of messages) message[Symbol.dispose]();
    for (let i = 0; i < 100; i++) another();
    await box[Symbol.asyncDispose]();
    for (const message of messages) message[Symbol.dispose]();
    expect(() => box.machine.message?.(APIC, VECTOR)).toThrow(expect.objectContaining({ code: "closed" }));
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
