/** Which hypervisor a machine runs on: the one word that changes it. @module */
import type { Hypervisor } from "@virtspace/hypervisor";
import { type KvmOptions, openKvm } from "@virtspace/kvm-core";
import { openV86, type V86Options } from "@virtspace/v86-core";

/** A hypervisor, to be opened when a machine is made. */
export interface HypervisorChoice {
  /** For people. */
  readonly name: string;
  /** Opens it. Throws what says what to do, where it can't be had. */
  open(): Promise<Hypervisor>;
}

/** The embedded engine, which needs nothing of the host. */
export function v86(options: V86Options = {}): HypervisorChoice {
  return { name: "v86", open: () => openV86(options) };
}

/** The kernel's /dev/kvm. */
export function kvm(options: KvmOptions = {}): HypervisorChoice {
  return { name: "kvm", open: () => openKvm(options) };
}
