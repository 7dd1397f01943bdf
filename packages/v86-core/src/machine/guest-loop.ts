/**
 * Runs a guest in slices of about a millisecond, between which the thread does what else it has to. A guest that waits for an
 * interrupt costs nothing.
 *
 * @module
 */
import type { MachineEnd } from "@virtspace/hypervisor";
import { Cpu } from "../engine/cpu-layout.ts";
import type { Engine } from "../engine/engine.ts";
import type { V86Host } from "../host/host.ts";

/** What the engine says where an exception has no handler. A processor would reset; the engine goes no further. */
const NO_HANDLER = /#\w+ handler/;
/** So it says where an instruction needs what it has no code for. */
const GAVE_UP = /panicked at/;
const MOST_INSTRUCTION_BYTES = 15;
const PAGING = 0x8000_0000;

/** What the loop tells its machine. */
export interface GuestLoopOwner {
  /** Before each slice: what the guest must not run stale code of. */
  beforeSlice(): void;
  /** The guest came to an end by itself. */
  ended(end: MachineEnd): void;
}

/** The loop. */
export class GuestLoop {
  readonly #engine: Engine;
  readonly #host: V86Host;
  readonly #owner: GuestLoopOwner;
  #wanted = false;
  #inGuest = false;
  /** A slice is to come in a later turn. */
  #planned = false;
  /** Something happened that a halted guest must look at. */
  #signalled = false;
  #lastWords = "";
  #out: (() => void)[] = [];

  constructor(engine: Engine, host: V86Host, owner: GuestLoopOwner) {
    this.#engine = engine;
    this.#host = host;
    this.#owner = owner;
    engine.onWake = () => this.wake();
    engine.onMessage = (text) => {
      this.#lastWords = text;
    };
  }

  /** Lets the guest run, from the next turn on. */
  start(): void {
    this.#wanted = true;
    this.#plan();
  }

  /** Keeps the guest from running again. @returns a promise where it is in the midst of a slice */
  stop(): void | Promise<void> {
    this.#wanted = false;
    return this.sliceEnd();
  }

  /** A guest that waits looks again. */
  wake(): void {
    this.#signalled = true;
    if (this.#wanted && !this.#inGuest) this.#plan();
  }

  /** Where a slice is under way (somebody asks from within an access of the guest), its end. */
  sliceEnd(): void | Promise<void> {
    if (this.#inGuest) return new Promise((resolve) => void this.#out.push(resolve));
  }

  /** Does something when the guest is not running: now, or right after the slice. */
  whenOut(task: () => void): void {
    if (this.#inGuest) this.#out.push(task);
    else task();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#host.defer(() => {
      this.#planned = false;
      if (this.#wanted) this.#slice();
    });
  }

  #slice(): void {
    this.#signalled = false;
    this.#owner.beforeSlice();
    this.#inGuest = true;
    let end: MachineEnd | undefined;
    try {
      this.#engine.calls.main_loop();
    } catch (error) {
      end = this.#endOf(error);
    }
    this.#inGuest = false;
    const tasks = this.#out;
    this.#out = [];
    for (const task of tasks) task();
    if (end !== undefined) {
      this.#wanted = false;
      this.#owner.ended(end);
    } else if (this.#wanted && (this.#signalled || this.#engine.data.getUint8(Cpu.halted) === 0)) this.#plan();
  }

  #endOf(error: unknown): MachineEnd {
    if (NO_HANDLER.test(this.#lastWords)) return { reason: "triple-fault", vcpu: 0 };
    const message = this.#lastWords || String(error);
    return GAVE_UP.test(message) ? this.#notEmulated(message) : { reason: "engine-failed", message };
  }

  /** The engine gives up in the midst of what it has no code for. With paging, where its bytes are is not known any more. */
  #notEmulated(message: string): MachineEnd {
    const { data, memoryOffset } = this.#engine;
    const address = data.getUint32(Cpu.previousInstructionPointer, true);
    const end = Math.min(address + MOST_INSTRUCTION_BYTES, data.getUint32(Cpu.memorySize, true));
    const paging = (data.getUint32(Cpu.control, true) & PAGING) !== 0;
    const length = paging ? 0 : Math.max(end - address, 0);
    const bytes = new Uint8Array(data.buffer, memoryOffset + (length === 0 ? 0 : address), length).slice();
    return { reason: "emulation-failed", vcpu: 0, address, bytes, message };
  }
}
