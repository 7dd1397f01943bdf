/** The kernel's hypervisor, by the suite that every hypervisor passes. */
import { hypervisorSuite } from "@virtspace/conformance";
import { EventFdNotifier, EventLoopPoller, memfdMemory } from "@virtspace/host-linux";
import { KvmError, openKvm } from "./index.ts";

/** Why KVM can't be had here. */
const skip = await openKvm().then(
  (kvm) => void kvm[Symbol.dispose](),
  (error: unknown) => {
    if (!KvmError.is(error)) throw error;
    return error.message;
  },
);

if (skip !== undefined) console.warn(`Not run: the tests on /dev/kvm. ${skip}`);

hypervisorSuite({
  name: "kvm",
  open: () => openKvm(),
  skip,
  notifier: () => new EventFdNotifier(new EventLoopPoller()),
  extraMemory: memfdMemory,
  // An instruction of the floating point unit.
  notEmulated: Uint8Array.of(0xd9, 0xe8),
});
