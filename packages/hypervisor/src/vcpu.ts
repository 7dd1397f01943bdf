/** A virtual processor, as far as loaders and debuggers need it. @module */
import type { X86Registers } from "./x86-registers.ts";

/** A vCPU of a machine. */
export interface Vcpu {
  /** From 0. */
  readonly index: number;
  /**
   * Its registers, while the machine is stopped.
   *
   * @throws {@link HypervisorError} `running`, `closed`
   */
  registers(): Promise<X86Registers>;
  /**
   * Sets its registers, while the machine is stopped: what is not given stays.
   *
   * @throws {@link HypervisorError} `running`, `closed`, `unsupported` for a mode that the engine hasn't got
   */
  setRegisters(registers: Partial<X86Registers>): Promise<void>;
}
