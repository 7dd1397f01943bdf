/** The kernel's hypervisor, by the suite that every hypervisor passes. */
import { hypervisorSuite } from "@virtspace/conformance";
import { EventFdNotifier, EventLoopPoller, memfdMemory } from "@virtspace/host-linux";
import { kvmRefusal } from "../../../.config/kvm/kvm-here.ts";
import { openKvm } from "./index.ts";

if (kvmRefusal !== undefined) console.warn(`Not run: the tests on /dev/kvm. ${kvmRefusal}`);

hypervisorSuite({
  name: "kvm",
  // Fewer where the processor is emulated.
  interrupts: Number(process.env["VIRTSPACE_INTERRUPTS"] ?? 100_000),
  open: () => openKvm(),
  skip: kvmRefusal,
  notifier: () => new EventFdNotifier(new EventLoopPoller()),
  extraMemory: memfdMemory,
  // fld dword [0xd0000000]: nothing is there, so a processor that runs all else leaves this one to KVM too.
  notEmulated: Uint8Array.of(0xd9, 0x05, 0, 0, 0, 0xd0),
});
