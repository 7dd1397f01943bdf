/** A tap device between the kernel's network stack and a device of ours, in a network namespace that goes with the test. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { Tool } from "../host-scenarios.ts";

/** Why a tap can't be made here; undefined where it can. */
function reason(): string | undefined {
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  if (spawnSync(Tool.ip, ["-V"]).status !== 0) return 'there is no "ip" (Debian: iproute2)';
  const { status, stderr } = spawnSync(Tool.unshare, ["-n", Tool.ip, "tuntap", "add", "probe0", "mode", "tap"], { encoding: "utf8" });
  return status === 0 ? undefined : `no tap can be made in a network namespace: ${stderr ?? "no unshare"}`;
}

const why = reason();
if (why !== undefined) console.warn(`Not run: the tests with a tap device. Here ${why.trim()}.`);

test.skipIf(why !== undefined)(
  "a tap carries frames both ways, with checksums and large segments undone where both sides can take that",
  () => {
    const script = new URL("tap.process.ts", import.meta.url).pathname;
    const { status, stdout, stderr } = spawnSync(Tool.unshare, ["-n", process.execPath, script], { encoding: "utf8", timeout: 25_000 });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      anyName: "warm0",
      second: { code: "system-call", errno: "EBUSY" },
      down: { unplugged: 1 },
      udp: {
        text: "hello",
        offload: expect.objectContaining({ needsChecksum: true, checksumStart: 34, checksumOffset: 6, segmentation: "none" }),
      },
      heard: ["right"],
      tcp: {
        taken: 3000,
        port: 6000,
        offload: expect.objectContaining({
          needsChecksum: true,
          checksumStart: 34,
          checksumOffset: 16,
          segmentation: "tcp4",
          segmentSize: 1460,
        }),
      },
      plain: { short: true, offload: expect.objectContaining({ needsChecksum: false, segmentation: "none" }), sum: 0xffff },
      counted: true,
      gone: { gone: 1, watches: 0, unplugged: true },
      fds: true,
    });
  },
);
