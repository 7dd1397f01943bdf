/** Where a machine's devices are: addresses and interrupt lines. @module */
import { advance, type GuestAddress, gpa } from "@virtspace/virt-address-space";
import { CompositionError } from "../machine/composition-error.ts";

/** A device's place. */
export interface DeviceSlot {
  /** Where its registers begin. */
  readonly base: GuestAddress;
  /** Its interrupt line. */
  readonly irq: number;
}

/** The place of the virtual bus's bridge. */
export interface BridgeSlot extends DeviceSlot {
  /** Its first port. */
  readonly port: GuestAddress;
}

/** Above the RAM of small machines, and below what processors keep for themselves. */
const FIRST = gpa(0xd000_0000);
/** Bytes of a device's registers, as guests are told. */
export const DEVICE_BYTES = 0x1000;
/** The bridge's window, behind all devices. */
const BRIDGE = gpa(0xd010_0000);
const BRIDGE_PORT = gpa(0x700);
/** Lines of a PC that nobody else has: 9 is that of its power registers. */
const LINES = [5, 10, 11, 7, 6, 3, 12, 14, 15] as const;

/** The lines of one machine, and who has them. */
export class DeviceSlots {
  readonly #taken = new Set<number>();

  /**
   * Takes the first place that is free.
   *
   * @throws {@link CompositionError} `no-line`
   */
  take(): DeviceSlot {
    const index = this.#took(LINES.findIndex((line) => !this.#taken.has(line)));
    return { base: advance(FIRST, index * DEVICE_BYTES), irq: LINES[index] as number };
  }

  /** The bridge's, with the last line that is free: devices keep theirs whether there is a bridge or not. Throws as {@link take} does. */
  takeBridge(): BridgeSlot {
    const index = this.#took(LINES.findLastIndex((line) => !this.#taken.has(line)));
    return { base: BRIDGE, irq: LINES[index] as number, port: BRIDGE_PORT };
  }

  /** Gives a place back. */
  free({ irq }: DeviceSlot): void {
    this.#taken.delete(irq);
  }

  #took(index: number): number {
    const irq = LINES[index];
    if (irq === undefined) throw new CompositionError("no-line", `a machine has lines for ${LINES.length} devices: describe fewer`);
    this.#taken.add(irq);
    return index;
  }
}

/** A device's place, as Linux and our guests are told of it. */
export function deviceArgument({ base, irq }: DeviceSlot): string {
  return `virtio_mmio.device=4K@0x${base.toString(16)}:${irq}`;
}

/** The bridge's place, as our guests are told of it. */
export function bridgeArgument({ base, irq, port }: BridgeSlot): string {
  return `vbus.bridge=64@0x${base.toString(16)}:0x${port.toString(16)}:${irq}`;
}
