/**
 * What a guest boots: Debian's newest cloud kernel and an initramfs of ours, made once and kept in the user's cache. QEMU is
 * installed on the way if it is missing.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { candidates, ensureProgram, type Package } from "./debian.ts";
import { GUEST_PACKAGES, initramfs, kernelIn } from "./initramfs.ts";
import { keptFiles } from "./kept-files.ts";

/** Paths of what QEMU loads. */
export interface GuestImage {
  readonly kernel: string;
  readonly initramfs: string;
}

const KERNEL = "linux-image-cloud-amd64";
/** Whatever decides what the image is made of. */
const SOURCES = ["cpio.ts", "guest-image.ts", "init.sh", "initramfs.ts", "kernel-modules.ts", "lease.sh"];

/** The kernel's package has its release in its name; the one that is asked for by name says which that is. */
async function packagesOfImage(): Promise<Package[]> {
  const [meta, ...others] = await candidates([KERNEL, ...GUEST_PACKAGES]);
  const kernel = /(?<name>linux-image-[^\s,]+) \(= (?<version>[^)]+)\)/.exec(meta?.depends ?? "")?.groups;
  if (kernel === undefined) throw new Error(`${KERNEL} ${meta?.version} names no kernel: ${meta?.depends}`);
  return [{ name: kernel["name"] ?? "", version: kernel["version"] ?? "", depends: "" }, ...others];
}

async function findOrMake(): Promise<GuestImage> {
  await ensureProgram("qemu-system-x86_64", "qemu-system-x86");
  const place = await keptFiles({
    packages: await packagesOfImage(),
    sources: SOURCES,
    make: async (root, made) => {
      await writeFile(join(made, "vmlinuz"), kernelIn(root));
      await writeFile(join(made, "initramfs"), initramfs(root));
    },
  });
  return { kernel: join(place, "vmlinuz"), initramfs: join(place, "initramfs") };
}

let found: Promise<GuestImage> | undefined;

/** The image, found or made. A process asks apt only once. */
export function guestImage(): Promise<GuestImage> {
  found ??= findOrMake();
  return found;
}
