/** Runs a vCPU in its thread until something ends that. @see KVM_RUN, Documentation/virt/kvm/api.rst @module */
import { constants } from "node:os";
import type { MachineEnd } from "@virtspace/hypervisor";
import { Exit, Run } from "../kvm/kvm-layout.ts";
import { Access, type AccessKind, type ExitChannel, type GuestAccess, type Perform } from "./exit-channel.ts";

const { EAGAIN, EINTR } = constants.errno;
const OUT = 1;
const EMULATION = 1;
const MOST_INSTRUCTION_BYTES = 15;

/** What a thread runs its vCPU with. */
export interface VcpuParts {
  readonly index: number;
  /** Makes the call. @returns its errno, or 0 */
  readonly enter: () => number;
  /** `struct kvm_run`. */
  readonly run: DataView;
  readonly channel: ExitChannel;
  readonly perform: Perform;
  /** Called whenever the vCPU was kicked out of the guest. */
  readonly kicked: () => void;
  /** Where the vCPU stands: for an instruction that can't be run. */
  readonly instructionPointer: () => number;
}

/** Runs a vCPU. @returns why it ended; undefined where it was to stop */
export function runVcpu(parts: VcpuParts): MachineEnd | undefined {
  const { enter, run, channel, kicked } = parts;
  // The word to run may be older than the wish to stop.
  if (channel.stop) return undefined;
  for (;;) {
    const errno = enter();
    if (errno === EINTR) {
      // First the flag, then the wish: one that comes between the two is seen, or interrupts the next call.
      run.setUint8(Run.immediateExit, 0);
      if (channel.stop) return undefined;
      kicked();
    } else if (errno === 0) {
      const end = serveExit(parts);
      if (end !== undefined) return end;
    } else if (errno !== EAGAIN) return { reason: "engine-failed", message: `KVM_RUN failed with errno ${errno}` };
  }
}

function serveExit(parts: VcpuParts): MachineEnd | undefined {
  const { run, index } = parts;
  const reason = run.getUint32(Run.exitReason, true);
  switch (reason) {
    case Exit.Io:
      servePorts(parts);
      return undefined;
    case Exit.Mmio:
      serveMemory(parts);
      return undefined;
    case Exit.Interrupted:
      return undefined;
    case Exit.Shutdown:
      return { reason: "triple-fault", vcpu: index };
    case Exit.FailEntry:
      return { reason: "entry-failed", vcpu: index, hardwareReason: run.getBigUint64(Run.hardwareReason, true) };
    case Exit.InternalError:
      return internalError(parts);
    default:
      return { reason: "engine-failed", message: `KVM_RUN ended for a reason that is not known here: ${reason}` };
  }
}

/** The access of this moment, used again: an exit makes no garbage. */
const access: { kind: AccessKind; address: number; size: number; low: number; high: number } & GuestAccess = {
  kind: Access.readPort,
  address: 0,
  size: 1,
  low: 0,
  high: 0,
};

function servePorts({ run, channel, perform }: VcpuParts): void {
  const out = run.getUint8(Run.ioDirection) === OUT;
  const size = run.getUint8(Run.ioSize);
  const count = run.getUint32(Run.ioCount, true);
  let data = run.getUint32(Run.ioDataOffset, true);
  access.kind = out ? Access.writePort : Access.readPort;
  access.size = size;
  // A string instruction brings several at once.
  for (let i = 0; i < count; i++, data += size) {
    access.address = run.getUint16(Run.ioPort, true);
    access.low = out ? numberAt(run, data, size) : 0;
    access.high = 0;
    channel.count(access.kind);
    perform(access);
    if (!out) setNumber(run, data, size, access.low);
  }
}

function serveMemory({ run, channel, perform }: VcpuParts): void {
  access.kind = run.getUint8(Run.mmioIsWrite) === 0 ? Access.readMemory : Access.writeMemory;
  access.address = run.getUint32(Run.mmioAddress, true) + run.getUint32(Run.mmioAddress + 4, true) * 2 ** 32;
  access.size = run.getUint32(Run.mmioLength, true);
  const isWrite = access.kind === Access.writeMemory;
  access.low = isWrite ? numberAt(run, Run.mmioData, Math.min(access.size, 4)) : 0;
  access.high = isWrite && access.size > 4 ? numberAt(run, Run.mmioData + 4, access.size - 4) : 0;
  channel.count(access.kind);
  perform(access);
  if (isWrite) return;
  setNumber(run, Run.mmioData, 4, access.low);
  setNumber(run, Run.mmioData + 4, 4, access.high);
}

function numberAt(run: DataView, offset: number, size: number): number {
  if (size === 1) return run.getUint8(offset);
  if (size === 2) return run.getUint16(offset, true);
  if (size === 3) return run.getUint16(offset, true) | (run.getUint8(offset + 2) << 16);
  return run.getUint32(offset, true);
}

function setNumber(run: DataView, offset: number, size: number, value: number): void {
  if (size === 1) run.setUint8(offset, value);
  else if (size === 2) run.setUint16(offset, value, true);
  else run.setUint32(offset, value, true);
}

function internalError({ run, index, instructionPointer }: VcpuParts): MachineEnd {
  const suberror = run.getUint32(Run.suberror, true);
  if (suberror !== EMULATION) return { reason: "engine-failed", message: `KVM met an internal error, ${suberror}` };
  const size = run.getUint32(Run.errorWords, true) >= 1 ? Math.min(run.getUint8(Run.instructionSize), MOST_INSTRUCTION_BYTES) : 0;
  const bytes = Uint8Array.from({ length: size }, (_, i) => run.getUint8(Run.instructionBytes + i));
  return { reason: "emulation-failed", vcpu: index, address: instructionPointer(), bytes };
}
