/**
 * What a composer needs of an engine that runs guests: the real /dev/kvm, an emulator inside the process. An engine binds to
 * address spaces that somebody else made and populated; which devices stand behind their I/O windows it never learns.
 *
 * @module
 */
import type { MemoryProvider, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { VirtualMachine } from "./virtual-machine.ts";

/** What an engine can do, for whom it matters before a machine is made. */
export interface HypervisorFeatures {
  /** The most vCPUs of a machine. */
  readonly maxVcpus: number;
  /** Whether guests may enter long mode. */
  readonly longMode: boolean;
  /** Whether guests may turn paging on in 32 bits. */
  readonly paging: boolean;
  /** Whether a machine has a PIT and its speaker port of its own, so that the platform brings none. */
  readonly pit: boolean;
  /** Whether vCPUs run in threads of their own: else a guest runs in turns with whoever made the machine. */
  readonly threads: boolean;
  /** Whether interrupts may be sent as messages. */
  readonly messageInterrupts: boolean;
}

/**
 * What a machine is made of. An engine binds to the spaces before `createMachine` resolves, and holds them until the machine is
 * disposed: whoever passed them may let go of what was passed.
 */
export interface MachineParts {
  /** The guest's memory and its memory-mapped I/O. */
  readonly memory: VirtAddressSpace;
  /** Port I/O: 0x10000 addresses. */
  readonly ports: VirtAddressSpace;
  /** vCPUs; 1 unless given. */
  readonly vcpus?: number;
}

/** An engine that runs guests. */
export interface Hypervisor {
  /** A word for people and for saved state: `kvm`, `v86`. */
  readonly name: string;
  /** What it can do here. */
  readonly features: HypervisorFeatures;
  /**
   * Makes memory that its guests run from at full speed. Engines differ: one maps files, another has memory inside itself.
   *
   * @param size - bytes, a multiple of 4096
   * @throws {@link HypervisorError} `invalid-argument`, `out-of-memory`
   */
  createMemory(size: number): Promise<MemoryProvider>;
  /**
   * Makes a machine over two spaces. It listens to them from now on: what is mapped and unmapped later reaches the guest.
   *
   * @throws {@link HypervisorError} `invalid-argument`, `unsupported`, `unsuitable-memory`; what the engine says of its host
   */
  createMachine(parts: MachineParts): Promise<VirtualMachine>;
}
