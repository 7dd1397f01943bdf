/** The little of WebAssembly's interface that the engine needs: it is the same in Node and in browsers, but no library of ours names it. @module */

/** A compiled module. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}

/** A function of a module. */
export type WasmFunction = (...values: number[]) => number;

/** A table of functions. */
interface WasmTable {
  set(index: number, value: WasmFunction | null): void;
}

/** Memory of a module; its buffer is replaced whenever it grows. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A module that runs. */
export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WasmNamespace {
  compile(bytes: Uint8Array): Promise<WasmModule>;
  instantiate(bytes: Uint8Array, imports: object): Promise<{ readonly instance: WasmInstance }>;
  instantiate(module: WasmModule, imports: object): Promise<WasmInstance>;
  readonly Module: {
    imports(module: WasmModule): { readonly module: string; readonly name: string }[];
    exports(module: WasmModule): { readonly name: string }[];
  };
  readonly Table: new (options: { readonly element: "anyfunc"; readonly initial: number }) => WasmTable;
  readonly RuntimeError: new () => Error;
}

/** The host's. */
export const Wasm: WasmNamespace = (globalThis as unknown as { WebAssembly: WasmNamespace }).WebAssembly;
