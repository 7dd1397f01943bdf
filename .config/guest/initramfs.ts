/**
 * The files of a guest: busybox, the modules of virtio, ethtool and blkdiscard (for the number of queues and for zeros, of which busybox's
 * know nothing) and the program that takes the harness's commands. There is no disk.
 */
import { globSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { type CpioEntry, cpio, file, folder, link } from "./cpio.ts";
import { type KernelModule, kernelModules } from "./kernel-modules.ts";

/** The packages that the files come from, beside the kernel. */
export const GUEST_PACKAGES: readonly string[] = [
  "busybox-static",
  "ethtool",
  "libmnl0",
  "util-linux",
  "libblkid1",
  "libc6",
  "libgcc-s1",
  "libstdc++6",
];

const MODULES = [
  "virtio_pci",
  "virtio_mmio",
  "virtio_net",
  "virtio_blk",
  "virtio_rng",
  "virtio_console",
  "ext4",
  "pktgen",
  "button",
  "msr",
  "kvm_amd",
];
/** Beside what ethtool needs, what Node and its native modules do: a guest that runs guests of its own has them. */
const NODE_LIBRARIES = ["librt.so.1", "libdl.so.2", "libpthread.so.0", "libgcc_s.so.1", "libstdc++.so.6"];
const LIBRARIES = ["libc.so.6", "libm.so.6", "libmnl.so.0", "libblkid.so.1", ...NODE_LIBRARIES];
const LINKER = "ld-linux-x86-64.so.2";

/** Where a package's file lies: Debian 13 has moved everything below usr. */
export function find(root: string, pattern: string): string {
  const [found] = globSync([`usr/${pattern}`, pattern], { cwd: root });
  if (found === undefined) throw new Error(`Debian's packages have no ${pattern}`);
  return join(root, found);
}

export const busyboxIn = (root: string): string => find(root, "bin/busybox");

/** As depmod writes it, for modprobe: each module with all that it needs, the nearest first. */
function dependencies(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const needsOf = ({ needs }: KernelModule): KernelModule[] =>
    needs.flatMap((name) => byName.get(name) ?? []).flatMap((need) => [need, ...needsOf(need)]);
  const line = (module: KernelModule): string =>
    `${[`${module.name}.ko:`, ...needsOf(module).map(({ name }) => `${name}.ko`)].join(" ")}\n`;
  return modules.map(line).join("");
}

function modulesOf(root: string): CpioEntry[] {
  const place = find(root, "lib/modules/*");
  const modules = kernelModules(place, MODULES, busyboxIn(root));
  const there = `lib/modules/${basename(place)}`;
  return [
    folder("lib/modules"),
    folder(there),
    file(`${there}/modules.dep`, dependencies(modules)),
    ...modules.map(({ name, bytes }) => file(`${there}/${name}.ko`, bytes)),
  ];
}

function librariesOf(root: string): CpioEntry[] {
  const library = (name: string): Buffer => readFileSync(realpathSync(find(root, `lib/x86_64-linux-gnu/${name}`)));
  return [file(`lib64/${LINKER}`, library(LINKER)), ...LIBRARIES.map((name) => file(`lib/${name}`, library(name)))];
}

/** The kernel in a folder with unpacked packages. */
export function kernelIn(root: string): Buffer {
  return readFileSync(find(root, "boot/vmlinuz-*"));
}

/** An initramfs from a folder with unpacked packages: a kernel's and {@link GUEST_PACKAGES}. */
export function initramfs(root: string): Buffer {
  return cpio([
    ...["bin", "sbin", "lib", "lib64", "proc", "sys", "dev", "tmp", "etc", "etc/udhcpc", "root"].map(folder),
    file("init", readFileSync(join(import.meta.dirname, "init.sh"))),
    file("bin/busybox", readFileSync(busyboxIn(root))),
    link("bin/sh", "busybox"),
    // The kernel calls it by this name.
    link("sbin/modprobe", "../bin/busybox"),
    file("etc/udhcpc/default.script", readFileSync(join(import.meta.dirname, "lease.sh"))),
    file("sbin/ethtool", readFileSync(find(root, "sbin/ethtool"))),
    // Called by its path: busybox's shell knows its own alone by the name.
    file("sbin/blkdiscard", readFileSync(find(root, "sbin/blkdiscard"))),
    ...librariesOf(root),
    ...modulesOf(root),
  ]);
}
