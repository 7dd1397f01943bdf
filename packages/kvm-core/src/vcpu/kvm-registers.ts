/** A vCPU's registers, in the kernel's layout. @see struct kvm_regs, struct kvm_sregs @module */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import type { DescriptorTable, Segment, X86Registers } from "@virtspace/hypervisor";
import { Kvm, Size } from "../kvm/kvm-layout.ts";

const GENERAL = { rax: 0, rbx: 8, rcx: 16, rdx: 24, rsi: 32, rdi: 40, rsp: 48, rbp: 56, rip: 128, rflags: 136 } as const;
const SEGMENTS = { cs: 0, ds: 24, es: 48, fs: 72, gs: 96, ss: 120 } as const;
const TABLES = { gdt: 192, idt: 208 } as const;
const CONTROL = { cr0: 224, cr2: 232, cr3: 240, cr4: 248, efer: 264 } as const;

const entries = <K extends string>(table: Readonly<Record<K, number>>): [K, number][] => Object.entries(table) as [K, number][];

/** Reads all registers of a vCPU that is not in the guest. */
export function readRegisters(vcpu: DeviceFile): X86Registers {
  using regs = new NativeBlock(Size.regs);
  using sregs = new NativeBlock(Size.sregs);
  vcpu.control("KVM_GET_REGS", Kvm.GET_REGS, regs);
  vcpu.control("KVM_GET_SREGS", Kvm.GET_SREGS, sregs);
  const found: Record<string, bigint | number | Segment | DescriptorTable> = {};
  for (const [name, offset] of entries(GENERAL)) found[name] = regs.view.getBigUint64(offset, true);
  for (const [name, offset] of entries(SEGMENTS)) found[name] = segmentAt(sregs.view, offset);
  for (const [name, offset] of entries(TABLES)) {
    found[name] = { base: Number(sregs.view.getBigUint64(offset, true)), limit: sregs.view.getUint16(offset + 8, true) };
  }
  for (const [name, offset] of entries(CONTROL)) found[name] = Number(sregs.view.getBigUint64(offset, true));
  return found as unknown as X86Registers;
}

/** Sets registers; what is not given stays. */
export function writeRegisters(vcpu: DeviceFile, changes: Partial<X86Registers>): void {
  using regs = new NativeBlock(Size.regs);
  using sregs = new NativeBlock(Size.sregs);
  vcpu.control("KVM_GET_REGS", Kvm.GET_REGS, regs);
  vcpu.control("KVM_GET_SREGS", Kvm.GET_SREGS, sregs);
  for (const [name, offset] of entries(GENERAL)) {
    const value = changes[name];
    if (value !== undefined) regs.view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }
  for (const [name, offset] of entries(SEGMENTS)) {
    const value = changes[name];
    if (value !== undefined) setSegment(sregs.view, offset, value);
  }
  for (const [name, offset] of entries(TABLES)) {
    const value = changes[name];
    if (value === undefined) continue;
    sregs.view.setBigUint64(offset, BigInt(value.base), true);
    sregs.view.setUint16(offset + 8, value.limit, true);
  }
  for (const [name, offset] of entries(CONTROL)) {
    const value = changes[name];
    if (value !== undefined) sregs.view.setBigUint64(offset, BigInt(value), true);
  }
  vcpu.control("KVM_SET_SREGS", Kvm.SET_SREGS, sregs);
  vcpu.control("KVM_SET_REGS", Kvm.SET_REGS, regs);
}

function segmentAt(view: DataView, at: number): Segment {
  return {
    base: Number(view.getBigUint64(at, true)),
    limit: view.getUint32(at + 8, true),
    selector: view.getUint16(at + 12, true),
    type: view.getUint8(at + 14),
    dpl: view.getUint8(at + 16),
    db: view.getUint8(at + 17) !== 0,
    long: view.getUint8(at + 19) !== 0,
  };
}

function setSegment(view: DataView, at: number, segment: Segment): void {
  view.setBigUint64(at, BigInt(segment.base), true);
  view.setUint32(at + 8, segment.limit, true);
  view.setUint16(at + 12, segment.selector, true);
  const present = 1;
  const ordinary = 1;
  const pages = segment.limit > 0xf_ffff ? 1 : 0;
  [segment.type, present, segment.dpl, segment.db ? 1 : 0, ordinary, segment.long ? 1 : 0, pages, 0, 0].forEach((byte, i) => {
    view.setUint8(at + 14 + i, byte);
  });
}
