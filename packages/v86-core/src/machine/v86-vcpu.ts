/** The engine's processor. @module */
import type { Vcpu, X86Registers } from "@virtspace/hypervisor";
import type { Engine } from "../engine/engine.ts";
import { readRegisters, writeRegisters } from "./v86-registers.ts";

/** The only vCPU of a machine. */
export class V86Vcpu implements Vcpu {
  readonly index = 0;
  readonly #engine: Engine;
  readonly #requireStopped: () => void;

  constructor(engine: Engine, requireStopped: () => void) {
    this.#engine = engine;
    this.#requireStopped = requireStopped;
  }

  async registers(): Promise<X86Registers> {
    this.#requireStopped();
    return readRegisters(this.#engine);
  }

  async setRegisters(registers: Partial<X86Registers>): Promise<void> {
    this.#requireStopped();
    writeRegisters(this.#engine, registers);
  }
}
