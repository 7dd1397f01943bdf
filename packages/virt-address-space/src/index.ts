/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Guest memory as an object of its own: created without a hypervisor, populated, passed and bound.
 *
 * @packageDocumentation
 */
export * from "./access/index.ts";
export {
  advance,
  GiB,
  type GuestAddress,
  gpa,
  type IoVirtualAddress,
  iova,
  isAddress,
  KiB,
  MAX_ADDRESS,
  MiB,
  PAGE_SIZE,
  type PeerVirtualAddress,
  peerAddress,
  tryGpa,
} from "./address/addresses.ts";
export * from "./dirty/index.ts";
export * from "./doorbell/index.ts";
export type { SpaceFault } from "./error/space-fault.ts";
export {
  VirtAddressSpaceError,
  type VirtAddressSpaceErrorCode,
  type VirtAddressSpaceErrorDetails,
} from "./error/virt-address-space-error.ts";
export * from "./holder/index.ts";
export { AsyncDisposableStack, DisposableStack } from "./host/disposable-stack.ts";
export type { ChannelLike, PortLike, SpaceHost } from "./host/host.ts";
export type { Lifeline, Lifelines } from "./host/lifeline.ts";
export * from "./listener/index.ts";
export * from "./map/index.ts";
export * from "./memory/index.ts";
export * from "./notifier/index.ts";
export * from "./region/index.ts";
export * from "./sharing/index.ts";
export * from "./state/index.ts";
export * from "./view/index.ts";
export { type AttachDescriptorOptions, type RestoreOptions, type SpaceOptions, VirtAddressSpace } from "./virt-address-space.ts";
export * from "./window/index.ts";
