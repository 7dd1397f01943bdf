/** Exits to handlers on the vCPU's own thread, and to the main thread, beside a loop in C that does as little. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestCode } from "@virtspace/conformance";
import { memfdMemory } from "@virtspace/host-linux";
import { flat32 } from "@virtspace/hypervisor";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { ns, type Row, report } from "../../../.config/bench/measure.ts";
import { KvmError, openKvm } from "./index.ts";

const CODE = 0x1000;
const START = 0x500;
const END = 0x504;
const EXITS = 50_000;
const ROUNDS = 5;
const KINDS = ["port", "memory"] as const;
type Kind = (typeof KINDS)[number];

function guest(kind: Kind): Uint8Array {
  const code = new GuestCode(CODE).write(START, 0).ecx(EXITS);
  const again = code.here;
  if (kind === "port") code.write(0x600, 7);
  else code.eax(7).store(0xd000_0000);
  return code.loop(again).write(END, 0).haltForGood().bytes;
}

/** Nanoseconds an exit. */
async function ours(kind: Kind, onThread: boolean): Promise<number> {
  using kvm = await openKvm();
  using memory = VirtAddressSpace.create({ name: "guest" });
  memory.map({ name: "ram", base: gpa(0), memory: memfdMemory(MiB) });
  using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  let start = 0;
  const done = Promise.withResolvers<number>();
  const at = (base: number, write: () => void): void =>
    void ports.map({ kind: "io", name: `port ${base}`, base: gpa(base), size: 4, handler: { read: () => 0, write } });
  at(START, () => {
    start = performance.now();
  });
  at(END, () => done.resolve(performance.now() - start));
  if (!onThread) {
    let last = 0;
    const handler = {
      read: () => last,
      write: (_offset: number, _size: number, value: number) => {
        last = value;
      },
    };
    ports.map({ kind: "io", name: "port", base: gpa(0x600), size: 4, handler });
    memory.map({ kind: "io", name: "window", base: gpa(0xd000_0000), size: 4096, handler });
  }
  memory.copyTo(gpa(CODE), guest(kind));
  const threadModules = onThread ? [new URL("./exits.worker.ts", import.meta.url)] : [];
  await using machine = await kvm.createMachine({ memory, ports, threadModules });
  await machine.vcpus[0]?.setRegisters(flat32(CODE));
  machine.run();
  return ((await done.promise) * 1e6) / EXITS;
}

/** The loop in C; undefined where there is no compiler. */
function counterpart(folder: string): ((kind: Kind) => number) | undefined {
  const program = join(folder, "exits");
  if (spawnSync("gcc", ["-O2", "-o", program, join(import.meta.dirname, "exits.c")], { stdio: "ignore" }).status !== 0) return undefined;
  return (kind) => {
    const image = join(folder, kind);
    writeFileSync(image, guest(kind));
    return Number(execFileSync(program, [image], { encoding: "utf8", timeout: 60_000 })) / EXITS;
  };
}

const median = (samples: number[]): number => samples.sort((a, b) => a - b)[samples.length >> 1] as number;

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "exits-"));
  try {
    const inC = counterpart(folder);
    const rows: Row[] = [];
    for (const kind of KINDS) {
      const taken = { c: [] as number[], thread: [] as number[], main: [] as number[] };
      for (let round = 0; round < ROUNDS; round++) {
        if (inC !== undefined) taken.c.push(inC(kind));
        taken.thread.push(await ours(kind, true));
        taken.main.push(await ours(kind, false));
      }
      const [c, thread, other] = [median(taken.c), median(taken.thread), median(taken.main)];
      rows.push({ what: `exit to ${kind}, loop in C`, median: inC === undefined ? "no gcc here" : ns(c) });
      const speed = inC === undefined ? {} : { ratio: `${(c / thread).toFixed(2)}x the speed`, met: c / thread >= 0.8 ? "yes" : "NO" };
      rows.push({
        what: `exit to ${kind}, handler on the vCPU's thread`,
        median: ns(thread),
        target: "at least 0.8x the speed of C",
        ...speed,
      });
      rows.push({ what: `exit to ${kind}, handler on the main thread`, median: ns(other) });
    }
    report("Exits of KVM", rows);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

try {
  (await openKvm())[Symbol.dispose]();
  await main();
} catch (error) {
  if (!KvmError.is(error)) throw error;
  report("Exits of KVM", [{ what: `not measured: ${error.message}`, median: "" }]);
}
