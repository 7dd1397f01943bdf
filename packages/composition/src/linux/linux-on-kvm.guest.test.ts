/**
 * What wants a KVM of its own: a stock Linux on kvm-core, and a KVM whose processor another has. Few machines of those that run tests
 * have one; a guest of QEMU's emulation that has a virtualising processor does, wherever it runs. So there are two machines in each
 * other: this one starts QEMU, whose guest runs Node and the project, which runs Linux.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { guestImage as ownImage } from "@virtspace/conformance/guests";
import { MiB } from "@virtspace/virt-address-space";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cpio, file, folder } from "../../../../.config/guest/cpio.ts";
import { Guest } from "../../../../.config/guest/guest.ts";
import { guestImage } from "../../../../.config/guest/guest-image.ts";
import { PROJECT_IN_GUEST, projectFiles } from "../../../../.config/guest/project-files.ts";
import { compose, defineMachine, linux, v86 } from "../index.ts";

const PROGRAMS = `/${PROJECT_IN_GUEST}/packages/composition/src/linux`;
const LIFETIME = 600_000;

let place = "";
let guest: Guest;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "linux-on-kvm-"));
  const image = await guestImage();
  const [kernel, base] = await Promise.all([readFile(image.kernel), readFile(image.initramfs)]);
  const files = [
    ...projectFiles({ packages: ["composition"] }),
    folder("inner"),
    file("inner/vmlinuz", kernel),
    file("inner/initramfs", base),
    file("inner/net", Buffer.from(ownImage("net"))),
  ];
  const initramfs = join(place, "initramfs");
  // A kernel unpacks archives that stand one behind the other.
  await writeFile(initramfs, Buffer.concat([base, cpio(files)]));
  guest = await Guest.start({ initramfs, svm: true, memoryMiB: 1536, lifetime: LIFETIME });
  await guest.check("modprobe -a kvm-amd msr && test -c /dev/kvm");
});
afterAll(async () => {
  await guest?.kill();
  await rm(place, { recursive: true });
});

/** Runs a program in the guest. @returns its output, and what the last line says */
async function run(command: string, timeout: number): Promise<{ readonly output: string; readonly result: unknown }> {
  const output = await guest.check(`timeout ${timeout / 1000} node ${PROGRAMS}/${command} 2>&1`, { timeout: timeout + 10_000 });
  return { output, result: JSON.parse(/^@result (.*)$/m.exec(output)?.[1] ?? "{}") };
}

test("Linux comes up to a shell, pings our gateway, hears of its power button and turns its machine off", {
  timeout: 200_000,
}, async () => {
  const { output, result } = await run("linux.process.js /inner/vmlinuz /inner/initramfs", 180_000);
  expect(result, output).toEqual({
    modes: { real: true, protected32: true, paging32: true, long: true },
    outcome: { reason: "powered-off" },
    echo: 3,
    holders: ["its creator", "kvm", "net"],
  });
  expect(output).toContain("3 packets received, 0% packet loss");
  // Both of its processors, the card's line, the clock of the day, and the button.
  expect(output).toMatch(/^2\s*$/m);
  expect(output).toMatch(/^\s*5:.*IO-APIC.*virtio0/m);
  expect(output).toMatch(new RegExp(`${new Date().getUTCFullYear()}\\s+0\\.0+ seconds`));
  expect(output).toMatch(/^\s*1\s+EN.*enabled/m);
});

test("our own guest streams through a virtio-net and a venet, and is moved while it does", { timeout: 200_000 }, async () => {
  const { output, result } = await run("cards.process.js /inner/net", 180_000);
  expect(result, output).toEqual({
    holders: ["its creator", "kvm", "cards's bus", "net"],
    outcome: { reason: "left", status: 0 },
    came: ["60 datagrams came back", "venet: 60 datagrams came back"],
    echo: 4,
    udpEcho: 120,
  });
});

test("a KVM whose processor another hypervisor has says so", async () => {
  const { result } = await run("busy.process.js", 60_000);
  expect(result).toMatchObject({ name: "KvmError", code: "busy", errno: "EBUSY", holders: ["its creator"] });
});

test("an engine without long mode refuses Linux before it runs", async () => {
  const { kernel } = await guestImage();
  const description = defineMachine({ memory: 128 * MiB, hypervisor: v86(), boot: linux(await readFile(kernel)) });
  await expect(compose(description)).rejects.toMatchObject({ name: "HypervisorError", code: "unsupported" });
});
