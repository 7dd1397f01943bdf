/**
 * The real /dev/kvm, bound to address spaces that somebody else made.
 *
 * @packageDocumentation
 */

export { KvmError, type KvmErrorCode } from "./kvm/kvm-error.ts";
export { type KvmHypervisor, type KvmOptions, openKvm } from "./kvm.ts";
export type { KvmMachineParts } from "./machine/kvm-machine.ts";
export type { KvmModes } from "./probe/probe-modes.ts";
export type { VcpuThreadModule, VcpuThreadSurroundings } from "./vcpu/thread-module.ts";
