export { ArrayBufferMemory, arrayBufferMemory } from "./array-buffer-memory.ts";
export { EngineMemory, type EngineMemoryOptions } from "./engine-memory.ts";
export type { MemoryDescriptor, MemoryOpener } from "./memory-descriptor.ts";
export { type MemoryExtent, MemoryProvider, type MemoryReference } from "./memory-provider.ts";
export { SharedMemory, sharedMemory, sharedMemoryOpener } from "./shared-memory.ts";
