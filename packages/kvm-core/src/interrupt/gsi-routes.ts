/**
 * Where an interrupt goes: lines to the pins of the controllers, and others, made when they are wanted, to a processor as a message.
 *
 * @see KVM_SET_GSI_ROUTING, Documentation/virt/kvm/api.rst
 * @module
 */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import { HypervisorError } from "@virtspace/hypervisor";
import { Kvm } from "../kvm/kvm-layout.ts";

const HEADER = 8;
const ENTRY = 48;
const Type = { controller: 1, message: 2 } as const;
const Controller = { firstPic: 0, secondPic: 1, ioApic: 2 } as const;
const PIC_LINES = 16;
/** The timer's line, and the pin of the IOAPIC that a PC has it at; nobody else's line leads there. */
const [TIMER, TIMER_PIN] = [0, 2];

type Entry = readonly [gsi: number, type: number, ...words: number[]];

/** A machine's table. */
export class GsiRoutes {
  readonly #vm: DeviceFile;
  readonly #lines: number;
  readonly #most: number;
  readonly #messages = new Map<number, Entry>();

  /**
   * @param lines - how many numbers are those of lines
   * @param most - how many numbers the kernel has
   */
  constructor(vm: DeviceFile, lines: number, most: number) {
    this.#vm = vm;
    this.#lines = lines;
    this.#most = most;
    this.#write();
  }

  /** Gives a message a number. @throws {@link HypervisorError} `unsupported` where there is none left */
  add(address: number, data: number): number {
    let gsi = this.#lines;
    while (this.#messages.has(gsi)) gsi++;
    if (gsi >= this.#most) {
      throw new HypervisorError("unsupported", `this KVM gives a machine ${this.#most - this.#lines} messages: dispose one first`);
    }
    this.#messages.set(gsi, [gsi, Type.message, address >>> 0, Math.floor(address / 2 ** 32), data]);
    this.#write();
    return gsi;
  }

  /** Takes a message's number back. */
  remove(gsi: number): void {
    this.#messages.delete(gsi);
    this.#write();
  }

  #write(): void {
    const entries = [...Array.from({ length: this.#lines }, (_, gsi) => pinsOf(gsi)).flat(), ...this.#messages.values()];
    using block = new NativeBlock(HEADER + entries.length * ENTRY);
    block.view.setUint32(0, entries.length, true);
    entries.forEach(([gsi, type, ...words], index) => {
      const at = HEADER + index * ENTRY;
      block.view.setUint32(at, gsi, true);
      block.view.setUint32(at + 4, type, true);
      words.forEach((word, i) => {
        block.view.setUint32(at + 16 + 4 * i, word, true);
      });
    });
    this.#vm.control("KVM_SET_GSI_ROUTING", Kvm.SET_GSI_ROUTING, block);
  }
}

function pinsOf(gsi: number): Entry[] {
  const pins: Entry[] = [];
  if (gsi < PIC_LINES) pins.push([gsi, Type.controller, gsi < 8 ? Controller.firstPic : Controller.secondPic, gsi % 8]);
  if (gsi === TIMER) pins.push([gsi, Type.controller, Controller.ioApic, TIMER_PIN]);
  else if (gsi !== TIMER_PIN) pins.push([gsi, Type.controller, Controller.ioApic, gsi]);
  return pins;
}
