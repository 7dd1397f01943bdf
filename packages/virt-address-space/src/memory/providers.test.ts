import { memoryProviderSuite } from "@virtspace/conformance";
import { arrayBufferMemory, EngineMemory, sharedMemory, sharedMemoryOpener } from "../index.ts";

memoryProviderSuite({ name: "array buffer", create: (size) => ({ memory: arrayBufferMemory(size) }) });

memoryProviderSuite({
  name: "shared array buffer",
  create: (size) => ({ memory: sharedMemory(size), open: (descriptor) => sharedMemoryOpener.open(descriptor) }),
});

const WASM_PAGE = 65536;

memoryProviderSuite({
  name: "an engine's WebAssembly memory, detached by each grow",
  create: (size) => {
    const wasm = new WebAssembly.Memory({ initial: 2, maximum: 16 });
    const observed: [number, number][] = [];
    return {
      memory: new EngineMemory({
        size,
        offset: WASM_PAGE - 64,
        buffer: () => wasm.buffer,
        hostWrote: (offset, length) => observed.push([offset, length]),
      }),
      move: () => wasm.grow(1),
      observed: () => observed,
    };
  },
});

memoryProviderSuite({
  name: "an engine's buffer, replaced by a copy",
  create: (size) => {
    let buffer: ArrayBuffer | undefined;
    const current = (): ArrayBuffer => (buffer ??= new ArrayBuffer(size));
    const memory = new EngineMemory({ size, buffer: current });
    return {
      memory,
      move: () => {
        buffer = current().slice(0);
        memory.replaced();
      },
    };
  },
});
