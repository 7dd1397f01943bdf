/** What is made of Debian's packages once, and kept in the user's cache. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Package, unpack } from "./debian.ts";

/** What is kept. */
export interface KeptFiles {
  readonly packages: readonly Package[];
  /** Files beside this one that decide what is made of them. */
  readonly sources: readonly string[];
  /** Makes it. @param root - a folder with the files of the packages @param made - where it goes */
  make(root: string, made: string): Promise<void>;
}

const cache = (): string => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "virtspace-guest");

function keyOf({ packages, sources }: KeptFiles): string {
  const hash = createHash("sha256");
  for (const { name, version } of packages) hash.update(`${name} ${version}\n`);
  for (const source of ["kept-files.ts", ...sources]) hash.update(readFileSync(join(import.meta.dirname, source)));
  return hash.digest("hex").slice(0, 16);
}

/** Finds the folder with it, or makes that: beside its place, and moved there whole, as two processes may do it at once. */
export async function keptFiles(files: KeptFiles): Promise<string> {
  const place = join(cache(), keyOf(files));
  if (existsSync(place)) return place;
  await mkdir(cache(), { recursive: true });
  const work = await mkdtemp(join(cache(), "making-"));
  try {
    const root = join(work, "root");
    const made = join(work, "made");
    await mkdir(root);
    await mkdir(made);
    await unpack(files.packages, root);
    await files.make(root, made);
    await rename(made, place).catch((error: unknown) => {
      if (!existsSync(place)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return place;
}
