/** Exits, doorbells and interrupts, beside a program in C that does as little. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestCode } from "@virtspace/conformance";
import { EventFd, EventFdNotifier, EventLoopPoller, memfdMemory } from "@virtspace/host-linux";
import { flat32, type VirtualMachine } from "@virtspace/hypervisor";
import { arrayBufferMemory, gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { ns, type Row, ratioRow, report } from "../../../.config/bench/measure.ts";
import { KvmError, openKvm } from "./index.ts";

const CODE = 0x1000;
const HANDLER = 0x2000;
const GDT = 0x3000;
const IDT = 0x4000;
/** What the guest waits for, or counts. */
const ANSWER = 0x6000;
const STACK = 0x8000;
const START = 0x500;
const END = 0x504;
const DOORBELL = 0x700;
const LINE = 5;
const EXITS = 50_000;
const ROUNDS = 5;
const TIMES = 2000;
const PAUSE_MILLISECONDS = 0.1;

/** What a guest does for each measurement. */
const GUESTS = {
  port: (code: GuestCode) => repeated(code, () => code.write(0x600, 7)),
  memory: (code: GuestCode) => repeated(code, () => code.eax(7).store(0xd000_0000)),
  doorbell: (code: GuestCode) => {
    const again = code.here;
    code.write(DOORBELL, 1);
    const wait = code.here;
    code.load(ANSWER).jumpIfEax(0, wait).eax(0).store(ANSWER).jump(again);
  },
  irqfd: (code: GuestCode) => {
    code.setUpPic([LINE]);
    const again = code.here;
    code.waitForInterrupt().jump(again);
  },
} as const;
type What = keyof typeof GUESTS;

function repeated(code: GuestCode, body: () => unknown): void {
  code.write(START, 0).ecx(EXITS);
  const again = code.here;
  body();
  code.loop(again).write(END, 0).haltForGood();
}

/** The guest, and the tables that its interrupts need. */
function load(memory: VirtAddressSpace, what: What): void {
  const code = new GuestCode(CODE);
  GUESTS[what](code);
  memory.copyTo(gpa(CODE), code.bytes);
  memory.copyTo(gpa(HANDLER), new GuestCode(HANDLER).enterHandler().increment(ANSWER).leaveHandler().bytes);
  memory.writeBigU64(gpa(GDT + 8), 0x00cf_9b00_0000_ffffn);
  memory.writeBigU64(gpa(GDT + 16), 0x00cf_9300_0000_ffffn);
  memory.writeBigU64(gpa(IDT + 8 * (0x20 + LINE)), BigInt(HANDLER) | 0x8e00_0008_0000n);
}

const median = (samples: number[]): number => samples.sort((a, b) => a - b)[samples.length >> 1] as number;

/** A machine with one of the guests, about to run. */
class Bench implements AsyncDisposable {
  readonly memory: VirtAddressSpace = VirtAddressSpace.create({ name: "guest" });
  readonly ports: VirtAddressSpace = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  #machine: VirtualMachine | undefined;

  constructor(what: What) {
    this.memory.map({ name: "ram", base: gpa(0), memory: memfdMemory(MiB) });
    load(this.memory, what);
  }

  port(base: number, write: (value: number) => void): void {
    const handler = { read: () => 0, write: (_offset: number, _size: number, value: number) => write(value) };
    this.ports.map({ kind: "io", name: `port ${base}`, base: gpa(base), size: 4, handler });
  }

  async make(threadModules: readonly URL[] = []): Promise<VirtualMachine> {
    using kvm = await openKvm();
    this.#machine = await kvm.createMachine({ memory: this.memory, ports: this.ports, threadModules });
    const tables = { gdt: { base: GDT, limit: 23 }, idt: { base: IDT, limit: 0x17f } };
    await this.#machine.vcpus[0]?.setRegisters({ ...flat32(CODE), ...tables, rsp: BigInt(STACK) });
    return this.#machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine?.[Symbol.asyncDispose]();
    this.memory[Symbol.dispose]();
    this.ports[Symbol.dispose]();
  }
}

/** Nanoseconds an exit. */
async function exits(what: "port" | "memory", onThread: boolean): Promise<number> {
  await using bench = new Bench(what);
  let [start, last] = [0, 0];
  const done = Promise.withResolvers<number>();
  bench.port(START, () => {
    start = performance.now();
  });
  bench.port(END, () => done.resolve(performance.now() - start));
  if (!onThread) {
    const write = (value: number): void => {
      last = value;
    };
    bench.port(0x600, write);
    const handler = { read: () => last, write: (_offset: number, _size: number, value: number) => write(value) };
    bench.memory.map({ kind: "io", name: "window", base: gpa(0xd000_0000), size: 4096, handler });
  }
  (await bench.make(onThread ? [new URL("./exits.worker.ts", import.meta.url)] : [])).run();
  return ((await done.promise) * 1e6) / EXITS;
}

/** Nanoseconds from one doorbell to the next: the guest waits to be answered in memory. */
async function doorbell(): Promise<number> {
  await using bench = new Bench("doorbell");
  using bell = new EventFdNotifier(new EventLoopPoller());
  bench.ports.addDoorbell({ address: gpa(DOORBELL), length: 4, notifier: bell });
  const machine = await bench.make();
  const samples: number[] = [];
  let before = 0;
  const done = Promise.withResolvers<void>();
  bell.subscribe(() => {
    const at = performance.now();
    if (before > 0) samples.push((at - before) * 1e6);
    before = at;
    if (samples.length === TIMES) done.resolve();
    else bench.memory.atomicStore(gpa(ANSWER), 32, 1);
  });
  machine.run();
  await done.promise;
  return median(samples);
}

/** Nanoseconds from the signal of an irqfd to the count of the guest's handler. */
async function irqfd(): Promise<number> {
  await using bench = new Bench("irqfd");
  using signal = EventFd.create();
  const machine = await bench.make();
  using line = machine.line(LINE);
  using notifier = new EventFdNotifier(new EventLoopPoller(), signal);
  using _following = line.follow(notifier);
  machine.run();
  await new Promise((resolve) => setTimeout(resolve, 600));
  const ram = bench.memory.lookup(gpa(0))?.bytes as Uint8Array;
  const count = new Int32Array(ram.buffer, ram.byteOffset + ANSWER, 1);
  const samples: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const before = Atomics.load(count, 0);
    const start = performance.now();
    signal.signal();
    while (Atomics.load(count, 0) === before);
    samples.push((performance.now() - start) * 1e6);
    // The guest halts again.
    for (const end = performance.now() + PAUSE_MILLISECONDS; performance.now() < end; );
  }
  return median(samples);
}

/** The same in C; undefined where there is no compiler. */
function counterpart(folder: string): ((what: What) => number) | undefined {
  const program = join(folder, "exits");
  const words = ["-O2", "-pthread", "-o", program, join(import.meta.dirname, "exits.c")];
  if (spawnSync("gcc", words, { stdio: "ignore" }).status !== 0) return undefined;
  return (what) => {
    const image = join(folder, what);
    using memory = VirtAddressSpace.create({ name: "image" });
    memory.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(0x1_0000) });
    load(memory, what);
    writeFileSync(image, memory.lookup(gpa(0))?.bytes as Uint8Array);
    const isExit = what === "port" || what === "memory";
    const found = Number(execFileSync(program, [isExit ? "exits" : what, image], { encoding: "utf8", timeout: 60_000 }));
    return isExit ? found / EXITS : found;
  };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "exits-"));
  try {
    const inC = counterpart(folder);
    const rows: Row[] = [];
    /** Measures in turn, so that what else the machine does hits all of them. */
    const beside = async (what: What, inTypeScript: Readonly<Record<string, () => Promise<number>>>): Promise<Record<string, number>> => {
      const taken: Record<string, number[]> = { c: [] };
      for (let round = 0; round < ROUNDS; round++) {
        if (inC !== undefined) taken["c"]?.push(inC(what));
        for (const [name, once] of Object.entries(inTypeScript)) taken[name] = [...(taken[name] ?? []), await once()];
      }
      return Object.fromEntries(Object.entries(taken).map(([name, samples]) => [name, median(samples)]));
    };
    const missing = "no gcc here";
    for (const what of ["port", "memory"] as const) {
      const { c = 0, thread = 0, main = 0 } = await beside(what, { thread: () => exits(what, true), main: () => exits(what, false) });
      rows.push({ what: `exit to ${what}, loop in C`, median: inC === undefined ? missing : ns(c) });
      const speed = inC === undefined ? {} : { ratio: `${(c / thread).toFixed(2)}x the speed`, met: c / thread >= 0.8 ? "yes" : "NO" };
      rows.push({
        what: `exit to ${what}, handler on the vCPU's thread`,
        median: ns(thread),
        target: "at least 0.8x the speed of C",
        ...speed,
      });
      rows.push({ what: `exit to ${what}, handler on the main thread`, median: ns(main) });
    }
    for (const [what, most, words, once] of [
      ["doorbell", 2, "doorbell, callback, and the answer seen by the guest", doorbell],
      ["irqfd", 1.5, "irqfd to the handler of a halted guest", irqfd],
    ] as const) {
      const { c = 0, ours = 0 } = await beside(what, { ours: once });
      rows.push({ what: `${words}, in C`, median: inC === undefined ? missing : ns(c) });
      rows.push(inC === undefined ? { what: words, median: ns(ours) } : ratioRow(words, ours, c, most));
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
