import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";

const MAIN = join(import.meta.dirname, "main.ts");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "two-guests-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a socket for each guest is listened at, with a command line for it, and gone at the end", async () => {
  const program = spawn(process.execPath, [MAIN, folder], { stdio: ["ignore", "pipe", "inherit"], timeout: 20_000 });
  const said = text(program.stdout);
  await expect.poll(() => readdirSync(folder), { timeout: 10_000 }).toEqual(["one.sock", "two.sock"]);
  program.kill("SIGTERM");
  expect([await once(program, "exit"), readdirSync(folder)]).toEqual([[0, null], []]);
  for (const name of ["one", "two"]) {
    expect(await said).toContain(`${name} is waited for at ${join(folder, name)}.sock\n`);
    expect(await said).toContain(`-chardev socket,id=c0,path=${join(folder, name)}.sock `);
  }
  expect(await said).toMatch(/\nstopped\n$/);
});

test("a folder that is not there ends it", () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, join(folder, "nowhere")], { encoding: "utf8", timeout: 20_000 });
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: there is no folder .*\n$/)]);
});
