/**
 * One instance of the engine: a processor with its interrupt controllers, and the memory that its guest runs from.
 *
 * v86 brings a JavaScript host for its WebAssembly, with a PC around it; this is another one, which brings accesses to address
 * spaces and knows no device.
 *
 * @module
 */
import type { V86Host } from "../host/host.ts";
import { Cpu, INTERRUPT_FLAG } from "./cpu-layout.ts";
import { type EngineBus, NO_BUS } from "./engine-bus.ts";
import { Wasm, type WasmFunction, type WasmInstance, type WasmMemory, type WasmModule } from "./web-assembly.ts";

/** Code that the engine emits goes behind its own functions in the table. */
const OWN_FUNCTIONS = 1024;
const EMITTED_FUNCTIONS = 900;

interface EngineExports {
  readonly memory: WasmMemory;
  rust_init(): void;
  /** @returns where the memory begins, bytes */
  allocate_memory(size: number): number;
  reset_cpu(): void;
  /** @returns milliseconds to sleep; 0: the guest has more to do */
  main_loop(): number;
  device_raise_irq(irq: number): void;
  device_lower_irq(irq: number): void;
  update_state_flags(): void;
  full_clear_tlb(): void;
  jit_clear_cache_js(): void;
  jit_dirty_cache(start: number, end: number): void;
  codegen_finalize_finished(index: number, start: number, flags: number): void;
  get_eflags(): number;
  get_pic_addr_master(): number;
  get_pic_addr_slave(): number;
  read_tsc(): bigint;
  set_tsc(low: number, high: number): void;
}

/** An engine. */
export class Engine {
  /** Its functions. */
  readonly calls: EngineExports;
  /** Where the guest's memory begins, bytes. */
  readonly memoryOffset: number;
  /** Whom accesses go to. */
  bus: EngineBus = NO_BUS;
  /** Told when the processor, which waits, has something to do. */
  onWake: () => void = () => {};
  /** Told of what the engine prints: it does so when it gives up. */
  onMessage: (text: string) => void = () => {};
  #data: DataView;

  private constructor(instance: WasmInstance, memorySize: number) {
    this.calls = instance.exports as unknown as EngineExports;
    this.calls.rust_init();
    this.#data = new DataView(this.calls.memory.buffer);
    this.data.setUint32(Cpu.memorySize, memorySize, true);
    this.memoryOffset = this.calls.allocate_memory(memorySize);
    this.calls.reset_cpu();
  }

  /**
   * Makes an engine.
   *
   * @param memorySize - bytes, a multiple of 128 KiB
   */
  static async create(module: WasmModule, memorySize: number, host: V86Host): Promise<Engine> {
    let engine: Engine | undefined;
    const table = new Wasm.Table({ element: "anyfunc", initial: OWN_FUNCTIONS + EMITTED_FUNCTIONS });
    const bus = (): EngineBus => engine?.bus ?? NO_BUS;
    const instance = await Wasm.instantiate(module, {
      env: {
        __indirect_function_table: table,
        microtick: () => host.now(),
        get_rand_int: () => host.random(),
        // It has no timer of its own: whoever has one raises a line.
        run_hardware_timers: () => 100,
        cpu_event_halt: () => {},
        stop_idling: () => engine?.onWake(),
        console_log_from_wasm: (start: number, length: number) => engine?.onMessage(engine.#text(start, length)),
        mmap_read8: (address: number) => bus().readMemory8(address >>> 0),
        mmap_read32: (address: number) => bus().readMemory32(address >>> 0),
        mmap_write8: (address: number, value: number) => bus().writeMemory8(address >>> 0, value & 0xff),
        mmap_write16: (address: number, value: number) => bus().writeMemory16(address >>> 0, value & 0xffff),
        mmap_write32: (address: number, value: number) => bus().writeMemory32(address >>> 0, value >>> 0),
        mmap_write64: (address: number, ...values: number[]) => writeWords(bus(), address >>> 0, values),
        mmap_write128: (address: number, ...values: number[]) => writeWords(bus(), address >>> 0, values),
        io_port_read8: (port: number) => bus().readPort8(port),
        io_port_read16: (port: number) => bus().readPort16(port),
        io_port_read32: (port: number) => bus().readPort32(port),
        io_port_write8: (port: number, value: number) => bus().writePort8(port, value & 0xff),
        io_port_write16: (port: number, value: number) => bus().writePort16(port, value & 0xffff),
        io_port_write32: (port: number, value: number) => bus().writePort32(port, value >>> 0),
        jit_clear_func: (index: number) => table.set(OWN_FUNCTIONS + index, null),
        codegen_finalize: (index: number, start: number, flags: number, code: number, length: number) => {
          if (engine === undefined) return;
          // A copy: the engine uses its buffer again.
          const bytes = new Uint8Array(engine.calls.memory.buffer, code >>> 0, length >>> 0).slice();
          void engine.#link(bytes).then((f) => {
            table.set(OWN_FUNCTIONS + index, f);
            engine?.calls.codegen_finalize_finished(index, start, flags);
          });
        },
      },
    });
    engine = new Engine(instance, memorySize);
    return engine;
  }

  /** The processor's fields, by the offsets of {@link Cpu}. */
  get data(): DataView {
    // The buffer is another one whenever the engine's memory has grown.
    if (this.#data.buffer !== this.calls.memory.buffer) this.#data = new DataView(this.calls.memory.buffer);
    return this.#data;
  }

  /** What the processor keeps about its guest's memory and code is to be found anew. */
  forget(): void {
    this.calls.update_state_flags();
    this.calls.full_clear_tlb();
    this.calls.jit_clear_cache_js();
  }

  /**
   * Raises a line of the interrupt controller. In the midst of a guest's access the processor must not take the interrupt at once:
   * code that was compiled goes on as if nothing had happened.
   */
  raise(irq: number): void {
    const { data } = this;
    const flags = data.getInt32(Cpu.flags, true);
    data.setInt32(Cpu.flags, flags & ~INTERRUPT_FLAG, true);
    this.calls.device_raise_irq(irq);
    data.setInt32(Cpu.flags, flags, true);
  }

  /** Lets a line down. */
  lower(irq: number): void {
    this.calls.device_lower_irq(irq);
  }

  async #link(code: Uint8Array): Promise<WasmFunction> {
    const { instance } = await Wasm.instantiate(code, { e: this.#emittedImports() });
    return instance.exports["f"] as WasmFunction;
  }

  #imports: object | undefined;
  #emittedImports(): object {
    this.#imports ??= { m: this.calls.memory, ...this.calls };
    return this.#imports;
  }

  #text(start: number, length: number): string {
    return String.fromCharCode(...new Uint8Array(this.calls.memory.buffer, start >>> 0, Math.min(length >>> 0, 4096)));
  }
}

function writeWords(bus: EngineBus, address: number, values: readonly number[]): void {
  values.forEach((value, index) => bus.writeMemory32((address + 4 * index) >>> 0, value >>> 0));
}
