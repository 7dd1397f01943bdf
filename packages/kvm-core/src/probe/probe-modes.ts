/**
 * Which modes of a processor this KVM runs guests in: told by what tiny guests do, for neither processors nor modules say so.
 *
 * @module
 */
import { flat32, flatCode, flatData, type Hypervisor, type X86Registers } from "@virtspace/hypervisor";
import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";

/** Whether guests run in each. */
export interface KvmModes {
  /** 16 bits, as a processor begins. */
  readonly real: boolean;
  /** 32 bits, flat, without paging: what the project's own guests need. */
  readonly protected32: boolean;
  /** 32 bits with paging. */
  readonly paging32: boolean;
  /** 64 bits: what a stock Linux needs. */
  readonly long: boolean;
}

const MEMORY = 1 << 20;
const CODE = 0x1000;
const TABLES = 0x2000;
const PORT = 0x80;
const ANSWER = 42;
/** A mode that does not run mostly says so at once; a slow host takes seconds to start its threads. */
const LIMIT_MILLISECONDS = 60_000;
/** `mov al, 42; out 0x80, al; hlt`: the same bytes in all modes. */
const GUEST = Uint8Array.of(0xb0, ANSWER, 0xe6, PORT, 0xf4);

const PROTECTED = 1;
const PAGING = 0x8000_0000 | 0;
const PAGE_SIZE_EXTENSION = 0x10;
const PHYSICAL_ADDRESS_EXTENSION = 0x20;
const LONG_MODE = 0x500;
/** Present, writable, and a large page. */
const TABLE = 3n;
const LARGE_PAGE = 0x83n;

type Mode = keyof KvmModes;

const real16 = { selector: 0, base: 0, limit: 0xffff, type: 3, db: false, long: false, dpl: 0 };

const REGISTERS: Readonly<Record<Mode, () => Partial<X86Registers>>> = {
  real: () => ({
    ...{ rip: BigInt(CODE), rflags: 2n, cr0: 0, efer: 0 },
    ...{ cs: { ...real16, type: 11 }, ds: real16, es: real16, fs: real16, gs: real16, ss: real16 },
  }),
  protected32: () => flat32(CODE),
  paging32: () => ({ ...flat32(CODE), cr3: TABLES, cr4: PAGE_SIZE_EXTENSION, cr0: (PROTECTED | PAGING) >>> 0 }),
  long: () => ({
    ...flat32(CODE),
    ...{ cs: flatCode(8, 64), ss: flatData(16), efer: LONG_MODE },
    ...{ cr3: TABLES, cr4: PHYSICAL_ADDRESS_EXTENSION, cr0: (PROTECTED | PAGING) >>> 0 },
  }),
};

/** Page tables that show the guest's memory where it is. */
const PAGES: Partial<Record<Mode, (memory: VirtAddressSpace) => void>> = {
  paging32: (memory) => void memory.writeU32(gpa(TABLES), Number(LARGE_PAGE)),
  long: (memory) => {
    memory.writeBigU64(gpa(TABLES), BigInt(TABLES + 0x1000) | TABLE);
    memory.writeBigU64(gpa(TABLES + 0x1000), BigInt(TABLES + 0x2000) | TABLE);
    memory.writeBigU64(gpa(TABLES + 0x2000), LARGE_PAGE);
  },
};

/** Runs a guest in each mode. */
export async function probeModes(hypervisor: Hypervisor): Promise<KvmModes> {
  const modes = Object.keys(REGISTERS) as Mode[];
  const found = await Promise.all(modes.map(async (mode) => [mode, await runs(hypervisor, mode)] as const));
  return Object.fromEntries(found) as unknown as KvmModes;
}

async function runs(hypervisor: Hypervisor, mode: Mode): Promise<boolean> {
  using memory = VirtAddressSpace.create({ name: `probe of ${mode}` });
  memory.map({ name: "ram", base: gpa(0), memory: await hypervisor.createMemory(MEMORY) });
  using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  const answered = Promise.withResolvers<boolean>();
  const write = (_offset: number, _size: number, value: number): void => answered.resolve(value === ANSWER);
  ports.map({ kind: "io", name: "answer", base: gpa(PORT), size: 1, handler: { read: () => 0, write } });
  memory.copyTo(gpa(CODE), GUEST);
  PAGES[mode]?.(memory);
  await using machine = await hypervisor.createMachine({ memory, ports });
  const late = AbortSignal.timeout(LIMIT_MILLISECONDS);
  late.addEventListener("abort", () => answered.resolve(false));
  try {
    await machine.vcpus[0]?.setRegisters(REGISTERS[mode]());
  } catch {
    // Some refuse a state that they can't run.
    return false;
  }
  machine.run();
  return await Promise.race([answered.promise, machine.ended.then(() => false)]);
}
