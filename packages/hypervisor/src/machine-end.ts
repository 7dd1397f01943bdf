/** Why a machine came to an end. What a guest does is a value, never an exception. @module */

/** An exception for which the guest has no handler. */
export interface TripleFault {
  /** Which end. */
  readonly reason: "triple-fault";
  /** The index of the vCPU that met it. */
  readonly vcpu: number;
}

/** An instruction that the engine can't run. */
export interface EmulationFailed {
  /** Which end. */
  readonly reason: "emulation-failed";
  /** The index of the vCPU that met it. */
  readonly vcpu: number;
  /** The instruction pointer. */
  readonly address: number;
  /** The instruction's first bytes, as far as they are known. */
  readonly bytes: Uint8Array;
  /** What the engine says of it, if it says anything. */
  readonly message?: string;
}

/** The processor refused the guest's state. */
export interface EntryFailed {
  /** Which end. */
  readonly reason: "entry-failed";
  /** The index of the vCPU that met it. */
  readonly vcpu: number;
  /** What the processor says, in its maker's code. */
  readonly hardwareReason: bigint;
}

/** The engine broke: the machine can't be used further. */
export interface EngineFailed {
  /** Which end. */
  readonly reason: "engine-failed";
  /** What the engine says. */
  readonly message: string;
}

/** Its owner ended it. */
export interface Disposed {
  /** Which end. */
  readonly reason: "disposed";
}

/** Why a machine came to an end. */
export type MachineEnd = TripleFault | EmulationFailed | EntryFailed | EngineFailed | Disposed;
