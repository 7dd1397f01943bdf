/**
 * What a guest boots: Debian's newest cloud kernel and an initramfs of ours, made once and kept in the user's cache. QEMU is
 * installed on the way if it is missing.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { candidates, ensureProgram, type Package, unpack } from "./debian.ts";
import { GUEST_PACKAGES, initramfs, kernelIn } from "./initramfs.ts";

/** Paths of what QEMU loads. */
export interface GuestImage {
  readonly kernel: string;
  readonly initramfs: string;
}

const KERNEL = "linux-image-cloud-amd64";
/** Whatever decides what the image is made of. */
const SOURCES = ["cpio.ts", "guest-image.ts", "init.sh", "initramfs.ts", "kernel-modules.ts", "lease.sh"];

const cache = (): string => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "virtspace-guest");

/** The kernel's package has its release in its name; the one that is asked for by name says which that is. */
async function packagesOfImage(): Promise<Package[]> {
  const [meta, ...others] = await candidates([KERNEL, ...GUEST_PACKAGES]);
  const kernel = /(?<name>linux-image-[^\s,]+) \(= (?<version>[^)]+)\)/.exec(meta?.depends ?? "")?.groups;
  if (kernel === undefined) throw new Error(`${KERNEL} ${meta?.version} names no kernel: ${meta?.depends}`);
  return [{ name: kernel["name"] ?? "", version: kernel["version"] ?? "", depends: "" }, ...others];
}

function keyOf(packages: readonly Package[]): string {
  const hash = createHash("sha256");
  for (const { name, version } of packages) hash.update(`${name} ${version}\n`);
  for (const source of SOURCES) hash.update(readFileSync(join(import.meta.dirname, source)));
  return hash.digest("hex").slice(0, 16);
}

/** Made beside its place and moved there whole: two processes may do this at once, and either's is as good. */
async function make(packages: readonly Package[], place: string): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const work = await mkdtemp(join(cache(), "making-"));
  try {
    const root = join(work, "root");
    const made = join(work, "made");
    await mkdir(root);
    await mkdir(made);
    await unpack(packages, root);
    await writeFile(join(made, "vmlinuz"), kernelIn(root));
    await writeFile(join(made, "initramfs"), initramfs(root));
    await rename(made, place).catch((error: unknown) => {
      if (!existsSync(place)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function findOrMake(): Promise<GuestImage> {
  await ensureProgram("qemu-system-x86_64", "qemu-system-x86");
  const packages = await packagesOfImage();
  const place = join(cache(), keyOf(packages));
  if (!existsSync(place)) await make(packages, place);
  return { kernel: join(place, "vmlinuz"), initramfs: join(place, "initramfs") };
}

let found: Promise<GuestImage> | undefined;

/** The image, found or made. A process asks apt only once. */
export function guestImage(): Promise<GuestImage> {
  found ??= findOrMake();
  return found;
}
