/** `virtspace run` and `virtspace doctor`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Trial } from "../command-scenarios.ts";
import { Exit } from "../index.ts";

const QUICKSTART = join(import.meta.dirname, "../../../../examples/quickstart/machine.ts");

let folder: string;
beforeEach(() => {
  // Within the package: a description's imports are found there.
  folder = mkdtempSync(join(import.meta.dirname, "../../node_modules/.machine-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a description of a machine whose guest is these bytes. */
function machine(code: readonly number[], changes = ""): string {
  const file = join(folder, "machine.ts");
  writeFileSync(
    file,
    `import { defineMachine, flat, kvm, v86 } from "@virtspace/composition";
    const image = Uint8Array.of(${code.join(", ")});
    export default defineMachine({ memory: 1 << 20, hypervisor: v86(), boot: flat(image, { address: 0x1000 }), ${changes} });`,
  );
  return file;
}

/** `mov eax, status; out 0xf4, eax; hlt` */
const leaving = (status: number): number[] => [0xb8, status, 0, 0, 0, 0xe7, 0xf4, 0xf4];

test("the example's guest talks on its console, and a capture has its frames", async () => {
  const trial = new Trial();
  const pcap = join(folder, "pcap");
  expect(await trial.run("run", QUICKSTART, "--pcap", pcap)).toBe(Exit.Ok);
  expect(trial.out).toContain("ping 4: answered\n1000 datagrams came back\n");
  expect(trial.err).toBe("quickstart runs on v86\nthe guest left with status 0\n");
  expect(readFileSync(pcap).readUInt32LE(0)).toBe(0x0a0d0d0a);
  expect(readFileSync(pcap).length).toBeGreaterThan(200_000);
});

test("programs get an object a line", async () => {
  const trial = new Trial();
  expect(await trial.run("run", machine([...leaving(3)]), "--json")).toBe(3);
  const lines = trial.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toMatchObject([
    { event: "run", machine: "machine", hypervisor: "v86" },
    { event: "end", outcome: { reason: "left", status: 3 } },
  ]);
});

test.each([
  [leaving(0), Exit.Ok, "status 0"],
  [leaving(200), 125, "status 200"],
  [[0x0f, 0x0b], Exit.Failed, "triple fault"],
])("the guest's end is the exit code: %j", async (code, status, text) => {
  const trial = new Trial();
  expect([await trial.run("run", machine(code)), trial.err.includes(text)]).toEqual([status, true]);
});

test("what is typed reaches the guest, more than its port holds too", async () => {
  // in dx=0x3fd: wait for a byte; in al, 0x3f8; out 0x3f8, al; again, until it is '.'
  const echo = [0x66, 0xba, 0xfd, 3, 0xec, 0xa8, 1, 0x74, 0xf7, 0x66, 0xba, 0xf8, 3, 0xec, 0xee, 0x3c, 0x2e, 0x75, 0xed];
  const trial = new Trial();
  const done = trial.run("run", machine([...echo, ...leaving(0)]));
  trial.stdin.push("a line that is longer than a FIFO of sixteen bytes\n");
  trial.stdin.push("and another.");
  expect(await done).toBe(Exit.Ok);
  expect(trial.out).toBe("a line that is longer than a FIFO of sixteen bytes\nand another.");
});

test("a guest that never leaves is stopped by the signal", async () => {
  const trial = new Trial();
  const done = trial.run("run", machine([0xeb, 0xfe]));
  setTimeout(() => trial.stop.abort(), 100);
  expect([await done, trial.err]).toEqual([Exit.Ok, "machine runs on v86\nstopped\n"]);
});

describe("what can't be run says why in a line", () => {
  test.each([
    ["no file", () => "/nowhere.ts", Exit.Usage, "there is no file /nowhere.ts"],
    ["no description", () => file("export const x = 1;"), Exit.Usage, "no default export"],
    ["another thing", () => file("export default { memory: 3 };"), Exit.Usage, "its hypervisor is missing: give v86() or kvm()"],
    ["a hypervisor that is not there", () => machine([], "hypervisor: kvm({ path: '/dev/none' })"), Exit.Failed, "there is no /dev/none"],
    ["memory that can't be", () => machine([], "memory: 5"), Exit.Failed, "memory of 5 bytes"],
    ["no room", () => machine([], "boot: flat(new Uint8Array(9), { address: 1 << 20 })"), Exit.Failed, "no memory for 9 bytes"],
  ])("%s", async (_what, path, status, text) => {
    const trial = new Trial();
    expect(await trial.run("run", path())).toBe(status);
    expect(trial.err).toContain(text);
    expect(trial.err.trim().split("\n").length).toBe(1);
  });

  const file = (text: string): string => {
    const path = join(folder, "machine.ts");
    writeFileSync(path, text);
    return path;
  };
});

test("a hypervisor that nobody knows is refused", async () => {
  const trial = new Trial();
  expect([await trial.run("run", QUICKSTART, "--hypervisor", "xen"), trial.err.includes("v86, kvm")]).toEqual([Exit.Usage, true]);
});

test("doctor tells what there is, and how to mend what there isn't", async () => {
  const trial = new Trial();
  expect(await trial.run("doctor", "--json")).toBe(Exit.Ok);
  const findings = trial.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { what: string; works: boolean; details: string });
  expect(findings.map(({ what }) => what)).toEqual(["node", "v86", "kvm", "memfd", "tap", "qemu"]);
  expect(findings.slice(0, 2)).toMatchObject([{ works: true, details: process.version }, { works: true }]);
  // What is missing is told with what to do.
  const remedies: Readonly<Record<string, RegExp>> = {
    kvm: /load the module|group kvm/,
    tap: /load the module|ip tuntap add/,
    qemu: /install it/,
  };
  for (const { what, works, details } of findings) if (!works) expect(details).toMatch(remedies[what] ?? /^$/);
  const tap = findings.find(({ what }) => what === "tap");
  if (spawnSync("ip", ["-V"]).status === 0) expect(tap?.works).toBe(canMakeTap());
});

/** Whether it can, by another way: `ip` makes a device, and takes it away. */
function canMakeTap(): boolean {
  const ip = (verb: string): boolean => spawnSync("ip", ["tuntap", verb, "dev", "doctortest", "mode", "tap"]).status === 0;
  if (!ip("add")) return false;
  ip("del");
  return true;
}
