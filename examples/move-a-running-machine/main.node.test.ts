import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("a guest that streams is moved four times, with all that it had, and nothing is lost", () => {
  const main = join(import.meta.dirname, "main.ts");
  const { status, stdout, stderr } = spawnSync(process.execPath, [main], { encoding: "utf8", timeout: 25_000 });
  expect([status, stderr]).toEqual([0, ""]);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.filter((line) => line.startsWith("moved after"))).toHaveLength(4);
  const kept = lines.filter((line) => line.endsWith("  the same")).map((line) => line.slice(2, 12).trimEnd());
  expect(kept).toEqual(Array(4).fill(["memory", "vcpu 0", "receive 0", "transmit 0"]).flat());
  // One guest goes on: each line comes once, whichever machine it ran in.
  expect(lines.filter((line) => line.startsWith("  |")).map((line) => line.slice(4))).toEqual([
    "virtio-net at 0xd0000000, line 5, split rings, 52:54:00:12:34:56",
    "venet at 0xd0100000, line 15, 52:54:00:12:34:57",
    ...["", "venet: "].flatMap((card, index) => [
      `${card}lease: 10.0.2.${15 + index}, gateway 10.0.2.2`,
      `${card}gateway is at 52:55:0a:00:02:02`,
      ...[1, 2].map((number) => `${card}ping ${number}: answered`),
      `${card}1000 datagrams came back`,
    ]),
  ]);
  expect(lines.at(-1)).toMatch(/^the gateway echoed 2000 datagrams, .*: none was lost, and none came twice$/);
});
