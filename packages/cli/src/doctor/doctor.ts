/** `virtspace doctor`: what this host can do, found out by doing it, and how to mend what it can't. @module */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { HostLinuxError, Memfd, Tap } from "@virtspace/host-linux";
import { type KvmModes, openKvm } from "@virtspace/kvm-core";
import { openV86 } from "@virtspace/v86-core";
import type { Reporter } from "../report/reporter.ts";

/** What was found. */
interface Finding {
  readonly what: string;
  readonly works: boolean;
  /** What it is like, or why not and what to do. */
  readonly details: string;
}

type Check = () => Promise<string>;

const MODES: Readonly<Record<keyof KvmModes, string>> = {
  real: "16-bit guests",
  protected32: "32-bit guests without paging",
  paging32: "32-bit guests with paging",
  long: "64-bit guests",
};

const CHECKS: Readonly<Record<string, Check>> = {
  node: async () => `${process.version}`,
  v86: async () => `the embedded engine, v86 ${(await openV86()).version}`,
  kvm: async () => {
    using kvm = await openKvm();
    const modes = await kvm.probeModes();
    const runs = (works: boolean): string =>
      Object.entries(MODES)
        .filter(([mode]) => modes[mode as keyof KvmModes] === works)
        .map(([, words]) => words)
        .join(", ");
    const not = runs(false);
    return `/dev/kvm runs ${runs(true) || "nothing"}${not === "" ? "" : `; it does not run ${not}`}`;
  },
  memfd: async () => {
    using _file = Memfd.create(4096);
    return "memory that other processes can have, sealed";
  },
  tap: async () => {
    // It goes with its descriptor.
    using _tap = tapOfItsOwn();
    return "devices can be made: serve net --backend tap:NAME";
  },
  qemu: async () => {
    const { stdout } = await promisify(execFile)("qemu-system-x86_64", ["--version"], { timeout: 10_000 }).catch(() => {
      throw new Error("there is no qemu-system-x86_64: install it (Debian: qemu-system-x86)");
    });
    return stdout.split("\n")[0] as string;
  },
};

/** A device that exists can be had without the right to make one, so that is what to do. */
function tapOfItsOwn(): Tap {
  try {
    return Tap.open("tap%d");
  } catch (error) {
    if (!HostLinuxError.is(error) || error.errno !== "EPERM") throw error;
    const remedy = 'run "ip tuntap add NAME mode tap user $USER" as root, then serve net --backend tap:NAME';
    throw new Error(`this user can make no tap device: ${remedy}`, { cause: error });
  }
}

/** Runs all checks. @returns whether what every machine needs is there: the embedded engine */
export async function examine(reporter: Reporter): Promise<boolean> {
  const findings: Finding[] = [];
  for (const [what, check] of Object.entries(CHECKS)) {
    const finding = await check().then(
      (details): Finding => ({ what, works: true, details }),
      (error: unknown): Finding => ({ what, works: false, details: error instanceof Error ? error.message : String(error) }),
    );
    findings.push(finding);
    reporter.say({ event: "finding", ...finding, text: `${finding.works ? "ok     " : "missing"}  ${what.padEnd(5)}  ${finding.details}` });
  }
  return findings.some(({ what, works }) => what === "v86" && works);
}
