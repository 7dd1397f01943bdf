export type { AttachOptions } from "./attach-options.ts";
export type { DescriptorOptions, SpaceDescriptor, Transferable } from "./descriptor.ts";
export type { BroughtOpeners } from "./openers.ts";
export {
  type LinkReceiver,
  PortLink,
  type PortLinkOptions,
  type ReceivedMessage,
  type SpaceLink,
  type SynchronousReceive,
} from "./space-link.ts";
export type { ThreadDescriptor, ThreadDescriptorOptions } from "./thread-descriptor.ts";
