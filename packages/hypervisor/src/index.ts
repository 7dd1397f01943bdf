/**
 * What a composer needs of any engine that runs guests.
 *
 * @packageDocumentation
 */
export type { Hypervisor, HypervisorFeatures, MachineParts } from "./hypervisor.ts";
export { HypervisorError, type HypervisorErrorCode } from "./hypervisor-error.ts";
export type { InterruptLine } from "./interrupt-line.ts";
export type { Disposed, EmulationFailed, EngineFailed, EntryFailed, MachineEnd, TripleFault } from "./machine-end.ts";
export type { MessageInterrupt } from "./message-interrupt.ts";
export type { Vcpu } from "./vcpu.ts";
export type { MachineCounters, MachineState, MachineStatus, VirtualMachine } from "./virtual-machine.ts";
export { type DescriptorTable, flat32, flatCode, flatData, type Segment, type X86Registers } from "./x86-registers.ts";
