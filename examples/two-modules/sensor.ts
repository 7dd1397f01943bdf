/** A module: writes readings into a ring in guest memory and rings a doorbell. It has never heard of a hypervisor. */
import { type GuestAddress, type SpaceDescriptor, VirtAddressSpace, type VmapChange } from "@virtspace/virt-address-space";
import { push, RING_BYTES } from "./ring.ts";

/** Where the module finds things: addresses that whoever puts the machine together chose. */
export interface SensorOptions {
  readonly space: SpaceDescriptor;
  readonly ring: GuestAddress;
  readonly doorbell: GuestAddress;
  readonly readings: number;
  readonly onRevoked: (change: VmapChange) => void;
}

// #region sensor
/** Attaches, writes its readings, and returns what ends it. */
export async function startSensor({ space: descriptor, ring: at, doorbell, readings, onRevoked }: SensorOptions): Promise<Disposable> {
  const space = await VirtAddressSpace.attach(descriptor, { name: "sensor" });
  const ring = space.vmap(at, RING_BYTES, { onChange: onRevoked });
  for (let n = 1; n <= readings; ) {
    if (push(ring, `reading ${n} of ${readings}`)) {
      n++;
      space.writeU32(doorbell, n);
    } else {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  return space;
}
// #endregion sensor
