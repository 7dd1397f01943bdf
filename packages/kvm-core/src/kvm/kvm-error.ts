/** Why /dev/kvm can't be had here, each with what to do about it. @module */
import { HostLinuxError } from "@virtspace/host-linux";

/**
 * - `not-present`: there is no such device
 * - `not-permitted`: this user may not open it
 * - `no-module`: the device is there, and nobody behind it
 * - `not-kvm`: it is something else, or a KVM of another interface
 * - `busy`: another hypervisor has the processor, or the host has no more room for machines
 * - `lacking`: this KVM can't do what is needed; the message says what
 * - `unsupported`: no Linux on x86-64
 * - `call-failed`: a request failed; `errno` says why
 */
export type KvmErrorCode = "not-present" | "not-permitted" | "no-module" | "not-kvm" | "busy" | "lacking" | "unsupported" | "call-failed";

/** An error of this package. What the contract of hypervisors names is a `HypervisorError`. */
export class KvmError extends Error {
  /** The class. */
  override readonly name = "KvmError";
  /** Which kind. */
  readonly code: KvmErrorCode;
  /** The kernel's error by name, where a request failed. */
  readonly errno: string | undefined;

  constructor(code: KvmErrorCode, message: string, options: ErrorOptions & { readonly errno?: string | undefined } = {}) {
    super(message, options);
    this.code = code;
    this.errno = options.errno;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: KvmErrorCode): value is KvmError {
    return value instanceof KvmError && (code === undefined || value.code === code);
  }
}

const OPENING: Readonly<Record<string, (path: string) => readonly [KvmErrorCode, string]>> = {
  ENOENT: (path) => ["not-present", `there is no ${path}: load the module kvm_intel or kvm_amd, or pass the device into the container`],
  EACCES: (path) => ["not-permitted", `this user may not open ${path}: add it to the group kvm (usermod -aG kvm USER), and log in again`],
  EPERM: (path) => ["not-permitted", `this process is not allowed to open ${path}: pass the device into the container (--device ${path})`],
  ENODEV: (path) => [
    "no-module",
    `nobody is behind ${path}: load the module kvm_intel or kvm_amd, and turn virtualisation on in the firmware`,
  ],
  ENXIO: (path) => [
    "no-module",
    `nobody is behind ${path}: load the module kvm_intel or kvm_amd, and turn virtualisation on in the firmware`,
  ],
  ENOTTY: (path) => ["not-kvm", `${path} is not KVM: it knows no KVM_GET_API_VERSION`],
  EINVAL: (path) => ["not-kvm", `${path} is not KVM: it refuses KVM_GET_API_VERSION`],
  EBUSY: () => ["busy", "another hypervisor has the processor's virtualisation: end its machines first"],
};

/** What an error of the host means while /dev/kvm is opened. */
export function openingError(path: string, error: unknown): Error {
  if (HostLinuxError.is(error, "unsupported")) return new KvmError("unsupported", "KVM needs Linux with glibc", { cause: error });
  if (!HostLinuxError.is(error)) return error as Error;
  const known = OPENING[error.errno ?? ""];
  if (known === undefined) return requestError(error);
  const [code, message] = known(path);
  return new KvmError(code, message, { cause: error, errno: error.errno });
}

/** What an error of the host means later. */
export function requestError(error: unknown): Error {
  if (!HostLinuxError.is(error, "system-call")) return error as Error;
  if (error.errno === "EBUSY" && error.call === "KVM_CREATE_VM") return openingError("", error);
  return new KvmError("call-failed", error.message, { cause: error, errno: error.errno });
}
