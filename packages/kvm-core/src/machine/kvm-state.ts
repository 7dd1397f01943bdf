/**
 * The state of a machine's vCPUs and of what the kernel keeps for it, as bytes in the kernel's layouts.
 *
 * @see Documentation/virt/kvm/api.rst
 * @module
 */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import { HypervisorError, type MachineState } from "@virtspace/hypervisor";
import { Kvm, Size } from "../kvm/kvm-layout.ts";
import type { KvmVcpu } from "../vcpu/kvm-vcpu.ts";

/** The engine's name in saved state. */
export const NAME = "kvm";
const VERSION = 1;
/** PIC, PIC, IOAPIC. */
const CHIPS = 3;
const MSR_BYTES = 16;
const MSRS_HEADER = 8;

interface Part {
  readonly name: string;
  readonly get: number;
  readonly set: number;
  readonly size: number;
}

const part = (name: string, get: number, set: number, size: number): Part => ({ name, get, set, size });

/** Parts of a vCPU in the order in which they are set: what decides how others are understood comes first. */
const VCPU_PARTS: readonly Part[] = [
  part("SREGS", Kvm.GET_SREGS, Kvm.SET_SREGS, Size.sregs),
  part("REGS", Kvm.GET_REGS, Kvm.SET_REGS, Size.regs),
  part("XCRS", Kvm.GET_XCRS, Kvm.SET_XCRS, Size.xcrs),
  part("XSAVE", Kvm.GET_XSAVE, Kvm.SET_XSAVE, Size.xsave),
  part("DEBUGREGS", Kvm.GET_DEBUGREGS, Kvm.SET_DEBUGREGS, Size.debugregs),
  part("LAPIC", Kvm.GET_LAPIC, Kvm.SET_LAPIC, Size.lapic),
  part("VCPU_EVENTS", Kvm.GET_VCPU_EVENTS, Kvm.SET_VCPU_EVENTS, Size.vcpuEvents),
  part("MP_STATE", Kvm.GET_MP_STATE, Kvm.SET_MP_STATE, Size.mpState),
];
const PIT = part("PIT2", Kvm.GET_PIT2, Kvm.SET_PIT2, Size.pit2);
const CLOCK = part("CLOCK", Kvm.GET_CLOCK, Kvm.SET_CLOCK, Size.clock);
/** Only the time of a saved clock is set; flags ask for more. */
const CLOCK_FLAGS_AT = 8;

interface VcpuState {
  /** By the name of the part. */
  readonly parts: Readonly<Record<string, Uint8Array>>;
  /** `struct kvm_msrs`. */
  readonly msrs: Uint8Array;
}

interface Payload {
  readonly vcpus: readonly VcpuState[];
  readonly chips: readonly Uint8Array[];
  readonly pit: Uint8Array;
  readonly clock: Uint8Array;
}

/** Saves a machine whose vCPUs are out of the guest. @param msrs - the registers that this KVM saves */
export function saveMachine(vm: DeviceFile, vcpus: readonly KvmVcpu[], msrs: readonly number[]): MachineState {
  for (const vcpu of vcpus) vcpu.complete();
  const payload: Payload = {
    vcpus: vcpus.map(({ device }) => ({
      parts: Object.fromEntries(VCPU_PARTS.map((each) => [each.name, got(device, each)])),
      msrs: readMsrs(device, msrs),
    })),
    chips: Array.from({ length: CHIPS }, (_, chip) => readChip(vm, chip)),
    pit: got(vm, PIT),
    clock: got(vm, CLOCK),
  };
  return { hypervisor: NAME, version: VERSION, payload };
}

/**
 * Puts a saved state into a machine whose vCPUs are out of the guest.
 *
 * @throws {@link HypervisorError} `foreign-state`; one that makes no sense changes nothing
 */
export function restoreMachine(vm: DeviceFile, vcpus: readonly KvmVcpu[], { hypervisor, version, payload }: MachineState): void {
  if (hypervisor !== NAME || version !== VERSION) {
    throw new HypervisorError(
      "foreign-state",
      `this state is of ${hypervisor}, version ${version}: ${NAME} takes its own, of version ${VERSION}`,
    );
  }
  const state = checked(payload, vcpus.length);
  for (const chip of state.chips) set(vm, "KVM_SET_IRQCHIP", Kvm.SET_IRQCHIP, chip);
  set(vm, "KVM_SET_PIT2", PIT.set, state.pit);
  const clock = state.clock.slice();
  clock.fill(0, CLOCK_FLAGS_AT);
  set(vm, "KVM_SET_CLOCK", CLOCK.set, clock);
  state.vcpus.forEach(({ parts, msrs }, index) => {
    const { device } = vcpus[index] as KvmVcpu;
    for (const each of VCPU_PARTS) set(device, `KVM_SET_${each.name}`, each.set, parts[each.name] as Uint8Array);
    writeMsrs(device, msrs);
  });
}

function checked(payload: unknown, vcpuCount: number): Payload {
  const { vcpus, chips, pit, clock } = (payload ?? {}) as Partial<Payload>;
  const isBytes = (value: unknown, length: number): value is Uint8Array => value instanceof Uint8Array && value.length === length;
  const isVcpu = (vcpu: VcpuState | undefined): boolean =>
    VCPU_PARTS.every(({ name, size }) => isBytes(vcpu?.parts?.[name], size)) &&
    vcpu?.msrs instanceof Uint8Array &&
    vcpu.msrs.length >= MSRS_HEADER &&
    vcpu.msrs.length % MSR_BYTES === MSRS_HEADER;
  const sound =
    Array.isArray(vcpus) &&
    vcpus.every(isVcpu) &&
    Array.isArray(chips) &&
    chips.length === CHIPS &&
    chips.every((chip) => isBytes(chip, Size.irqchip)) &&
    isBytes(pit, Size.pit2) &&
    isBytes(clock, Size.clock);
  if (!sound) throw new HypervisorError("foreign-state", "this state has not the parts that a saved machine has: it was cut or altered");
  if (vcpus.length !== vcpuCount) {
    throw new HypervisorError(
      "foreign-state",
      `this state has ${vcpus.length} vCPUs, and the machine ${vcpuCount}: make one of the same shape`,
    );
  }
  return { vcpus, chips, pit, clock } as Payload;
}

function got(device: DeviceFile, { name, get, size }: Part): Uint8Array {
  using block = new NativeBlock(size);
  device.control(`KVM_GET_${name}`, get, block);
  return block.bytes.slice();
}

function set(device: DeviceFile, name: string, request: number, bytes: Uint8Array): void {
  using block = new NativeBlock(bytes.length);
  block.bytes.set(bytes);
  device.control(name, request, block);
}

function readChip(vm: DeviceFile, chip: number): Uint8Array {
  using block = new NativeBlock(Size.irqchip);
  block.view.setUint32(0, chip, true);
  vm.control("KVM_GET_IRQCHIP", Kvm.GET_IRQCHIP, block);
  return block.bytes.slice();
}

/** Registers that can't be read are left out. */
function readMsrs(device: DeviceFile, indices: readonly number[]): Uint8Array {
  using one = new NativeBlock(MSRS_HEADER + MSR_BYTES);
  const found: Uint8Array[] = [];
  for (const index of indices) {
    one.bytes.fill(0);
    one.view.setUint32(0, 1, true);
    one.view.setUint32(MSRS_HEADER, index, true);
    if (device.tryControl(Kvm.GET_MSRS, one).result === 1) found.push(one.bytes.slice(MSRS_HEADER));
  }
  const all = new Uint8Array(MSRS_HEADER + found.length * MSR_BYTES);
  new DataView(all.buffer).setUint32(0, found.length, true);
  found.forEach((bytes, i) => {
    all.set(bytes, MSRS_HEADER + i * MSR_BYTES);
  });
  return all;
}

/** One by one: some may be read and not written, and the rest must not stop at them. */
function writeMsrs(device: DeviceFile, msrs: Uint8Array): void {
  using one = new NativeBlock(MSRS_HEADER + MSR_BYTES);
  for (let at = MSRS_HEADER; at < msrs.length; at += MSR_BYTES) {
    one.view.setUint32(0, 1, true);
    one.bytes.set(msrs.subarray(at, at + MSR_BYTES), MSRS_HEADER);
    device.tryControl(Kvm.SET_MSRS, one);
  }
}
