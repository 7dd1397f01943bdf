/** The disk in real Linux guests: a file system that outlives a restart, discards, zeros, two queues, one that is only read. */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Guest } from "../../.config/guest/guest.ts";
import { servedDevice } from "../../.config/guest/served-device.ts";

const DEVICE = join(import.meta.dirname, "device.ts");
const MEGABYTE = 1 << 20;
const SIZE = 64 * MEGABYTE;
const UP = "modprobe virtio_blk && until [ -b /dev/vda ]; do sleep 0.1; done";
// Debian 12's kernel has ext4 built in.
const MOUNT = "{ modprobe ext4 2>/dev/null; mkdir -p /mnt; } && mount -t ext4 /dev/vda /mnt";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "block-"));
  path = join(folder, "disk.img");
  writeFileSync(path, "");
  truncateSync(path, SIZE);
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each(["q35", "microvm"] as const)("on a %s a file system is made, written, and there after a restart", async (machine) => {
  await using served = await servedDevice(DEVICE, { BLOCK_FILE: path });
  await using guest = await Guest.start({ machine, reboot: true, qemu: served.qemu("vhost-user-blk", machine) });
  await guest.check(UP);
  const about =
    "cd /sys/block/vda; cat serial; echo; cat size ro queue/logical_block_size queue/physical_block_size queue/minimum_io_size cache_type";
  expect((await guest.check(about)).split("\n")).toEqual(["disk.img", `${SIZE / 512}`, "0", "512", "4096", "4096", "write back"]);

  await guest.check(`mke2fs /dev/vda >/dev/null && ${MOUNT}`);
  const sum = await guest.check("head -c 20000000 /dev/urandom >/mnt/file && sync && sha256sum </mnt/file", { timeout: 60_000 });
  await guest.check("umount /mnt");
  await guest.reboot();
  await guest.check(`${UP} && ${MOUNT}`);
  expect(await guest.check("sha256sum </mnt/file", { timeout: 60_000 })).toBe(sum);

  // What the file system has no use for any more.
  expect(await guest.check("rm /mnt/file && sync && fstrim -v /mnt")).toMatch(/\d{8} bytes/);
  await guest.check("umount /mnt");
  expect(served.said).not.toMatch(/warning|error/);
});

test("what the guest writes is in the file, and what it discards or makes zeros is gone from it", async () => {
  writeFileSync(path, new Uint8Array(SIZE).fill(0xaa));
  await using served = await servedDevice(DEVICE, { BLOCK_FILE: path, BLOCK_QUEUES: "2" });
  const qemu = served.qemu("vhost-user-blk", "q35", { "num-queues": 2 });
  await using guest = await Guest.start({ processors: 2, qemu });
  await guest.check(UP);
  expect(await guest.check("ls /sys/block/vda/mq | wc -l")).toBe("2");
  const write = "tr '\\000' b </dev/zero | dd of=/dev/vda bs=4096 count=3 seek=5 conv=fsync iflag=fullblock 2>/dev/null";
  for (const processor of [1, 2]) await guest.check(`taskset ${processor} sh -c "${write.replace("seek=5", `seek=${5 * processor}`)}"`);
  await guest.check(`/sbin/blkdiscard -o ${40 * MEGABYTE} -l ${MEGABYTE} /dev/vda`);
  await guest.check(`/sbin/blkdiscard -z -o ${50 * MEGABYTE} -l ${MEGABYTE} /dev/vda`);
  const bytes = readFileSync(path);
  const expected = Buffer.alloc(SIZE, 0xaa);
  for (const at of [5, 10]) expected.fill("b", at * 4096, (at + 3) * 4096);
  for (const at of [40, 50]) expected.fill(0, at * MEGABYTE, (at + 1) * MEGABYTE);
  expect(Buffer.compare(bytes, expected)).toBe(0);
});

test("a disk whose server is killed and started again has lost nothing, and the guest has only waited", async () => {
  await using served = await servedDevice(DEVICE, { BLOCK_FILE: path });
  await using guest = await Guest.start({ qemu: served.qemu("vhost-user-blk", "q35") });
  await guest.check(`${UP} && mke2fs /dev/vda >/dev/null && ${MOUNT}`);
  await guest.check("head -c 20000000 /dev/urandom >/tmp/bytes");
  const write = [
    "n=0",
    "while [ ! -e /tmp/stop ] || [ $n -lt 2 ]; do",
    "  n=$((n + 1)); dd if=/tmp/bytes of=/mnt/$n bs=64k oflag=direct 2>/dev/null; rm -f /mnt/$((n - 2))",
    "done",
    "sync; echo $n >/tmp/files",
  ].join("\n");
  await guest.check(`(${write}) >/tmp/errors 2>&1 &`);
  const writes = async (): Promise<void> => {
    const before = statSync(path).mtimeMs;
    await expect.poll(() => statSync(path).mtimeMs, { timeout: 20_000 }).toBeGreaterThan(before);
  };
  for (let i = 0; i < 3; i++) {
    await writes();
    await served.restart();
  }
  await writes();
  await guest.check("touch /tmp/stop; until [ -s /tmp/files ]; do sleep 0.1; done", { timeout: 60_000 });
  const sums = await guest.check(
    "echo 3 >/proc/sys/vm/drop_caches; n=$(cat /tmp/files); sha256sum </tmp/bytes; sha256sum </mnt/$((n - 1)); sha256sum </mnt/$n",
  );
  expect(new Set(sums.split("\n")).size).toBe(1);
  expect(await guest.check("dmesg")).not.toContain("I/O error");
});

test("a disk that is only read is read by two guests, and written by none", async () => {
  writeFileSync(path, Buffer.alloc(SIZE, "read me "));
  await using served = await servedDevice(DEVICE, { BLOCK_FILE: path, BLOCK_READ_ONLY: "1" });
  const start = (): Promise<Guest> => Guest.start({ qemu: served.qemu("vhost-user-blk", "q35") });
  await using one = await start();
  await using two = await start();
  for (const guest of [one, two]) {
    await guest.check(UP);
    expect(await guest.check("cat /sys/block/vda/ro; head -c 16 /dev/vda")).toBe("1\nread me read me ");
    expect((await guest.run("echo x >/dev/vda")).status).not.toBe(0);
  }
  expect(served.said).toContain("guest 2 joined");
});
