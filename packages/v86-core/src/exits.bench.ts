/** What an access of the guest costs that leaves the engine, handler included, and how long an interrupt goes there and back. */
import { GuestCode } from "@virtspace/conformance";
import { flat32, flatCode, flatData } from "@virtspace/hypervisor";
import { gpa, type IoHandler, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { limitRow, ns, type Row, report } from "../../../.config/bench/measure.ts";
import { openV86 } from "./index.ts";

const CODE = 0x1000;
const HANDLER = 0x2000;
const [GDT, IDT, STACK] = [0x3000, 0x4000, 0x8000];
const WINDOW = 0xd000_0000;
const START = 0x500;
const END = 0x504;
const ACKNOWLEDGE = 0x510;
const LINE = 5;
const TIMES = 200_000;
const ROUNDS = 9;

interface Trial {
  /** What the guest does, a number of times. */
  readonly guest: (code: GuestCode) => void;
  readonly times: number;
  /** A handler of an interrupt: the next one is raised in the write that acknowledges it. */
  readonly interrupts?: boolean;
}

/** Nanoseconds for each time. */
async function once({ guest, times, interrupts = false }: Trial): Promise<number> {
  const v86 = await openV86();
  using memory = VirtAddressSpace.create({ name: "guest" });
  memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(MiB) });
  using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  await using machine = await v86.createMachine({ memory, ports });
  using line = machine.line(LINE);
  const done = Promise.withResolvers<number>();
  let start = 0;
  const handlers: Readonly<Record<number, IoHandler["write"]>> = {
    [START]: () => {
      start = performance.now();
      if (interrupts) line.pulse();
    },
    [END]: () => done.resolve(performance.now() - start),
  };
  for (const [base, write] of Object.entries(handlers)) {
    ports.map({ kind: "io", name: base, base: gpa(Number(base)), size: 4, handler: { read: () => 0, write } });
  }
  let last = 0;
  const handler = {
    read: () => last,
    write: (_offset: number, _size: number, value: number) => {
      last = value;
    },
  };
  ports.map({ kind: "io", name: "port", base: gpa(0x600), size: 4, handler });
  memory.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler });
  let left = times;
  const acknowledged = (): void => {
    if (--left > 0) line.pulse();
    else done.resolve(performance.now() - start);
  };
  ports.map({ kind: "io", name: "acknowledge", base: gpa(ACKNOWLEDGE), size: 4, handler: { read: () => 0, write: acknowledged } });
  const code = new GuestCode(CODE);
  guest(code);
  memory.copyTo(gpa(CODE), code.bytes);
  memory.copyTo(gpa(HANDLER), new GuestCode(HANDLER).enterHandler().write(ACKNOWLEDGE, 1).leaveHandler().bytes);
  memory.writeBigU64(gpa(GDT + 8), 0x00cf_9b00_0000_ffffn);
  memory.writeBigU64(gpa(GDT + 16), 0x00cf_9300_0000_ffffn);
  memory.writeBigU64(gpa(IDT + 8 * (0x20 + LINE)), BigInt(HANDLER) | 0x8e00_0008_0000n);
  const tables = { gdt: { base: GDT, limit: 23 }, idt: { base: IDT, limit: 0x17f } };
  await machine.vcpus[0]?.setRegisters({ ...flat32(CODE), ...tables, rsp: BigInt(STACK), cs: flatCode(8), ss: flatData(16) });
  machine.run();
  return ((await done.promise) * 1e6) / times;
}

async function median(trial: Trial): Promise<number> {
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) samples.push(await once(trial));
  return samples.sort((a, b) => a - b)[samples.length >> 1] as number;
}

const looped =
  (body: (code: GuestCode) => void): Trial["guest"] =>
  (code) => {
    code.write(START, 0).ecx(TIMES);
    const again = code.here;
    body(code);
    code.loop(again).write(END, 0).haltForGood();
  };

const rows: Row[] = [
  limitRow("write to a port", await median({ times: TIMES, guest: looped((code) => code.write(0x600, 7)) }), 1000, ns),
  limitRow("read of a port", await median({ times: TIMES, guest: looped((code) => code.in(0x600)) }), 1000, ns),
  limitRow("write to a memory window", await median({ times: TIMES, guest: looped((code) => code.eax(7).store(WINDOW)) }), 200, ns),
  limitRow("read of a memory window", await median({ times: TIMES, guest: looped((code) => code.load(WINDOW)) }), 200, ns),
  limitRow(
    "interrupt to a halted guest, its handler, and back to a halt",
    await median({
      times: TIMES / 10,
      interrupts: true,
      guest: (code) => {
        code.setUpPic([LINE]).write(START, 0);
        const again = code.here;
        code.waitForInterrupt().jump(again);
      },
    }),
    3000,
    ns,
  ),
];
report("Accesses that leave the embedded engine", rows);
