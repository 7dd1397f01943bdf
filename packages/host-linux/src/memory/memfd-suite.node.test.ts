/** Memory in a file, by the suite that every memory passes. */
import { memoryProviderSuite } from "@virtspace/conformance";
import { memfdMemory, memfdOpener } from "../index.ts";

memoryProviderSuite({
  name: "memfd",
  create: (size) => {
    const memory = memfdMemory(size);
    return { memory, open: (descriptor) => memfdOpener.open(descriptor), held: () => !memory.fd.closed };
  },
});
