/**
 * How a memory provider travels to another thread or process: a value that says what it is, and an opener on the other
 * side that knows the kind.
 *
 * @module
 */
import type { MemoryProvider } from "./memory-provider.ts";

/**
 * A memory provider as a value.
 *
 * `payload` survives structured clone (a SharedArrayBuffer, say). `fds` are file descriptors of the sending process;
 * within a process they are good as they stand, a unix socket carries them as ancillary data and renumbers them.
 */
export interface MemoryDescriptor {
  /** The provider's kind: `shared-array-buffer`, `memfd`, ... */
  readonly kind: string;
  /** Bytes of memory. */
  readonly size: number;
  /** What the opener of this kind needs; it survives structured clone. */
  readonly payload?: unknown;
  /** File descriptors that travel beside it over a link that carries them. */
  readonly fds?: readonly number[];
}

/** Turns a descriptor of one kind back into memory. Openers are passed to `VirtAddressSpace.attach`. */
export interface MemoryOpener {
  /** The kind that it opens. */
  readonly kind: string;
  /** Opens the memory; it throws where the descriptor is not what this opener knows. */
  open(descriptor: MemoryDescriptor): MemoryProvider;
}
