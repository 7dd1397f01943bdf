/** A machine: vCPUs over a memory space and a port space, and the lines that interrupt them. @module */
import type { InterruptLine } from "./interrupt-line.ts";
import type { MachineEnd } from "./machine-end.ts";
import type { MessageInterrupt } from "./message-interrupt.ts";
import type { Vcpu } from "./vcpu.ts";

/** `stopped`: made, or paused; `ended`: it says why, and doesn't run again unless a state is restored. */
export type MachineStatus = "stopped" | "running" | "ended" | "closed";

/** What a machine counts, from when it was made. */
export interface MachineCounters {
  /** Accesses of the guest to ports that left the engine. */
  readonly portAccesses: number;
  /** Accesses of the guest to memory-mapped I/O that left the engine. */
  readonly memoryAccesses: number;
  /** Times a line went up, a message was sent or a pulse was given. */
  readonly interrupts: number;
}

/** A machine as a value that survives structured clone; what is in it is its engine's business. The spaces are saved by themselves. */
export interface MachineState {
  /** The engine that saved it: no other takes it. */
  readonly hypervisor: string;
  /** The format. */
  readonly version: number;
  /** The engine's own. */
  readonly payload: unknown;
}

/** A machine. Dispose it to end its threads and let go of its spaces. */
export interface VirtualMachine extends AsyncDisposable {
  /** The engine's name. */
  readonly hypervisor: string;
  /** Where it stands. */
  readonly status: MachineStatus;
  /** Its vCPUs: number 0 boots, others wait until it starts them. */
  readonly vcpus: readonly Vcpu[];
  /** What was counted. */
  readonly counters: MachineCounters;
  /**
   * The line of an interrupt: 0 to 15 go through the PIC (0 is the timer's, 2 the cascade), 16 to 23 through the IOAPIC where there is one.
   *
   * @throws {@link HypervisorError} `invalid-argument` for a line that the machine hasn't got
   */
  line(irq: number): InterruptLine;
  /**
   * An interrupt that is sent as a message, as a PCI device does (MSI).
   *
   * @param address - 0xfee…: the destination
   * @param data - the vector and how it is delivered
   * @throws {@link HypervisorError} `unsupported`, `closed`
   */
  message?(address: number, data: number): MessageInterrupt;
  /**
   * Lets the guest run, from where it stands.
   *
   * @throws {@link HypervisorError} `ended`, `closed`
   */
  run(): void;
  /** Stops the guest: when it resolves, no vCPU is in the guest, and no handler is called. */
  pause(): Promise<void>;
  /** Resolves when the guest has come to an end by itself, or was disposed. After {@link restore} ask again. */
  readonly ended: Promise<MachineEnd>;
  /**
   * The state of vCPUs, interrupt controllers and timers of a machine that is stopped.
   *
   * @throws {@link HypervisorError} `running`, `closed`
   */
  save(): Promise<MachineState>;
  /**
   * Takes what a machine of the same engine saved; the memory must be as it was then.
   *
   * @throws {@link HypervisorError} `running`, `foreign-state`, `closed`
   */
  restore(state: MachineState): Promise<void>;
}
