/** /dev/kvm itself: what it can do, and the descriptors that it gives. @module */
import { DeviceFile, NativeBlock, prepareInterrupts } from "@virtspace/host-linux";
import { SupportedCpuid } from "./cpuid.ts";
import { KvmError, openingError, requestError } from "./kvm-error.ts";
import { API_VERSION, Capability, Kvm } from "./kvm-layout.ts";

/** A machine, as far as the end of the process concerns it. */
export interface RunningMachine {
  /** Takes its vCPUs out of the guest. */
  abandon(): void;
}

const NEEDED: readonly (readonly [name: string, capability: number])[] = [
  ["memory of its user's", Capability.UserMemory],
  ["routes of interrupts", Capability.IrqRouting],
  ["irqfd", Capability.Irqfd],
  ["ioeventfd", Capability.Ioeventfd],
  ["memory that is read-only", Capability.ReadonlyMem],
  ["immediate exits", Capability.ImmediateExit],
];
const MOST_MSRS = 2048;

/** An open /dev/kvm. It closes when the last machine is gone and its owner has let go. */
export class KvmHost implements Disposable {
  /** Bytes of `struct kvm_run` and what is behind it. */
  readonly runBytes: number;
  /** The most memory slots of a machine. */
  readonly memorySlots: number;
  /** The most interrupts of a machine, lines and messages. */
  readonly interruptRoutes: number;
  /** The most vCPUs of a machine. */
  readonly maxVcpus: number;
  /** Whether interrupts may be sent as messages. */
  readonly messageInterrupts: boolean;
  /** The model-specific registers that are saved. */
  readonly msrs: readonly number[];
  readonly #device: DeviceFile;
  readonly #cpuid: SupportedCpuid;
  readonly #machines = new Set<RunningMachine>();
  /** A thread that is in a guest keeps the process from ending. */
  readonly #onExit = (): void => {
    for (const machine of this.#machines) machine.abandon();
  };

  private constructor(device: DeviceFile) {
    this.#device = device;
    const extension = (capability: number): number => device.control("KVM_CHECK_EXTENSION", Kvm.CHECK_EXTENSION, capability);
    const missing = NEEDED.filter(([, capability]) => extension(capability) === 0).map(([name]) => name);
    if (missing.length > 0) throw new KvmError("lacking", `this KVM has no ${missing.join(", no ")}: a kernel from 4.12 on has`);
    this.runBytes = device.control("KVM_GET_VCPU_MMAP_SIZE", Kvm.GET_VCPU_MMAP_SIZE);
    this.interruptRoutes = extension(Capability.IrqRouting);
    this.memorySlots = extension(Capability.NrMemslots);
    this.maxVcpus = extension(Capability.MaxVcpus) || 1;
    this.messageInterrupts = extension(Capability.SignalMsi) !== 0;
    this.#cpuid = new SupportedCpuid(device, extension(Capability.TscDeadlineTimer) !== 0);
    this.msrs = msrIndices(device);
    prepareInterrupts();
  }

  /** @throws {@link KvmError} */
  static open(path: string): KvmHost {
    let device: DeviceFile | undefined;
    try {
      device = DeviceFile.open(path);
      const version = device.control("KVM_GET_API_VERSION", Kvm.GET_API_VERSION);
      if (version !== API_VERSION) throw new KvmError("not-kvm", `${path} has version ${version} of KVM's interface, not ${API_VERSION}`);
      return new KvmHost(device);
    } catch (error) {
      device?.[Symbol.dispose]();
      throw openingError(path, error);
    }
  }

  /** @throws {@link KvmError} `busy`, `call-failed`; `HostLinuxError` `closed` */
  createVm(): DeviceFile {
    try {
      return new DeviceFile(this.#device.control("KVM_CREATE_VM", Kvm.CREATE_VM));
    } catch (error) {
      throw requestError(error);
    }
  }

  /** A vCPU that can do all that this host's processors can. */
  createVcpu(vm: DeviceFile, index: number): DeviceFile {
    const vcpu = new DeviceFile(vm.control("KVM_CREATE_VCPU", Kvm.CREATE_VCPU, index));
    try {
      using cpuid = this.#cpuid.forVcpu(index);
      vcpu.control("KVM_SET_CPUID2", Kvm.SET_CPUID2, cpuid);
      return vcpu;
    } catch (error) {
      vcpu[Symbol.dispose]();
      throw error;
    }
  }

  /** A machine that must leave its guest when the process ends. */
  add(machine: RunningMachine): void {
    if (this.#machines.size === 0) process.on("exit", this.#onExit);
    this.#machines.add(machine);
  }

  /** It is gone. */
  remove(machine: RunningMachine): void {
    this.#machines.delete(machine);
    if (this.#machines.size === 0) process.off("exit", this.#onExit);
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}

function msrIndices(device: DeviceFile): readonly number[] {
  using block = new NativeBlock(4 + 4 * MOST_MSRS);
  block.view.setUint32(0, MOST_MSRS, true);
  device.control("KVM_GET_MSR_INDEX_LIST", Kvm.GET_MSR_INDEX_LIST, block);
  return Array.from({ length: block.view.getUint32(0, true) }, (_, i) => block.view.getUint32(4 + 4 * i, true));
}
