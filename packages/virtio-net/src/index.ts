/**
 * A virtio network device.
 *
 * @packageDocumentation
 */
export type { HashSettings, Moderation } from "./control/net-settings.ts";
export type { NetDropReason, NetQueueCounters } from "./counters/net-queue-counters.ts";
export { NetFeature } from "./feature/net-feature.ts";
export { NetConfig, type NetConfigFields } from "./net-config.ts";
export { type NetSurroundings, virtioNet } from "./plugin.ts";
export { HashType } from "./steering/flow-hash.ts";
export { VirtioNet, type VirtioNetOptions } from "./virtio-net.ts";
