/** What the driver takes beyond frames as they go on a wire. @module */
import { NO_OFFLOAD_SUPPORT, type OffloadSupport, type Segmentation } from "@virtspace/network";
import { FeatureSet } from "@virtspace/virtio";
import { NetFeature as F } from "./net-feature.ts";

/** The features that the driver may switch while it runs. */
export const GUEST_OFFLOADS: FeatureSet = FeatureSet.of(F.GuestCsum, F.GuestTso4, F.GuestTso6, F.GuestEcn, F.GuestUso4, F.GuestUso6);

/** What a backend may send to a driver that has these offloads on. */
export function guestSupport(offloads: FeatureSet): OffloadSupport {
  if (!offloads.has(F.GuestCsum)) return NO_OFFLOAD_SUPPORT;
  const segmentation: Exclude<Segmentation, "none">[] = [];
  if (offloads.has(F.GuestTso4)) segmentation.push("tcp4");
  if (offloads.has(F.GuestTso6)) segmentation.push("tcp6");
  // One kind of segment stands for both, and a driver could take one of them only.
  if (offloads.has(F.GuestUso4) && offloads.has(F.GuestUso6)) segmentation.push("udp");
  return { checksum: true, segmentation, ecn: offloads.has(F.GuestEcn) };
}
