import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { openKvm } from "@virtspace/kvm-core";
import { expect, test } from "vitest";

const noKvm = await openKvm().then(
  (kvm) => void kvm[Symbol.dispose](),
  (error: unknown) => String(error),
);
const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], { encoding: "utf8", timeout: 25_000 });

test.for([
  ["v86", undefined],
  ["kvm", noKvm],
] as const)("the guest gets its lease, pings the gateway and leaves, on %s", ([name, why], { skip }) => {
  if (why !== undefined) skip(why);
  const { status, stdout, stderr } = run("--hypervisor", name);
  expect([status, stderr]).toEqual([0, ""]);
  const lines = stdout.split("\n");
  expect(lines).toContain(`quickstart is held by its creator, ${name}, net`);
  expect(lines.filter((line) => line.startsWith("  |"))).toEqual([
    "  | virtio-net at 0xd0000000, line 5, split rings, 52:54:00:12:34:56",
    "  | lease: 10.0.2.15, gateway 10.0.2.2",
    expect.stringMatching(/gateway is at ([0-9a-f]{2}:?){6}$/),
    ...[1, 2, 3, 4].map((n) => `  | ping ${n}: answered`),
    "  | 1000 datagrams came back",
  ]);
  expect(stdout).toMatch(
    /the guest left with status 0\n.*round trips.*\n {2}card: 1007 frames sent, 1007 received; gateway: 4 pings, 2 DHCP/,
  );
});

test("a hypervisor that is not there ends it", () => {
  expect(run("--hypervisor", "xen")).toMatchObject({ status: 2, stderr: 'error: there is no hypervisor "xen": give v86 or kvm\n' });
});
