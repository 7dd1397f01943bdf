/**
 * What a vCPU says of itself: all that this host's KVM can do, with the number of the one vCPU that is asked.
 *
 * @see Documentation/virt/kvm/api.rst, KVM_GET_SUPPORTED_CPUID; Documentation/virt/kvm/x86/cpuid.rst
 * @module
 */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import { Kvm } from "./kvm-layout.ts";

const HEADER = 8;
/** function, index, flags, eax, ebx, ecx, edx, and three words of nothing. */
const ENTRY = 40;
const Word = { function: 0, ebx: 16, ecx: 20, edx: 24 } as const;
const MOST_ENTRIES = 256;

const FEATURES = 1;
const TOPOLOGIES = new Set([0x0b, 0x1f]);
/** Says that the leaves of hypervisors mean something. */
const HYPERVISOR = 1 << 31;
const TSC_DEADLINE = 1 << 24;

/** The kernel's list, which is the same for all vCPUs. */
export class SupportedCpuid {
  readonly #bytes: Uint8Array;
  readonly #tscDeadline: boolean;

  /** @param tscDeadline - whether local APICs have that timer, which the list leaves out */
  constructor(device: DeviceFile, tscDeadline: boolean) {
    using block = new NativeBlock(HEADER + MOST_ENTRIES * ENTRY);
    block.view.setUint32(0, MOST_ENTRIES, true);
    device.control("KVM_GET_SUPPORTED_CPUID", Kvm.GET_SUPPORTED_CPUID, block);
    this.#bytes = block.bytes.slice(0, HEADER + block.view.getUint32(0, true) * ENTRY);
    this.#tscDeadline = tscDeadline;
  }

  /** The list of one vCPU, whose local APIC has its number. */
  forVcpu(index: number): NativeBlock {
    const block = new NativeBlock(this.#bytes.length);
    block.bytes.set(this.#bytes);
    const { view } = block;
    for (let at = HEADER; at < this.#bytes.length; at += ENTRY) {
      const leaf = view.getUint32(at + Word.function, true);
      if (leaf === FEATURES) {
        view.setUint8(at + Word.ebx + 3, index & 0xff);
        const features = view.getUint32(at + Word.ecx, true) | HYPERVISOR | (this.#tscDeadline ? TSC_DEADLINE : 0);
        view.setUint32(at + Word.ecx, features >>> 0, true);
      }
      if (TOPOLOGIES.has(leaf)) view.setUint32(at + Word.edx, index, true);
    }
    return block;
  }
}
