/** The samples of "Run on KVM". */

// #region one-word
import { boot, defineMachine, kvm, linux, type MachineDescription, multiboot, v86 } from "@virtspace/composition";
import { guestImage } from "@virtspace/conformance/guests";
import { KvmError, openKvm } from "@virtspace/kvm-core";
import { PcPlatformError } from "@virtspace/pc-platform";
import { MiB } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";

/** Why there is no /dev/kvm to be had, with what to do about it; undefined where there is. */
async function whyNoKvm(): Promise<KvmError | undefined> {
  try {
    using _opened = await openKvm();
    return undefined;
  } catch (error) {
    if (!KvmError.is(error)) throw error;
    return error;
  }
}

const why = await whyNoKvm();
const description = defineMachine({
  memory: 16 * MiB,
  hypervisor: why === undefined ? kvm() : v86(),
  boot: multiboot(guestImage("hello")),
});
// #endregion one-word
// #region linux
/** A stock 64-bit Linux on two processors. */
function linuxMachine(kernel: Uint8Array, initrd: Uint8Array): MachineDescription {
  return defineMachine({
    memory: 512 * MiB,
    vcpus: 2,
    hypervisor: kvm(),
    boot: linux(kernel, { initrd, commandLine: "console=ttyS0 panic=-1" }),
  });
}
// #endregion linux

test("the same guest on whatever there is", async () => {
  const said: number[] = [];
  await using machine = await boot(description, { onConsole: (byte) => said.push(byte) });
  expect(await machine.outcome).toEqual({ reason: "left", status: 0 });
  expect([machine.hypervisor.name, String.fromCharCode(...said)]).toEqual([why === undefined ? "kvm" : "v86", "hello from the guest\n"]);
});

test("what is no kernel is refused", async () => {
  const description = linuxMachine(new Uint8Array(4096), new Uint8Array(16));
  const machine = boot({ ...description, vcpus: 1, memory: 16 * MiB, hypervisor: v86() });
  await expect(machine).rejects.toSatisfy((error) => PcPlatformError.is(error, "bad-image"));
});
