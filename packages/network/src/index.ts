/**
 * What a network device plugs into: frames, the backend contract, and backends that need no host.
 *
 * @packageDocumentation
 */
export { captured, type FrameWitness } from "./capture/captured.ts";
export { type CaptureOptions, type CaptureSink, type Direction, PcapngWriter } from "./capture/pcapng.ts";
export { BytesFrame } from "./frame/bytes-frame.ts";
export {
  BROADCAST,
  formatMac,
  HEADER_BYTES,
  isGroup,
  MAX_FRAME_BYTES,
  macAddress,
  readMac,
  writeHeader,
  writeMac,
} from "./frame/ethernet.ts";
export { copyFrame, type Frame, type FrameMemory } from "./frame/frame.ts";
export type { Lease } from "./gateway/dhcp.ts";
export { Gateway, type GatewayCounters, type GatewayOptions } from "./gateway/gateway.ts";
export { formatIp, ipAddress } from "./gateway/ipv4.ts";
export { type Delivery, deliver } from "./offload/delivery.ts";
export { canTake, NO_OFFLOAD, NO_OFFLOAD_SUPPORT, type Offload, type OffloadSupport, type Segmentation } from "./offload/offload.ts";
export { Segmenter } from "./offload/segmenter.ts";
export { Loopback } from "./port/loopback.ts";
export type { NetworkBackend, NetworkEndpoint, NetworkPort } from "./port/network-backend.ts";
export { Patch } from "./port/patch.ts";
export { type DropReason, PortCounters } from "./port/port-counters.ts";
export { LearningSwitch, type LearningSwitchOptions, type WhenFull } from "./switch/learning-switch.ts";
export type { MacTableOptions } from "./switch/mac-table.ts";
