/** KVM as a hypervisor. @module */
import { type MemfdMemory, memfdMemory } from "@virtspace/host-linux";
import { type Hypervisor, HypervisorError, type HypervisorFeatures, type VirtualMachine } from "@virtspace/hypervisor";
import { requestError } from "./kvm/kvm-error.ts";
import { KvmHost } from "./kvm/kvm-host.ts";
import { KvmMachine, type KvmMachineParts } from "./machine/kvm-machine.ts";
import { NAME } from "./machine/kvm-state.ts";
import { type KvmModes, probeModes } from "./probe/probe-modes.ts";

/** How KVM is opened. */
export interface KvmOptions {
  /** `/dev/kvm` unless given. */
  readonly path?: string;
}

/**
 * Opens the kernel's hypervisor.
 *
 * @throws {@link KvmError} which says what to do: `not-present`, `not-permitted`, `no-module`, `not-kvm`, `busy`, `lacking`, `unsupported`
 */
export async function openKvm({ path = "/dev/kvm" }: KvmOptions = {}): Promise<KvmHypervisor> {
  return new KvmHypervisor(KvmHost.open(path));
}

/** The kernel's hypervisor. Dispose it when no machine is to be made any more; machines live on. */
export class KvmHypervisor implements Hypervisor, Disposable {
  readonly name: string = NAME;
  readonly features: HypervisorFeatures;
  readonly #host: KvmHost;

  /** @internal */
  constructor(host: KvmHost) {
    this.#host = host;
    this.features = {
      maxVcpus: host.maxVcpus,
      longMode: true,
      paging: true,
      pit: true,
      threads: true,
      messageInterrupts: host.messageInterrupts,
    };
  }

  /** Memory in a file: other processes may have it too. Any `MemfdMemory` will do as well. */
  async createMemory(size: number): Promise<MemfdMemory> {
    if (!Number.isSafeInteger(size) || size < 1 || size % 4096 !== 0) {
      throw new HypervisorError("invalid-argument", `memory of ${size} bytes can't be made: give a multiple of 4096`);
    }
    try {
      return memfdMemory(size);
    } catch (cause) {
      throw new HypervisorError("out-of-memory", `this host can't give a guest ${size} bytes: ask for fewer`, { cause });
    }
  }

  /**
   * Makes a machine over two spaces, with the kernel's interrupt controllers and PIT.
   *
   * @throws `HypervisorError` `invalid-argument`, `unsupported`; `KvmError` `busy`, `call-failed`; what the spaces throw
   */
  async createMachine(parts: KvmMachineParts): Promise<VirtualMachine> {
    const { vcpus = 1 } = parts;
    if (!Number.isInteger(vcpus) || vcpus < 1)
      throw new HypervisorError("invalid-argument", `a machine can't have ${vcpus} vCPUs: give 1 or more`);
    if (vcpus > this.features.maxVcpus) {
      throw new HypervisorError("unsupported", `this KVM gives a machine ${this.features.maxVcpus} vCPUs at the most, not ${vcpus}`);
    }
    try {
      return new KvmMachine(this.#host, parts);
    } catch (error) {
      throw requestError(error);
    }
  }

  /**
   * Which modes this KVM runs guests in: four tiny guests tell. Some hosts' KVM lacks modes that its interface knows.
   *
   * @throws `KvmError` `busy`, `call-failed`
   */
  probeModes(): Promise<KvmModes> {
    return probeModes(this);
  }

  /** Closes /dev/kvm. Idempotent. */
  [Symbol.dispose](): void {
    this.#host[Symbol.dispose]();
  }
}
