/**
 * Numbers and layouts of the kernel's interface, as `<linux/kvm.h>` of x86-64 has them. Requests are whole numbers: some share all but
 * their size.
 *
 * @see Documentation/virt/kvm/api.rst
 * @module
 */

/** The only version of the interface. */
export const API_VERSION = 12;

/** Requests of ioctl(2). */
export const Kvm = {
  GET_API_VERSION: 0xae00,
  CREATE_VM: 0xae01,
  GET_MSR_INDEX_LIST: 0xc004_ae02,
  CHECK_EXTENSION: 0xae03,
  GET_VCPU_MMAP_SIZE: 0xae04,
  GET_SUPPORTED_CPUID: 0xc008_ae05,
  CREATE_VCPU: 0xae41,
  GET_DIRTY_LOG: 0x4010_ae42,
  SET_USER_MEMORY_REGION: 0x4020_ae46,
  SET_TSS_ADDR: 0xae47,
  SET_IDENTITY_MAP_ADDR: 0x4008_ae48,
  CREATE_IRQCHIP: 0xae60,
  IRQ_LINE: 0x4008_ae61,
  GET_IRQCHIP: 0xc208_ae62,
  SET_IRQCHIP: 0x8208_ae63,
  IRQFD: 0x4020_ae76,
  SET_GSI_ROUTING: 0x4008_ae6a,
  CREATE_PIT2: 0x4040_ae77,
  IOEVENTFD: 0x4040_ae79,
  SET_CLOCK: 0x4030_ae7b,
  GET_CLOCK: 0x8030_ae7c,
  RUN: 0xae80,
  GET_REGS: 0x8090_ae81,
  SET_REGS: 0x4090_ae82,
  GET_SREGS: 0x8138_ae83,
  SET_SREGS: 0x4138_ae84,
  GET_MSRS: 0xc008_ae88,
  SET_MSRS: 0x4008_ae89,
  GET_LAPIC: 0x8400_ae8e,
  SET_LAPIC: 0x4400_ae8f,
  SET_CPUID2: 0x4008_ae90,
  GET_MP_STATE: 0x8004_ae98,
  SET_MP_STATE: 0x4004_ae99,
  GET_VCPU_EVENTS: 0x8040_ae9f,
  SET_VCPU_EVENTS: 0x4040_aea0,
  GET_PIT2: 0x8070_ae9f,
  SET_PIT2: 0x4070_aea0,
  GET_DEBUGREGS: 0x8080_aea1,
  SET_DEBUGREGS: 0x4080_aea2,
  GET_XSAVE: 0x9000_aea4,
  SET_XSAVE: 0x5000_aea5,
  SIGNAL_MSI: 0x4020_aea5,
  GET_XCRS: 0x8188_aea6,
  SET_XCRS: 0x4188_aea7,
} as const;

/** Capabilities. */
export const Capability = {
  UserMemory: 3,
  NrMemslots: 10,
  IrqRouting: 25,
  Irqfd: 32,
  Ioeventfd: 36,
  SignalMsi: 77,
  ReadonlyMem: 81,
  MaxVcpus: 66,
  TscDeadlineTimer: 72,
  ImmediateExit: 136,
} as const;

/** `struct kvm_run`, bytes from its start. */
export const Run = {
  immediateExit: 1,
  exitReason: 8,
  /** Of an exit to ports. */
  ioDirection: 32,
  ioSize: 33,
  ioPort: 34,
  ioCount: 36,
  ioDataOffset: 40,
  /** Of an exit to memory. */
  mmioAddress: 32,
  mmioData: 40,
  mmioLength: 48,
  mmioIsWrite: 52,
  /** Of an internal error. */
  suberror: 32,
  errorWords: 36,
  instructionSize: 48,
  instructionBytes: 49,
  hardwareReason: 32,
} as const;

/** Why KVM_RUN returned. */
export const Exit = { Io: 2, Halt: 5, Mmio: 6, Shutdown: 8, FailEntry: 9, Interrupted: 10, InternalError: 17, SystemEvent: 24 } as const;

/** Sizes of structures, bytes. */
export const Size = {
  regs: 144,
  sregs: 312,
  memoryRegion: 32,
  ioeventfd: 64,
  irqfd: 32,
  irqLevel: 8,
  msi: 32,
  irqchip: 520,
  pit2: 112,
  pitConfig: 64,
  clock: 48,
  lapic: 1024,
  xsave: 4096,
  xcrs: 392,
  debugregs: 128,
  vcpuEvents: 64,
  mpState: 4,
} as const;

/** A page, bytes. */
export const PAGE = 4096;
