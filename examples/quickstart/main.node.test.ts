import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { kvmRefusal } from "../../.config/kvm/kvm-here.ts";

const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], { encoding: "utf8", timeout: 25_000 });

test.for([
  ["v86", undefined],
  ["kvm", kvmRefusal],
] as const)("the guest gets its lease, pings the gateway and leaves, on %s", ([name, why], { skip }) => {
  if (why !== undefined) skip(why);
  const { status, stdout, stderr } = run("--hypervisor", name);
  expect([status, stderr]).toEqual([0, ""]);
  const lines = stdout.split("\n");
  expect(lines).toContain(`quickstart, passed by descriptor, is held by its creator, ${name}, quickstart's bus, net`);
  const gatewayIs = expect.stringMatching(/gateway is at ([0-9a-f]{2}:?){6}$/);
  const pings = (prefix: string): string[] => [1, 2, 3, 4].map((n) => `  | ${prefix}ping ${n}: answered`);
  expect(lines.filter((line) => line.startsWith("  |"))).toEqual([
    "  | virtio-net at 0xd0000000, line 5, split rings, 52:54:00:12:34:56",
    "  | venet at 0xd0100000, line 15, 52:54:00:12:34:57",
    ...["  | lease: 10.0.2.15, gateway 10.0.2.2", gatewayIs, ...pings(""), "  | 1000 datagrams came back"],
    ...["  | venet: lease: 10.0.2.16, gateway 10.0.2.2", gatewayIs, ...pings("venet: "), "  | venet: 1000 datagrams came back"],
  ]);
  expect(stdout).toMatch(
    /the guest left with status 0\n.*round trips.*\n.*\n {2}virtio-net: 1007 frames sent, \d+ received; gateway: 8 pings, 4 DHCP/,
  );
  expect(stdout).toContain("│        └─ venet -> config/devices/venet");
});

test("a hypervisor that is not there ends it", () => {
  expect(run("--hypervisor", "xen")).toMatchObject({ status: 2, stderr: 'error: there is no hypervisor "xen": give v86 or kvm\n' });
});
