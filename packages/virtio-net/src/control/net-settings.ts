/** What a driver sets through the control queue: all of it, in one place that can be saved. @module */
import { FeatureSet } from "@virtspace/virtio";
import { GUEST_OFFLOADS } from "../feature/guest-offloads.ts";
import { NetFeature } from "../feature/net-feature.ts";
import { ReceiveFilter } from "../receive/receive-filter.ts";

/** How interrupts of a queue are held back. */
export interface Moderation {
  /** Frames to tell of. */
  readonly frames: number;
  /** The longest wait. */
  readonly microseconds: number;
}

/** How what is received is spread over queues, or only hashed. */
export interface HashSettings {
  /** Kinds of hashes, as bits of `HashType`. */
  readonly types: number;
  /** The bytes of the key. */
  readonly key: readonly number[];
  /** Pairs by the low bits of a hash; none where hashes are only reported. */
  readonly table?: readonly number[];
  /** The pair for what has no hash. */
  readonly unclassified?: number;
}

/** No holding back. */
export const NO_MODERATION: Moderation = { frames: 0, microseconds: 0 };

/** The settings of a device. */
export class NetSettings {
  readonly filter: ReceiveFilter;
  /** Pairs of queues in use; undefined until the driver says: then it is one where it can say, and all otherwise. */
  pairs: number | undefined;
  hash: HashSettings | undefined;
  /** What the driver takes, among what was negotiated. */
  guestOffloads: FeatureSet = FeatureSet.none;
  /** By the number of the queue. */
  readonly moderation: Map<number, Moderation> = new Map();

  constructor(mac: number) {
    this.filter = new ReceiveFilter(mac);
  }

  /** All as at the beginning. */
  reset(mac: number): void {
    this.filter.reset(mac);
    this.pairs = undefined;
    this.hash = undefined;
    this.guestOffloads = FeatureSet.none;
    this.moderation.clear();
  }

  /** The features are settled: what they switch on is on. */
  start(features: FeatureSet): void {
    this.guestOffloads = features.and(GUEST_OFFLOADS);
    this.filter.vlans = features.has(NetFeature.CtrlVlan);
    if (features.has(NetFeature.CtrlVq) && features.has(NetFeature.Mq)) this.pairs = 1;
  }
}
