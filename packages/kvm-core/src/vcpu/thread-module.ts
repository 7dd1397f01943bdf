/** Handlers that live in a vCPU's own thread: an exit to them makes no trip to another thread. @module */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";

/** What a vCPU's thread has. */
export interface VcpuThreadSurroundings {
  /** The vCPU's index. */
  readonly vcpu: number;
  /** The machine's memory, attached in this thread: `propose` maps windows whose handlers stay here. */
  readonly memory: VirtAddressSpace;
  /** The machine's ports, attached in this thread. */
  readonly ports: VirtAddressSpace;
}

/** The default export of a module that a vCPU's thread loads before the guest runs. */
export type VcpuThreadModule = (surroundings: VcpuThreadSurroundings) => void | Promise<void>;
