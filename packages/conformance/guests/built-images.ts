/** The guests' images as gcc makes them from their sources. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Why the images can't be built here; undefined where they can. */
export function whyNotBuilt(): string | undefined {
  const works = spawnSync("gcc", ["-m32", "-ffreestanding", "-x", "c", "-c", "-o", "/dev/null", "-"], { input: "int x;" }).status === 0;
  return works ? undefined : "there is no gcc here that makes 32-bit code (Debian: gcc)";
}

/** The version of the compiler: another one makes other bytes. */
export function compiler(): string {
  return execFileSync("gcc", ["-dumpfullversion"], { encoding: "utf8" }).trim();
}

/** Builds all of them. */
export function builtImages(): Record<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), "guests-"));
  try {
    execFileSync(join(import.meta.dirname, "build.sh"), [folder], { timeout: 60_000 });
    const files = readdirSync(folder).sort();
    return Object.fromEntries(files.map((file) => [basename(file, ".bin"), readFileSync(join(folder, file))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
