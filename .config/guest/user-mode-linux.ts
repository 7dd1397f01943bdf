/**
 * Linux as a process of its host: Debian's User Mode Linux. It is its devices' front-end itself, one that is not QEMU's: it notifies
 * by messages, and its memory is a file that its owner can shrink.
 *
 * @see arch/um/drivers/virtio_uml.c of the kernel
 */
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { cpio, file, folder, link } from "./cpio.ts";
import { candidates } from "./debian.ts";
import { HelperProgram } from "./helper-program.ts";
import { busyboxIn, find } from "./initramfs.ts";
import { keptFiles } from "./kept-files.ts";
import { kernelModules } from "./kernel-modules.ts";

const PACKAGE = "user-mode-linux";
const MODULES = ["virtio_net", "virtio_blk", "ext4"];
/** Its memory is a file there, which goes with it: on a disk it would be slow. */
const MEMORY_FOLDER = "/dev/shm";
const LIFETIME = 90_000;
/** It has helpers that outlive it where it is killed: a PID namespace ends with its first process. */
const APART = ["unshare", ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]), "--pid", "--fork", "--kill-child"];

/** Modules that the script in `/work` needs, in their order, and the script. What it says is the console's. */
const INIT = `#!/bin/sh
export PATH=/bin
busybox mkdir /proc /sys /dev /tmp
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox --install -s /bin
for module in $(cat /modules); do insmod /$module.ko; done
sh /work
echo "@ended $?"
poweroff -f
`;

async function image(): Promise<{ readonly program: string; readonly initramfs: string }> {
  const place = await keptFiles({
    packages: await candidates([PACKAGE, "busybox-static"]),
    sources: ["user-mode-linux.ts", "cpio.ts", "initramfs.ts", "kernel-modules.ts"],
    make: async (root, made) => {
      const program = join(made, "linux");
      copyFileSync(find(root, "bin/linux.uml"), program);
      chmodSync(program, 0o755);
      const busybox = busyboxIn(root);
      const modules = kernelModules(find(root, "lib/uml/modules/*"), MODULES, busybox);
      const files = [
        folder("bin"),
        file("bin/busybox", readFileSync(busybox)),
        link("bin/sh", "busybox"),
        file("init", INIT),
        file("modules", modules.map(({ name }) => name).join(" ")),
        ...modules.map(({ name, bytes }) => file(`${name}.ko`, bytes)),
      ];
      writeFileSync(join(made, "initramfs"), cpio(files));
    },
  });
  return { program: join(place, "linux"), initramfs: join(place, "initramfs") };
}

/** Gets it, so that no test's time goes into that. */
export async function fetchUserModeLinux(): Promise<void> {
  await image();
}

/** A device that it has: the socket where somebody serves it, and its type by number. */
export interface UserModeDevice {
  readonly socket: string;
  /** @see virtio 1.3, section 5 (device types) */
  readonly type: number;
}

/** A Linux that runs a script and ends. */
export class UserModeLinux implements AsyncDisposable {
  readonly #program: HelperProgram;
  readonly #folder: string;

  private constructor(program: HelperProgram, place: string) {
    this.#program = program;
    this.#folder = place;
  }

  /** Boots it. @param script - what it runs then, by busybox's shell */
  static async start(devices: readonly UserModeDevice[], script: string): Promise<UserModeLinux> {
    const { program, initramfs } = await image();
    const place = await mkdtemp(join(MEMORY_FOLDER, "user-mode-linux-"));
    try {
      const whole = join(place, "initramfs");
      writeFileSync(whole, Buffer.concat([readFileSync(initramfs), cpio([file("work", script)])]));
      const words = [
        ...APART,
        ...["env", `TMPDIR=${place}`, `HOME=${place}`, program, "mem=96M", `initrd=${whole}`, "quiet"],
        ...["con0=null,fd:1", "con=null", ...devices.map(({ socket, type }) => `virtio_uml.device=${socket}:${type}`)],
      ];
      return new UserModeLinux(await HelperProgram.start(words, LIFETIME), place);
    } catch (error) {
      await rm(place, { recursive: true });
      throw error;
    }
  }

  /** Resolves when its script has ended. @returns the last that it said, with what the kernel said between @throws where it failed */
  async ended(): Promise<string> {
    await this.#program.ended();
    const { said } = this.#program;
    const end = said.lastIndexOf("@ended 0");
    if (end < 0) throw new Error(`the script failed: ${said}`);
    return said.slice(0, end).replaceAll("\r", "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#program[Symbol.asyncDispose]();
    } finally {
      await rm(this.#folder, { recursive: true });
    }
  }
}
