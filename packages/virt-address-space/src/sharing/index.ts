export type { AttachOptions } from "./attached-space.ts";
export type { DescriptorOptions, SpaceDescriptor } from "./descriptor.ts";
export { type LinkReceiver, PortLink, type SpaceLink, type SynchronousReceive } from "./space-link.ts";
