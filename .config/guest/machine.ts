/**
 * What a guest is made of, and QEMU's command line for it.
 *
 * The processor is always emulated (tcg): the tests run where there is no KVM, and what they say must not depend on it.
 */
import { readFileSync } from "node:fs";
import type { GuestImage } from "./guest-image.ts";
import { type Nic, nicArguments } from "./nic.ts";

/** A PC with PCI Express, or a small machine whose devices are virtio over MMIO. */
export type Machine = "q35" | "microvm";

/** A guest. Everything has a default. */
export interface GuestOptions {
  /** `q35` if not given. */
  readonly machine?: Machine;
  /** 256 if not given. */
  readonly memoryMiB?: number;
  /** How much memory may be added while it runs, 0 if not given. Only q35 can. */
  readonly hotplugMiB?: number;
  /** 1 if not given. */
  readonly processors?: number;
  readonly nics?: readonly Nic[];
  /** More arguments for QEMU. */
  readonly qemu?: readonly string[];
  /** More words for the kernel's command line. */
  readonly kernel?: readonly string[];
  /** Whether it is the destination of a migration: then it runs nothing until {@link Guest.migrateTo} is through. */
  readonly incoming?: boolean;
  /** Whether a guest that restarts comes up again; if not, QEMU ends. */
  readonly reboot?: boolean;
  /** What is unpacked for the kernel, instead of the harness's own: a file. */
  readonly initramfs?: string;
  /** Whether it has a virtualising processor (AMD's): then its kernel has a KVM, which runs any guest, if slowly. */
  readonly svm?: boolean;
  /** After how many milliseconds QEMU is killed, whatever happens; 120000 if not given. */
  readonly lifetime?: number;
  /** How many milliseconds it may take until the guest's shell is there; 60000 if not given. */
  readonly bootTimeout?: number;
}

/** The file descriptors that QEMU is started with, beside the usual three. Each is a socket. */
export const Descriptor = { monitor: 3, log: 4, commands: 5 } as const;

/**
 * The rate of the time-stamp counter, which is the host's under emulation. A microvm has only the PIT to measure it by; that fails
 * whenever the host is slow for a moment, and then there is no clock at all and the boot hangs.
 */
function counterKHz(): number | undefined {
  const read = (path: string): string => {
    try {
      return readFileSync(path, "latin1");
    } catch {
      return "";
    }
  };
  const base = Number(read("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency"));
  if (base > 0) return base;
  const now = /^cpu MHz\s*:\s*([\d.]+)/m.exec(read("/proc/cpuinfo"))?.[1];
  return now === undefined ? undefined : Math.round(Number(now) * 1000);
}

const MACHINES: Readonly<Record<Machine, readonly string[]>> = {
  q35: ["-machine", "q35,memory-backend=ram"],
  // Without force-legacy=off the devices are those of before virtio 1.0. The serial ports are given below, as for q35.
  microvm: ["-machine", "microvm,rtc=on,isa-serial=off,memory-backend=ram", "-global", "virtio-mmio.force-legacy=false"],
};

function memoryArguments({ memoryMiB = 256, hotplugMiB = 0 }: GuestOptions): string[] {
  const spare = hotplugMiB > 0 ? `,slots=8,maxmem=${memoryMiB + hotplugMiB}M` : "";
  // Shared, since a vhost-user back-end maps it.
  return ["-object", `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`, "-m", `${memoryMiB}M${spare}`];
}

function serialArguments(): string[] {
  const socket = (id: string, fd: number): string[] => ["-chardev", `socket,id=${id},fd=${fd}`];
  return [
    ...[...socket("monitor", Descriptor.monitor), "-mon", "chardev=monitor,mode=control"],
    ...[...socket("log", Descriptor.log), "-device", "isa-serial,chardev=log,index=0"],
    ...[...socket("commands", Descriptor.commands), "-device", "isa-serial,chardev=commands,index=1"],
  ];
}

function kernelArguments({ machine = "q35", initramfs, kernel = [] }: GuestOptions, image: GuestImage): string[] {
  const rate = machine === "microvm" ? counterKHz() : undefined;
  const clock = rate === undefined ? [] : [`tsc_early_khz=${rate}`];
  // Left to itself, one restart of a microvm in five ends in nowhere; by a triple fault none did.
  const restart = machine === "microvm" ? ["reboot=t"] : [];
  const words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", ...clock, ...restart, ...kernel];
  return ["-kernel", image.kernel, "-initrd", initramfs ?? image.initramfs, "-append", words.join(" ")];
}

/** QEMU's arguments for a guest. */
export function qemuArguments(options: GuestOptions, image: GuestImage): string[] {
  const { machine = "q35", processors = 1, nics = [], qemu = [], svm = false, incoming = false, reboot = false } = options;
  return [
    ...["-accel", "tcg", "-no-user-config", "-nodefaults", "-display", "none", "-smp", `${processors}`],
    ...MACHINES[machine],
    ...(svm ? ["-cpu", "EPYC,+svm,+npt"] : []),
    ...memoryArguments(options),
    ...serialArguments(),
    ...kernelArguments(options, image),
    ...nics.flatMap((nic, i) => nicArguments(nic, i, machine)),
    ...(reboot ? [] : ["-no-reboot"]),
    ...(incoming ? ["-incoming", "defer"] : []),
    ...qemu,
  ];
}
