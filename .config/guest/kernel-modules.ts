/**
 * A kernel's modules with all that they need, taken from the files of a kernel package. What needs what is written in the modules
 * themselves, since the package has no modules.dep: depmod makes it at installation.
 */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** A module's bytes, uncompressed, and the modules that it needs itself. */
export interface KernelModule {
  readonly name: string;
  readonly bytes: Buffer;
  readonly needs: readonly string[];
}

/** A module is called virtio_rng and lies in virtio-rng.ko. */
const nameOf = (file: string): string =>
  basename(file)
    .replaceAll("-", "_")
    .replace(/\.ko.*$/, "");

function read(file: string, busybox: string): Buffer {
  return file.endsWith(".xz") ? execFileSync(busybox, ["xzcat", file], { maxBuffer: 1 << 26 }) : readFileSync(file);
}

function needsOf(bytes: Buffer): string[] {
  const at = bytes.indexOf("\0depends=");
  if (at < 0) return [];
  const start = at + "\0depends=".length;
  const names = bytes.toString("latin1", start, bytes.indexOf(0, start));
  return names === "" ? [] : names.split(",").map((name) => name.replaceAll("-", "_"));
}

/**
 * Modules by name and what they need, each after what it needs. What is built into the kernel is left out.
 *
 * @param place - the folder `lib/modules/<release>` of the package
 * @param busybox - a busybox that runs here, for what is compressed
 */
export function kernelModules(place: string, names: readonly string[], busybox: string): KernelModule[] {
  const files = new Map(globSync("kernel/**/*.ko{,.xz}", { cwd: place }).map((file) => [nameOf(file), join(place, file)]));
  const builtIn = new Set(readFileSync(join(place, "modules.builtin"), "utf8").trim().split("\n").map(nameOf));
  const taken = new Map<string, KernelModule>();
  const take = (name: string): void => {
    if (taken.has(name) || builtIn.has(name)) return;
    const file = files.get(name);
    if (file === undefined) throw new Error(`the kernel in ${place} has no module ${name}`);
    const bytes = read(file, busybox);
    const needs = needsOf(bytes);
    needs.forEach(take);
    taken.set(name, { name, bytes, needs });
  };
  names.forEach(take);
  return [...taken.values()];
}
