/**
 * Linux under a front-end that is not QEMU's: User Mode Linux, which is one itself. It notifies by messages, sends a table of memory
 * of a fixed length, and reads configurations field by field.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { VhostUserServer } from "@virtspace/vhost-user";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import { expect, test } from "vitest";
import { servedDevice } from "../../../../.config/guest/served-device.ts";
import { UserModeLinux } from "../../../../.config/guest/user-mode-linux.ts";
import { Served, Sockets } from "./served-scenarios.ts";

const NET = 1;
const BLOCK = 2;
const up = (address: string): string => `ip addr add ${address}/24 dev eth0 && ip link set eth0 up`;

test("two of them ping each other and the gateway, and send each other what arrives as it was sent", async () => {
  using sockets = new Sockets();
  const socket = sockets.at("net");
  await using served = await Served.start("--socket", socket, "--gateway", "10.0.0.1", "--unsealed", "--no-packed");
  const bytes = 4_000_000;
  const receive = `${up("10.0.0.3")} && nc -l -p 5000 > /tmp/file && sha256sum < /tmp/file`;
  const send = [
    up("10.0.0.2"),
    "ping -q -c 500 -i 0.001 10.0.0.1",
    "until ping -q -c 1 -W 1 10.0.0.3 >/dev/null; do :; done",
    `head -c ${bytes} /dev/urandom > /tmp/file`,
    "sha256sum < /tmp/file",
    "until nc 10.0.0.3 5000 < /tmp/file; do sleep 0.2; done",
  ].join(" && ");
  await using to = await UserModeLinux.start([{ socket, type: NET }], receive);
  await using from = await UserModeLinux.start([{ socket, type: NET }], send);
  const said = await from.ended();
  expect(said).toContain("500 packets transmitted, 500 packets received");
  const [sum] = /[0-9a-f]{64}/.exec(said) ?? ["none was sent"];
  expect(await to.ended()).toContain(sum);
  await served.until("both to leave", () => served.said.filter(({ event }) => event === "leave").length === 2);
  expect(served.said.filter(({ event }) => event === "log")).toEqual([]);
});

test("notifications go by messages, both ways", async () => {
  using sockets = new Sockets();
  const path = sockets.at("net");
  const network = new LearningSwitch();
  using _gateway = new Gateway(network, { address: "10.0.0.1" });
  const complaints: string[] = [];
  const log = {
    debug: () => {},
    info: () => {},
    warn: (text: string) => complaints.push(text),
    error: (text: string) => complaints.push(text),
  };
  const seen = Promise.withResolvers<readonly unknown[]>();
  using server = VhostUserServer.listen({
    path,
    log,
    unsealed: true,
    withheld: FeatureSet.of(VirtioFeature.RingPacked),
    device: () => new VirtioNet({ backend: network, mac: "52:54:00:00:00:01", mtu: 1400 }),
    onLeave: ({ session, device }) => {
      const rings = [0, 1].map((index) => session.rings.ring(index));
      seen.resolve([
        rings.map(({ kick, call }) => [kick, call]),
        (device as VirtioNet).counters.map(({ kicks, interrupts }) => [kicks > 0, interrupts > 0]),
      ]);
    },
  });
  await using linux = await UserModeLinux.start(
    [{ socket: path, type: NET }],
    `${up("10.0.0.2")} && ping -q -c 20 -i 0.01 10.0.0.1 && cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address /proc/interrupts`,
  );
  const said = await linux.ended();
  expect(said).toMatch(/20 packets received.*\n1400\n52:54:00:00:00:01\n/s);
  expect(Number(/(\d+)\s+SIGIO\s+virtio-uml/.exec(said)?.[1])).toBeGreaterThanOrEqual(20);
  const none = [undefined, undefined];
  expect(await seen.promise).toEqual([[none, none], expect.arrayContaining([[true, true]])]);
  expect([complaints, server.guests]).toEqual([[], []]);
});

test("a disk is written and read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "block-"));
  try {
    const path = join(folder, "disk.img");
    writeFileSync(path, "");
    truncateSync(path, 32 << 20);
    const device = join(import.meta.dirname, "../../../../examples/block/device.ts");
    await using served = await servedDevice(device, { BLOCK_FILE: path }, ["--unsealed", "--no-packed"]);
    const script = [
      "cat /sys/block/vda/size /sys/block/vda/serial",
      "mke2fs /dev/vda >/dev/null && mkdir /mnt && mount -t ext4 /dev/vda /mnt",
      "head -c 8000000 /dev/urandom > /mnt/file && sha256sum < /mnt/file",
      "umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount -t ext4 /dev/vda /mnt && sha256sum < /mnt/file && umount /mnt",
    ].join(" && ");
    await using linux = await UserModeLinux.start([{ socket: served.socket, type: BLOCK }], script);
    const said = await linux.ended();
    expect(said).toMatch(new RegExp(`${(32 << 20) / 512}\ndisk.img`));
    const sums = said.match(/[0-9a-f]{64}/g);
    expect(sums).toEqual([sums?.[0], sums?.[0]]);
    expect(served.said).not.toMatch(/warning|error/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
