/** In a browser nobody knows where a bundler put the engine's WebAssembly but the page. @module */
import { HypervisorError } from "@virtspace/hypervisor";

/** @throws {@link HypervisorError} `unavailable`, always */
export function readEngineFile(): Promise<Uint8Array> {
  throw new HypervisorError(
    "unavailable",
    "say where the engine is: openV86({ wasm: fetch(url) }), where url leads to build/v86.wasm of the npm package v86",
  );
}
