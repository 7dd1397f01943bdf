import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("two modules that know nothing of each other talk through guest memory", async () => {
  const main = new URL("./main.ts", import.meta.url).pathname;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [main], { timeout: 20_000 });
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.slice(0, 3)).toEqual(["memory map", "  0x00000000 - 0x00ffffff  ram  ram", "  0x80000000 - 0x8003ffff  ram  video"]);
  expect(lines.filter((line) => line.startsWith("  display: reading"))).toEqual(
    Array.from({ length: 12 }, (_, i) => `  display: reading ${i + 1} of 12`),
  );
  expect(lines).toContain("bound: its creator, display, sensor");
  expect(lines).toContain("  sensor: the window was revoked");
  expect(lines).toContain("  display: the window was revoked, and reads as undefined");
  expect(lines).toContain("ram is unmapped, its memory was released");
  expect(lines.at(-1)).toBe("the last holder let go: the space is released");
});
