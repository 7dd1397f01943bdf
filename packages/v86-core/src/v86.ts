/** The engine as a hypervisor. @module */
import { type Hypervisor, HypervisorError, type HypervisorFeatures, type MachineParts, type VirtualMachine } from "@virtspace/hypervisor";
import { readEngineFile } from "#engine-file";
import { KNOWN_VERSION } from "./engine/cpu-layout.ts";
import { Engine } from "./engine/engine.ts";
import { checkEngine } from "./engine/engine-check.ts";
import { Wasm, type WasmModule } from "./engine/web-assembly.ts";
import { defaultV86Host, type V86Host } from "./host/host.ts";
import { V86Machine } from "./machine/v86-machine.ts";
import { NAME } from "./machine/v86-state.ts";
import { V86Memory } from "./memory/v86-memory.ts";

/** The engine allocates in steps of this. */
const GRANULE = 128 * 1024;
const LEAST = 1024 * 1024;
const MOST = 2047 * 1024 * 1024;

/** What `fetch` resolves with, as far as it is read. */
export interface WasmResponse {
  /** Whether it was found. */
  readonly ok: boolean;
  /** Where it came from. */
  readonly url: string;
  /** Reads it. */
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** How the engine is opened. */
export interface V86Options {
  /** `build/v86.wasm` of the npm package `v86`, or a promise of it: `fetch(url)` in a browser. In Node it is found unless given. */
  readonly wasm?: Uint8Array | ArrayBuffer | WasmResponse | Promise<Uint8Array | ArrayBuffer | WasmResponse>;
  /** Replaces the clock, the event loop and the randomness of the JavaScript host. */
  readonly host?: V86Host;
}

/**
 * Opens the embedded engine: an x86 processor of 32 bits in WebAssembly, which needs nothing of the host.
 *
 * @throws `HypervisorError` `unavailable` where the engine's file is not there, or is of another version
 */
export async function openV86({ wasm, host = defaultV86Host() }: V86Options = {}): Promise<V86> {
  const module = await Wasm.compile(await bytesOf(wasm)).catch((cause: unknown) => {
    if (HypervisorError.is(cause)) throw cause;
    throw new HypervisorError("unavailable", "what should be the engine is no WebAssembly: give build/v86.wasm of the npm package v86", {
      cause,
    });
  });
  checkEngine(module);
  return new V86(module, host);
}

async function bytesOf(wasm: V86Options["wasm"]): Promise<Uint8Array> {
  const given = await wasm;
  if (given === undefined) return readEngineFile();
  if (given instanceof Uint8Array) return given;
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  if (given.ok) return new Uint8Array(await given.arrayBuffer());
  throw new HypervisorError("unavailable", `the engine is not at ${given.url}: lead there to build/v86.wasm of the npm package v86`);
}

/** The embedded engine. */
export class V86 implements Hypervisor {
  readonly name: string = NAME;
  /** The version of v86 that was found. */
  readonly version: string = KNOWN_VERSION;
  readonly features: HypervisorFeatures = {
    maxVcpus: 1,
    longMode: false,
    paging: true,
    pit: false,
    threads: false,
    messageInterrupts: false,
  };
  readonly #module: WasmModule;
  readonly #host: V86Host;

  /** @internal */
  constructor(module: WasmModule, host: V86Host) {
    this.#module = module;
    this.#host = host;
  }

  /** Makes an engine with memory in it: map it at address 0. From 1 MiB to 2047 MiB. */
  async createMemory(size: number): Promise<V86Memory> {
    if (!Number.isInteger(size) || size < LEAST || size > MOST || size % 4096 !== 0) {
      throw new HypervisorError(
        "invalid-argument",
        `memory of ${size} bytes can't be made: give a multiple of 4096 from 1 MiB to 2047 MiB`,
      );
    }
    try {
      return new V86Memory(await Engine.create(this.#module, Math.ceil(size / GRANULE) * GRANULE, this.#host), size);
    } catch (cause) {
      throw new HypervisorError("out-of-memory", `this host can't give a guest ${size} bytes: ask for fewer`, { cause });
    }
  }

  /**
   * Makes a machine over two spaces, of which one begins with memory that {@link createMemory} made.
   *
   * @throws `HypervisorError` `unsupported`, `unsuitable-memory`; what the spaces throw
   */
  async createMachine(parts: MachineParts): Promise<VirtualMachine> {
    if ((parts.vcpus ?? 1) !== 1) throw new HypervisorError("unsupported", "this engine has one vCPU: ask for 1");
    const memories = parts.memory.view().ranges.flatMap(({ memory }) => (memory?.provider instanceof V86Memory ? [memory.provider] : []));
    const [ram] = memories;
    if (ram === undefined || memories.some((memory) => memory !== ram)) {
      throw new HypervisorError(
        "unsuitable-memory",
        "this engine's guest runs from memory inside the engine: map what one createMemory of it made, at address 0",
      );
    }
    if (ram.taken) throw new HypervisorError("unsuitable-memory", "another machine runs from this memory: dispose that one first");
    return new V86Machine(parts, ram, this.#host);
  }
}
