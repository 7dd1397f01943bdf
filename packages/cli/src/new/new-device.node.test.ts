/** What the command writes works as it stands. check:packages type-checks it as well, where it finds what was packed. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Trial } from "../command-scenarios.ts";
import { Exit } from "../index.ts";
import { newDevice } from "./new-device.ts";

const home = join(import.meta.dirname, "../..");

// Within this package, so that the packages which it writes of are found.
let place: string;
beforeEach(() => {
  mkdirSync(join(home, ".cache"), { recursive: true });
  place = mkdtempSync(join(home, ".cache/new-"));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

describe.each(["virtio", "vbus"])("a device of %s", (bus) => {
  test("passes its own tests as it stands, and goes into a machine", { timeout: 120_000 }, async () => {
    const folder = join(place, "my-device");
    const trial = new Trial();
    expect([await trial.run("new", "device", "my-device", "--bus", bus, "--folder", folder), trial.err]).toEqual([Exit.Ok, ""]);
    for (const file of ["README.md", "package.json", "tsconfig.json", "src/device.ts", "src/device.test.ts", "src/machine.ts"]) {
      expect(trial.out).toContain(join(folder, file));
      expect(readFileSync(join(folder, file), "utf8")).not.toContain("{{");
    }
    const link = (name: string): string => `link:${relative(folder, join(home, "..", name))}`;
    expect(JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))).toMatchObject({
      name: "my-device",
      type: "module",
      dependencies: { [`@virtspace/${bus}`]: link(bus) },
      devDependencies: { "@virtspace/cli": link("cli") },
    });
    // A variable of the tests around these would have vitest believe that it is one of their workers.
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], NO_COLOR: "1" };
    const run = (name: string, ...args: string[]): string =>
      execFileSync(process.execPath, [name, ...args], { cwd: folder, encoding: "utf8", env, stdio: "pipe" });
    expect(run(join(home, "../../node_modules/vitest/vitest.mjs"), "run", "--dir", "src")).toMatch(/Tests +\d+ passed/);
    expect(run(join(home, "src/main.ts"), "run", "src/machine.ts")).toMatch(/hello/i);
  });
});

test("outside of a clone it wants packages of the command's version, by npm", () => {
  const { files, npm } = newDevice("fine", { bus: "virtio", folder: place, version: "1.2.3" });
  expect([npm, files.includes("pnpm-workspace.yaml")]).toEqual(["npm", false]);
  expect(JSON.parse(readFileSync(join(place, "package.json"), "utf8"))).toMatchObject({
    dependencies: { "@virtspace/virtio": "^1.2.3" },
    devDependencies: { "@virtspace/conformance": "^1.2.3" },
  });
  expect(readFileSync(join(place, "README.md"), "utf8")).toContain("\nnpm install\n");
});

test.each(["", "My-Device", "9lives", "../up", "a b", "@scope/name", "x".repeat(65)])("the name %j is refused in a line", async (name) => {
  const trial = new Trial();
  expect(await trial.run("new", "device", "--folder", join(place, "x"), "--", name)).toBe(Exit.Usage);
  expect(trial.err).toBe(`error: "${name}" is no name for a device: give small letters, digits and hyphens, a letter first\n`);
  expect(readdirSync(place)).toEqual([]);
});

test("a folder that is in use is left as it is", async () => {
  const folder = join(place, "taken");
  mkdirSync(folder);
  writeFileSync(join(folder, "mine"), "");
  for (const used of [folder, join(folder, "mine")]) {
    const trial = new Trial();
    expect(await trial.run("new", "device", "fine", "--folder", used)).toBe(Exit.Usage);
    expect(trial.err).toBe(`error: ${used} is there and not empty: name another one with --folder\n`);
  }
  expect(readdirSync(folder)).toEqual(["mine"]);
});

test("an empty folder will do, and a bus that is none is refused", async () => {
  const trial = new Trial();
  expect(await trial.run("new", "device", "fine", "--folder", place)).toBe(Exit.Ok);
  expect(existsSync(join(place, "src/device.ts"))).toBe(true);
  expect(await trial.run("new", "device", "fine", "--bus", "pci")).toBe(Exit.Usage);
  expect(trial.err).toContain("virtio, vbus");
});
