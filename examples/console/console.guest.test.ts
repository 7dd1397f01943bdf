/**
 * The console in a real Linux. QEMU 7.2 has no front-end over vhost-user for a console (vhost-user-device came with 8.1), so the
 * Linux is a guest of kvm-core, with the console behind virtio-mmio. Since few machines have a KVM, that runs within another guest of
 * QEMU's emulation, whose processor virtualises.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cpio, file, folder } from "../../.config/guest/cpio.ts";
import { Guest } from "../../.config/guest/guest.ts";
import { guestImage } from "../../.config/guest/guest-image.ts";
import { PROJECT_IN_GUEST, projectFiles } from "../../.config/guest/project-files.ts";

const PROGRAM = `/${PROJECT_IN_GUEST}/examples/console/linux.process.js`;

/** The inner guest's first program: what comes on the plain port goes back, and the console has a shell. */
const SCRIPT = `#!/bin/busybox sh
export PATH=/bin:/sbin
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_mmio virtio_console
until [ -c /dev/hvc0 ] && [ -c /dev/vport0p1 ]; do sleep 0.1; done
cat <>/dev/vport0p1 >&0 &
exec sh </dev/hvc0 >/dev/hvc0 2>&1
`;

test("Linux has a shell on /dev/hvc0 and a plain port beside it, both ways", { timeout: 240_000 }, async () => {
  const place = await mkdtemp(join(tmpdir(), "console-"));
  try {
    const image = await guestImage();
    const [kernel, base] = await Promise.all([readFile(image.kernel), readFile(image.initramfs)]);
    // A kernel unpacks archives that stand one behind the other.
    const inner = Buffer.concat([base, cpio([file("console.sh", SCRIPT)])]);
    const files = [
      ...projectFiles({ packages: ["composition"], examples: ["console"] }),
      folder("inner"),
      file("inner/vmlinuz", kernel),
      file("inner/initramfs", inner),
    ];
    const initramfs = join(place, "initramfs");
    await writeFile(initramfs, Buffer.concat([base, cpio(files)]));
    await using guest = await Guest.start({ initramfs, svm: true, memoryMiB: 1536, lifetime: 230_000 });
    await guest.check("modprobe -a kvm-amd && test -c /dev/kvm");
    const output = await guest.check(`timeout 180 node ${PROGRAM} /inner/vmlinuz /inner/initramfs 2>&1`, { timeout: 190_000 });
    expect(JSON.parse(/^@result (.*)$/m.exec(output)?.[1] ?? "{}"), output).toEqual({
      shell: "echo $((6 * 7))\n42\n/ # ",
      size: "stty size\n43 101\n/ # ",
      name: "cat /sys/class/virtio-ports/vport0p1/name\norg.example.agent\n/ # ",
      echoes: true,
      resized: "sleep 0.5; stty size\n25 80\n/ # ",
      outcome: { reason: "powered-off" },
    });
  } finally {
    await rm(place, { recursive: true });
  }
});
