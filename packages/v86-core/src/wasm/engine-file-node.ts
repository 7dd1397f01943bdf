/** Where the engine's WebAssembly lies in Node: in the npm package `v86`. @module */
import { readFile } from "node:fs/promises";

/** Reads it. */
export async function readEngineFile(): Promise<Uint8Array> {
  return readFile(new URL(import.meta.resolve("v86/build/v86.wasm")));
}
