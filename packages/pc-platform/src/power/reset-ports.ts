/**
 * The ports by which a PC is restarted: the chipset's at 0xcf9, the keyboard controller's line, and the "fast" one at 0x92. There is
 * no keyboard controller behind its port, and guests that look for one find none.
 *
 * @see Intel ICH9 data sheet, "RST_CNT"; IBM PS/2 Technical Reference, "System Control Port A"
 * @module
 */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";

/** The chipset's port, and what restarts the machine. */
export const RESET: {
  /** The port. */
  readonly port: number;
  /** What restarts the machine there. */
  readonly value: number;
} = { port: 0xcf9, value: 6 };

const RESET_CPU = 4;
const KEYBOARD_COMMAND = 0x64;
const PULSE_RESET = 0xfe;
const SYSTEM_CONTROL = 0x92;
const FAST_RESET = 1;
/** All of the address lines are there. */
const A20 = 2;
const NOBODY = 0xff;

/** How they are made. */
export interface ResetPortsOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /** The guest wants the machine to start anew. */
  readonly onReset: () => void;
}

/** The ports. */
export class ResetPorts implements Disposable {
  readonly #ports: VirtAddressSpace;
  readonly #regions: readonly Region[];
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor({ ports, onReset }: ResetPortsOptions) {
    this.#ports = ports;
    const port = (name: string, base: number, reads: number, resets: (value: number) => boolean) => {
      const write = (_offset: number, _size: number, value: number): void => {
        if (resets(value)) onReset();
      };
      return { kind: "io", name, base: gpa(base), size: 1, handler: { read: () => reads, write } } as const;
    };
    const regions: Region[] = [];
    ports.transaction((change) => {
      regions.push(change.map(port("chipset reset", RESET.port, 0, (value) => (value & RESET_CPU) !== 0)));
      regions.push(change.map(port("keyboard reset", KEYBOARD_COMMAND, NOBODY, (value) => value === PULSE_RESET)));
      regions.push(change.map(port("fast reset", SYSTEM_CONTROL, A20, (value) => (value & FAST_RESET) !== 0)));
    });
    this.#regions = regions;
  }

  /** Unmaps them. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#mapped && !this.#ports.released) for (const region of this.#regions) void this.#ports.unmap(region);
    this.#mapped = false;
  }
}
