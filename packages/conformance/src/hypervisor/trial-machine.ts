/** A machine for one test: memory, ports, tables for interrupts, and a guest. @module */
import { flat32, type Hypervisor, type VirtualMachine } from "@virtspace/hypervisor";
import { gpa, type IoHandler, MiB, type SpaceFault, VirtAddressSpace } from "@virtspace/virt-address-space";
import { GuestCode } from "./guest-code.ts";

/** Where things are in a guest's memory. */
export const Place = {
  /** A number that handlers count up. */
  counter: 0x6000,
  /** Three segments: none, flat code, flat data. */
  gdt: 0x8000,
  /** 48 gates: exceptions, and the lines of two PICs from 0x20. */
  idt: 0x9000,
  /** Where the stack begins, downwards. */
  stack: 0x7_0000,
  /** The guest. */
  code: 0x1_0000,
  /** Handlers of interrupts, one behind the other. */
  handler: 0x2_0000,
} as const;

const RAM = 2 * MiB;
const CODE_SELECTOR = 8;
const VECTORS = 48;
const FIRST_LINE = 0x20;

/** A machine that stands still, with an empty guest. */
export class TrialMachine implements AsyncDisposable {
  /** The guest's memory: 2 MiB from 0. */
  readonly memory: VirtAddressSpace;
  /** Its ports. */
  readonly ports: VirtAddressSpace;
  /** What runs it. */
  readonly machine: VirtualMachine;
  /** What handlers did wrong: they must not. */
  readonly faults: SpaceFault[];

  private constructor(memory: VirtAddressSpace, ports: VirtAddressSpace, machine: VirtualMachine, faults: SpaceFault[]) {
    this.memory = memory;
    this.ports = ports;
    this.machine = machine;
    this.faults = faults;
  }

  /** Makes one. */
  static async create(hypervisor: Hypervisor): Promise<TrialMachine> {
    const faults: SpaceFault[] = [];
    const onFault = (fault: SpaceFault): void => void faults.push(fault);
    const memory = VirtAddressSpace.create({ name: "trial", onFault });
    memory.map({ name: "ram", base: gpa(0), memory: await hypervisor.createMemory(RAM) });
    const ports = VirtAddressSpace.create({ name: "trial's ports", size: 0x1_0000, onFault });
    return TrialMachine.over(hypervisor, memory, ports, faults);
  }

  /** Makes one over spaces that are there. */
  static async over(
    hypervisor: Hypervisor,
    memory: VirtAddressSpace,
    ports: VirtAddressSpace,
    faults: SpaceFault[] = [],
    vcpus = 1,
  ): Promise<TrialMachine> {
    return new TrialMachine(memory, ports, await hypervisor.createMachine({ memory, ports, vcpus }), faults);
  }

  /** Loads a guest, and handlers of interrupt lines; sets the vCPU to its first instruction. */
  async load(write: (code: GuestCode) => unknown, handlers: Readonly<Record<number, (code: GuestCode) => unknown>> = {}): Promise<void> {
    this.put(Place.code, write);
    const gdt = new DataView(new ArrayBuffer(24));
    gdt.setBigUint64(8, 0x00cf_9b00_0000_ffffn, true);
    gdt.setBigUint64(16, 0x00cf_9300_0000_ffffn, true);
    const idt = new DataView(new ArrayBuffer(8 * VECTORS));
    let at: number = Place.handler;
    for (const [line, handler] of Object.entries(handlers)) {
      const length = this.put(at, handler);
      const gate = 8 * (FIRST_LINE + Number(line));
      idt.setUint16(gate, at & 0xffff, true);
      idt.setUint16(gate + 2, CODE_SELECTOR, true);
      idt.setUint16(gate + 4, 0x8e00, true);
      idt.setUint16(gate + 6, at >>> 16, true);
      at += length + 16;
    }
    this.memory.copyTo(gpa(Place.gdt), new Uint8Array(gdt.buffer));
    this.memory.copyTo(gpa(Place.idt), new Uint8Array(idt.buffer));
    await this.machine.vcpus[0]?.setRegisters({
      ...flat32(Place.code),
      rsp: BigInt(Place.stack),
      gdt: { base: Place.gdt, limit: 23 },
      idt: { base: Place.idt, limit: 8 * VECTORS - 1 },
    });
  }

  /** Writes code at an address. @returns its bytes */
  put(address: number, write: (code: GuestCode) => unknown): number {
    const code = new GuestCode(address);
    write(code);
    this.memory.copyTo(gpa(address), code.bytes);
    return code.bytes.length;
  }

  /** Maps a port window. */
  port(base: number, size: number, handler: Partial<IoHandler>): void {
    this.ports.map({ kind: "io", name: `port ${base}`, base: gpa(base), size, handler: { read: () => 0, write: () => {}, ...handler } });
  }

  /** Resolves with the value that the guest writes to a port. */
  reported(port: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.port(port, 4, { write: (_offset, _size, value) => resolve(value) });
    return promise;
  }

  /** The guest's counter. */
  get counter(): number {
    return this.memory.readU32(gpa(Place.counter)) as number;
  }

  /** Ends the machine, and lets go of its spaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    this.memory[Symbol.dispose]();
    this.ports[Symbol.dispose]();
  }
}
