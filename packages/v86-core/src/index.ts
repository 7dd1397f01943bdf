/**
 * The embedded engine: v86's WebAssembly bound to address spaces.
 *
 * @packageDocumentation
 */
export type { V86Host } from "./host/host.ts";
export type { V86Memory } from "./memory/v86-memory.ts";
export { openV86, type V86, type V86Options, type WasmResponse } from "./v86.ts";
