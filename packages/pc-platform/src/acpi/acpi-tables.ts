/**
 * ACPI tables: what a machine tells its guest's kernel of processors, interrupts, power and devices that can't be found otherwise.
 *
 * @see ACPI Specification 6.5, chapter 5
 * @module
 */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { requireRoom, writeInto } from "../boot/guest-room.ts";
import { CMOS } from "../clock/cmos.ts";
import { POWER, PowerRegister } from "../power/acpi-power.ts";
import { RESET } from "../power/reset-ports.ts";
import { asciiBytes } from "../text/ascii.ts";
import { PIT_IRQ } from "../timer/pit.ts";
import { COM1 } from "../uart/uart.ts";
import { AcpiTable } from "./acpi-table.ts";
import { device, eisaId, integer, interrupt, memory32, name, packageOf, ports, resources, scope, string } from "./aml.ts";

/** Below 1 MiB, where the firmware of a PC has them. */
const TABLES_AT = 0xe_0000;
const ALIGNMENT = 64;
const LOCAL_APIC = 0xfee0_0000;
const IO_APIC = 0xfec0_0000;
/** The timer's line is not the IOAPIC's first pin, but its third. */
const TIMER_PIN = 2;
const ACTIVE_HIGH_LEVEL = 0xd;
const SOFT_OFF = 5;
const GAS_IO = 1;

/** A virtio device over MMIO. */
export interface AcpiVirtioDevice {
  /** Where its registers begin, below 4 GiB. */
  readonly base: number;
  /** How many bytes they have. */
  readonly size: number;
  /** Its interrupt line, which it holds up. */
  readonly irq: number;
}

/** What a guest is told. */
export interface AcpiOptions {
  /** How many vCPUs there are; 1 unless given. */
  readonly vcpus?: number;
  /** Its virtio devices. */
  readonly virtio?: readonly AcpiVirtioDevice[];
}

/**
 * Writes a machine's tables into its memory: one with a serial port, a CMOS clock, power registers, reset ports, a PIT and an IOAPIC.
 *
 * @returns the address of the first (RSDP), for {@link loadLinux}
 * @throws {@link PcPlatformError} `no-room`
 */
export function writeAcpiTables(space: VirtAddressSpace, { vcpus = 1, virtio = [] }: AcpiOptions = {}): number {
  let end = TABLES_AT + ALIGNMENT;
  const placed: (readonly [number, Uint8Array])[] = [];
  const place = (bytes: Uint8Array): number => {
    const address = end;
    placed.push([address, bytes]);
    end = Math.ceil((address + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return address;
  };
  const facs = place(firmwareControl());
  const dsdt = place(definitions(virtio));
  const tables = [place(fixedDescription(facs, dsdt)), place(interruptControllers(vcpus))];
  const xsdt = place(new AcpiTable("XSDT", 1).bytes(...tables.flatMap((address) => quad(address))).done());
  placed.push([TABLES_AT, rootPointer(xsdt)]);
  for (const [address, bytes] of placed) requireRoom(space, address, bytes.length);
  for (const [address, bytes] of placed) writeInto(space, address, bytes);
  return TABLES_AT;
}

/** The devices. */
function definitions(virtio: readonly AcpiVirtioDevice[]): Uint8Array {
  const serial = device(
    "COM1",
    name("_HID", eisaId("PNP0501")),
    name("_UID", integer(1)),
    name("_CRS", resources(ports(COM1.base, 8), interrupt(COM1.irq, "edge"))),
  );
  const clock = device("RTC0", name("_HID", eisaId("PNP0B00")), name("_CRS", resources(ports(CMOS.base, 2), interrupt(CMOS.irq, "edge"))));
  const virtioDevices = virtio.map(({ base, size, irq }, index) =>
    device(
      `VR${index.toString(16).toUpperCase().padStart(2, "0")}`,
      name("_HID", string("LNRO0005")),
      name("_UID", integer(index)),
      name("_CCA", integer(1)),
      name("_CRS", resources(memory32(base, size), interrupt(irq, "level"))),
    ),
  );
  const softOff = name("_S5_", packageOf(integer(SOFT_OFF), integer(SOFT_OFF), integer(0), integer(0)));
  const terms = [...scope("\\_SB_", serial, clock, ...virtioDevices), ...softOff];
  return new AcpiTable("DSDT", 2).bytes(...terms).done();
}

/** FADT: the power registers, the interrupt by which they call, and how to restart. */
function fixedDescription(facs: number, dsdt: number): Uint8Array {
  const LENGTH = 276;
  const LEGACY_DEVICES = 1;
  const NO_VGA = 4;
  /** WBINVD works, C1 is there, no sleep button, RTC status is elsewhere, 32-bit timer, reset register. */
  const FLAGS = 0x1 | 0x4 | 0x20 | 0x40 | 0x100 | 0x400;
  const [status, control, timer] = [PowerRegister.status, PowerRegister.control, PowerRegister.timer].map(
    (offset) => POWER.base + offset,
  ) as [number, number, number];
  return (
    new AcpiTable("FACP", 6, LENGTH)
      .put(36, 4, facs)
      .put(40, 4, dsdt)
      .put(46, 2, POWER.irq)
      .put(56, 4, status)
      .put(64, 4, control)
      .put(76, 4, timer)
      .put(88, 1, 4)
      .put(89, 1, 2)
      .put(91, 1, 4)
      // Too slow to be of use: there are no deeper idle states.
      .put(96, 2, 0xfff)
      .put(98, 2, 0xfff)
      .put(108, 1, CMOS.century)
      .put(109, 2, LEGACY_DEVICES | NO_VGA)
      .put(112, 4, FLAGS)
      .put(116, 4, registerKind(8))
      .put(120, 8, RESET.port)
      .put(128, 1, RESET.value)
      .put(140, 8, dsdt)
      .put(148, 4, registerKind(32))
      .put(152, 8, status)
      .put(172, 4, registerKind(16))
      .put(176, 8, control)
      .put(208, 4, registerKind(32))
      .put(212, 8, timer)
      .done()
  );
}

/** MADT: a local APIC a vCPU, the IOAPIC, and which lines are not what they were on an ISA bus. */
function interruptControllers(vcpus: number): Uint8Array {
  const HAS_PIC = 1;
  const ENABLED = 1;
  const locals = Array.from({ length: vcpus }, (_, id) => [0, 8, id, id, ENABLED, 0, 0, 0]);
  const ioApic = [1, 12, 0, 0, ...double(IO_APIC), ...double(0)];
  const override = (line: number, pin: number, flags: number): number[] => [2, 10, 0, line, ...double(pin), flags, 0];
  return new AcpiTable("APIC", 4)
    .bytes(...double(LOCAL_APIC), ...double(HAS_PIC))
    .bytes(...locals.flat(), ...ioApic, ...override(PIT_IRQ, TIMER_PIN, 0), ...override(POWER.irq, POWER.irq, ACTIVE_HIGH_LEVEL))
    .done();
}

/** FACS: of it only the lock matters, and nobody else takes that. */
function firmwareControl(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(asciiBytes("FACS"));
  bytes[4] = bytes.length;
  bytes[32] = 2;
  return bytes;
}

function rootPointer(xsdt: number): Uint8Array {
  const bytes = new Uint8Array(36);
  bytes.set(asciiBytes("RSD PTR "));
  bytes.set(asciiBytes("VIRTSP"), 9);
  bytes[15] = 2;
  bytes[20] = bytes.length;
  bytes.set(quad(xsdt), 24);
  bytes[8] = complement(bytes.subarray(0, 20));
  bytes[32] = complement(bytes);
  return bytes;
}

/** The first half of a generic address: a port of a width. */
const registerKind = (bits: 8 | 16 | 32): number => GAS_IO | (bits << 8) | ({ 8: 1, 16: 2, 32: 3 }[bits] << 24);
const double = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const quad = (value: number): number[] => [...double(value), 0, 0, 0, 0];
const complement = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
