/** What a device offers, which follows what its backend can do. @module */
import type { OffloadSupport } from "@virtspace/network";
import { FeatureSet } from "@virtspace/virtio";
import { NetFeature as F } from "./net-feature.ts";

/** What the features depend on. */
export interface Offer {
  /** What frames the backend takes. */
  readonly backend: OffloadSupport;
  readonly queuePairs: number;
  /** Whether the configuration has them. */
  readonly mtu: boolean;
  readonly speed: boolean;
}

/** The features of a device. */
export function offeredFeatures({ backend, queuePairs, mtu, speed }: Offer): FeatureSet {
  const { checksum, segmentation } = backend;
  // A driver may leave the cutting to us only together with the checksum; and a backend that knows large segments may send some.
  const large = (kind: (typeof segmentation)[number], ...bits: number[]): number[] => (checksum && segmentation.includes(kind) ? bits : []);
  return FeatureSet.of(
    ...[F.Mac, F.MrgRxbuf, F.Status],
    ...[F.CtrlVq, F.CtrlRx, F.CtrlRxExtra, F.CtrlVlan, F.CtrlMacAddr, F.GuestAnnounce],
    ...[F.NotfCoal, F.VqNotfCoal, F.HashReport],
    ...(queuePairs > 1 ? [F.Mq, F.Rss] : []),
    ...(mtu ? [F.Mtu] : []),
    ...(speed ? [F.SpeedDuplex] : []),
    ...(checksum ? [F.Csum, F.GuestCsum, F.CtrlGuestOffloads] : []),
    ...large("tcp4", F.HostTso4, F.GuestTso4, F.HostEcn, F.GuestEcn),
    ...large("tcp6", F.HostTso6, F.GuestTso6),
    ...large("udp", F.HostUso, F.GuestUso4, F.GuestUso6),
  );
}
