/** Whether a WebAssembly file is the engine that this package knows: it has no version in it, but its interface tells. @module */
import { HypervisorError } from "@virtspace/hypervisor";
import { KNOWN_VERSION } from "./cpu-layout.ts";
import { Wasm, type WasmModule } from "./web-assembly.ts";

const IMPORTS: readonly string[] = [
  ...["__indirect_function_table", "codegen_finalize", "jit_clear_func"],
  ...["console_log_from_wasm", "cpu_event_halt", "get_rand_int", "microtick", "run_hardware_timers", "stop_idling"],
  ...["io_port_read8", "io_port_read16", "io_port_read32", "io_port_write8", "io_port_write16", "io_port_write32"],
  ...["mmap_read8", "mmap_read32", "mmap_write8", "mmap_write16", "mmap_write32", "mmap_write64", "mmap_write128"],
];

/** How many functions the known version exports, and FNV-1a of their names: code that it emits imports any of them. */
const EXPORTS = 802;
const EXPORTS_HASH = 0x55f7_cf76;

/**
 * Checks a module's interface before it is run.
 *
 * @throws {@link HypervisorError} `unavailable`
 */
export function checkEngine(module: WasmModule): void {
  const imports = Wasm.Module.imports(module).map(({ name }) => name);
  const unknown = imports.filter((name) => !IMPORTS.includes(name));
  const missing = IMPORTS.filter((name) => !imports.includes(name));
  const exports = Wasm.Module.exports(module)
    .map(({ name }) => name)
    .sort();
  if (unknown.length + missing.length === 0 && exports.length === EXPORTS && hashOf(exports.join("\n")) === EXPORTS_HASH) return;
  const difference = [
    unknown.length > 0 ? `it imports ${unknown.join(", ")}` : "",
    missing.length > 0 ? `it does not import ${missing.join(", ")}` : "",
    exports.length === EXPORTS ? "" : `it exports ${exports.length} functions, not ${EXPORTS}`,
  ].filter((text) => text !== "");
  throw new HypervisorError(
    "unavailable",
    `this is not the engine of v86 ${KNOWN_VERSION} (${difference.join("; ") || "it exports other functions"}): install exactly that version`,
  );
}

function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193) >>> 0;
  return hash;
}
