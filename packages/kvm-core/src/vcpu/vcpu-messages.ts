/** What a machine and its vCPUs' threads say to each other. @module */
import type { MachineEnd } from "@virtspace/hypervisor";
import type { ThreadModules } from "./thread-spaces.ts";

/** What a thread begins with. */
export interface VcpuThreadStart {
  readonly index: number;
  /** The vCPU's descriptor, which stays the machine's. */
  readonly fd: number;
  /** Bytes of `struct kvm_run` and what is behind it. */
  readonly mapLength: number;
  /** The exit channel's. */
  readonly buffer: SharedArrayBuffer;
  /** Handlers for this thread, where there are any. */
  readonly modules?: ThreadModules;
}

/** `run`: enter the guest; `end`: let go of everything. */
export type ToVcpuThread = "run" | "end";

/** The vCPU left the guest: why, where it was not told to. */
export interface FromVcpuThread {
  readonly stopped: MachineEnd | undefined;
}
