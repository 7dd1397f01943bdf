import { join } from "node:path";
import { expect, test } from "vitest";
import { Trial } from "../command-scenarios.ts";
import { Exit } from "../index.ts";

const QUICKSTART = join(import.meta.dirname, "../../../../examples/quickstart/machine.ts");

test("the tree of a machine's bus is drawn, after commands to it", async () => {
  const trial = new Trial();
  const command = ["-c", "write config/devices/venet/txmitigation 8", "-c", "mkdir config/devices/spare", "--events"];
  expect(await trial.run("vbus", QUICKSTART, ...command)).toBe(Exit.Ok);
  expect(trial.out).toMatch(/^change config\/devices\/venet\/txmitigation\nadd config\/devices\/spare\n├─ config\n/);
  expect(trial.out).toContain("txmitigation: 8");
  expect(trial.out).toContain("└─ venet -> config/devices/venet");
  expect(trial.err).toBe("");
});

test("a command that is refused is said in a line", async () => {
  const trial = new Trial();
  expect(await trial.run("vbus", QUICKSTART, "-c", "write config/devices/venet/zcthresh 1")).toBe(Exit.Failed);
  expect(trial.err).toBe('error: "write config/devices/venet/zcthresh 1" was refused: EPERM\n');
});

test("a file that describes no machine is the user's mistake", async () => {
  const trial = new Trial();
  expect(await trial.run("vbus", "none.ts")).toBe(Exit.Usage);
  expect(trial.err).toBe("error: there is no file none.ts\n");
});
