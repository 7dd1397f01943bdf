/** A machine on the engine. @module */
import {
  HypervisorError,
  type InterruptLine,
  type MachineCounters,
  type MachineEnd,
  type MachineParts,
  type MachineState,
  type MachineStatus,
  type Vcpu,
  type VirtualMachine,
} from "@virtspace/hypervisor";
import { DisposableStack } from "@virtspace/virt-address-space";
import type { Engine } from "../engine/engine.ts";
import { NO_BUS } from "../engine/engine-bus.ts";
import type { V86Host } from "../host/host.ts";
import { MemoryBinding } from "../memory/memory-binding.ts";
import type { V86Memory } from "../memory/v86-memory.ts";
import { GuestLoop } from "./guest-loop.ts";
import { SpaceBus } from "./space-bus.ts";
import { V86Line, Wire } from "./v86-line.ts";
import { NAME, restoreEngine, saveEngine } from "./v86-state.ts";
import { V86Vcpu } from "./v86-vcpu.ts";

/** Those of the two PICs. */
const LINES = 16;
const CASCADE = 2;

/** A machine. */
export class V86Machine implements VirtualMachine {
  readonly hypervisor: string = NAME;
  readonly vcpus: readonly Vcpu[];
  readonly #engine: Engine;
  readonly #memory: V86Memory;
  readonly #binding: MemoryBinding;
  readonly #bus: SpaceBus;
  readonly #loop: GuestLoop;
  readonly #stack = new DisposableStack();
  readonly #wires = new Map<number, Wire>();
  #interrupts = 0;
  #status: MachineStatus = "stopped";
  readonly #end: PromiseWithResolvers<MachineEnd> = Promise.withResolvers();

  /** @throws {@link HypervisorError} `unsuitable-memory`; what the spaces throw */
  constructor({ memory, ports }: MachineParts, ram: V86Memory, host: V86Host) {
    const { engine } = ram;
    this.#engine = engine;
    this.#memory = ram;
    this.#loop = new GuestLoop(engine, host, { beforeSlice: () => this.#binding.refresh(), ended: (end) => this.#endWith(end) });
    this.#binding = new MemoryBinding(memory, ram, {
      name: NAME,
      whenOut: (task) => this.#loop.whenOut(task),
      sliceEnd: () => this.#loop.sliceEnd(),
    });
    this.#stack.use(this.#binding);
    try {
      this.#stack.use(ports.bind({ name: NAME }));
    } catch (error) {
      this.#stack.dispose();
      throw error;
    }
    this.#bus = new SpaceBus(memory, ports);
    engine.bus = this.#bus;
    engine.calls.reset_cpu();
    this.vcpus = [new V86Vcpu(engine, () => this.#requireStopped())];
    ram.taken = true;
  }

  get status(): MachineStatus {
    return this.#status;
  }

  get ended(): Promise<MachineEnd> {
    return this.#end.promise;
  }

  get counters(): MachineCounters {
    const { portAccesses, memoryAccesses } = this.#bus;
    return { portAccesses, memoryAccesses, interrupts: this.#interrupts };
  }

  line(irq: number): InterruptLine {
    if (this.#status === "closed") throw closed();
    if (!Number.isInteger(irq) || irq < 0 || irq >= LINES || irq === CASCADE) {
      throw new HypervisorError(
        "invalid-argument",
        `this machine has no interrupt line ${irq}: give 0 to ${LINES - 1}, but for ${CASCADE}`,
      );
    }
    let wire = this.#wires.get(irq);
    if (wire === undefined) {
      wire = new Wire((up) => this.#drive(irq, up));
      this.#wires.set(irq, wire);
    }
    return new V86Line(irq, wire);
  }

  run(): void {
    if (this.#status === "closed") throw closed();
    if (this.#status === "ended") throw new HypervisorError("ended", "this guest came to an end: make another machine");
    this.#status = "running";
    this.#loop.start();
  }

  async pause(): Promise<void> {
    if (this.#status === "running") this.#status = "stopped";
    await this.#loop.stop();
  }

  async save(): Promise<MachineState> {
    this.#requireStopped();
    return saveEngine(this.#engine);
  }

  async restore(state: MachineState): Promise<void> {
    this.#requireStopped();
    restoreEngine(this.#engine, state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#status === "closed") return;
    const running = this.#loop.stop();
    this.#status = "closed";
    await running;
    this.#engine.bus = NO_BUS;
    this.#memory.taken = false;
    this.#stack.dispose();
    this.#end.resolve({ reason: "disposed" });
  }

  #drive(irq: number, up: boolean): void {
    // Devices may let go of their lines after the machine went.
    if (this.#status === "closed" || this.#status === "ended") return;
    if (!up) {
      this.#engine.lower(irq);
      return;
    }
    this.#interrupts++;
    this.#engine.raise(irq);
    this.#loop.wake();
  }

  #endWith(end: MachineEnd): void {
    if (this.#status === "closed") return;
    this.#status = "ended";
    this.#end.resolve(end);
  }

  #requireStopped(): void {
    if (this.#status === "closed") throw closed();
    if (this.#status === "running") throw new HypervisorError("running", "the machine is running: await its pause() first");
    if (this.#status === "ended") throw new HypervisorError("ended", "this guest broke the engine: make another machine, with new memory");
  }
}

function closed(): HypervisorError {
  return new HypervisorError("closed", "this machine was disposed: make another");
}
