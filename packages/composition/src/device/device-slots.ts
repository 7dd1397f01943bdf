/** Where a machine's virtio devices are: addresses and interrupt lines. @module */
import { advance, type GuestAddress, gpa } from "@virtspace/virt-address-space";
import { CompositionError } from "../machine/composition-error.ts";

/** A device's place. */
export interface DeviceSlot {
  /** Where its registers begin. */
  readonly base: GuestAddress;
  /** Its interrupt line. */
  readonly irq: number;
}

/** Above the RAM of small machines, and below what processors keep for themselves. */
const FIRST = gpa(0xd000_0000);
/** Bytes of a device's registers, as guests are told. */
export const DEVICE_BYTES = 0x1000;
/** Lines of a PC that nobody else has: 9 is that of its power registers. */
const LINES = [5, 10, 11, 7, 6, 3, 12, 14, 15] as const;

/**
 * The place of a device.
 *
 * @throws {@link CompositionError} `no-line`
 */
export function deviceSlot(index: number): DeviceSlot {
  const irq = LINES[index];
  if (irq === undefined) throw new CompositionError("no-line", `a machine has lines for ${LINES.length} devices: describe fewer`);
  return { base: advance(FIRST, index * DEVICE_BYTES), irq };
}

/** A device's place, as Linux and our guests are told of it. */
export function deviceArgument({ base, irq }: DeviceSlot): string {
  return `virtio_mmio.device=4K@0x${base.toString(16)}:${irq}`;
}
