/** What Linux makes of the tables is seen where it boots; here, that they are whole. */
import { gpa, KiB, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";
import { writeAcpiTables } from "./acpi-tables.ts";

const guest = (size: number): VirtAddressSpace => {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(size) });
  return space;
};

function bytesAt(space: VirtAddressSpace, address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  expect(space.copyFrom(gpa(address), bytes)).toBe(0);
  return bytes;
}

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** A table with its header, checked. */
function table(space: VirtAddressSpace, address: number): DataView {
  const length = space.readU32(gpa(address + 4)) as number;
  const bytes = bytesAt(space, address, length);
  expect(sum(bytes)).toBe(0);
  return new DataView(bytes.buffer);
}

const signature = (data: DataView): string => text(new Uint8Array(data.buffer, 0, 4));

test("the first leads to all the others, and each is whole", () => {
  const space = guest(4 * MiB);
  const virtio = [
    { base: 0xd000_0000, size: 0x1000, irq: 5 },
    { base: 0xd000_1000, size: 0x1000, irq: 10 },
  ];
  const root = bytesAt(space, writeAcpiTables(space, { vcpus: 3, virtio }), 36);
  expect([text(root.subarray(0, 8)), sum(root.subarray(0, 20)), sum(root), root[15]]).toEqual(["RSD PTR ", 0, 0, 2]);
  const xsdt = table(space, Number(new DataView(root.buffer).getBigUint64(24, true)));
  expect([signature(xsdt), xsdt.byteLength]).toEqual(["XSDT", 36 + 16]);
  const [facp, madt] = [36, 44].map((at) => table(space, Number(xsdt.getBigUint64(at, true)))) as [DataView, DataView];
  expect([signature(facp), facp.byteLength, facp.getUint16(46, true)]).toEqual(["FACP", 276, 9]);
  expect([facp.getUint32(56, true), facp.getUint32(64, true), facp.getUint32(76, true)]).toEqual([0x600, 0x604, 0x608]);
  expect(text(bytesAt(space, facp.getUint32(36, true), 4))).toBe("FACS");

  const dsdt = table(space, Number(facp.getBigUint64(140, true)));
  const words = text(new Uint8Array(dsdt.buffer));
  expect([signature(dsdt), facp.getUint32(40, true)]).toEqual(["DSDT", Number(facp.getBigUint64(140, true))]);
  for (const word of ["_SB_", "COM1", "RTC0", "VR00", "VR01", "LNRO0005", "_S5_"]) expect(words).toContain(word);

  const entries: number[][] = [];
  for (let at = 44; at < madt.byteLength; at += madt.getUint8(at + 1))
    entries.push([...new Uint8Array(madt.buffer, at, madt.getUint8(at + 1))]);
  expect([signature(madt), entries.map(([kind]) => kind)]).toEqual(["APIC", [0, 0, 0, 1, 2, 2]]);
  expect(entries.slice(0, 3).map((local) => local.slice(2, 5))).toEqual([
    [0, 0, 1],
    [1, 1, 1],
    [2, 2, 1],
  ]);
  expect(entries.slice(4)).toEqual([
    [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
    [2, 10, 0, 9, 9, 0, 0, 0, 13, 0],
  ]);
});

test("a device's resources are its registers, and a level of its line that it may share", () => {
  const space = guest(4 * MiB);
  const root = bytesAt(space, writeAcpiTables(space, { virtio: [{ base: 0xd123_4000, size: 0x200, irq: 11 }] }), 36);
  const xsdt = table(space, Number(new DataView(root.buffer).getBigUint64(24, true)));
  const facp = table(space, Number(xsdt.getBigUint64(36, true)));
  const dsdt = new Uint8Array(table(space, Number(facp.getBigUint64(140, true))).buffer);
  const resources = [0x86, 9, 0, 1, 0x00, 0x40, 0x23, 0xd1, 0x00, 2, 0, 0, 0x89, 6, 0, 0b1001, 1, 11, 0, 0, 0, 0x79, 0];
  expect(text(dsdt)).toContain(text(Uint8Array.from(resources)));
});

test("more processors than a page of words: lengths of two and three bytes", () => {
  const space = guest(4 * MiB);
  const virtio = Array.from({ length: 200 }, (_, i) => ({ base: 0xd000_0000 + i * 0x1000, size: 0x1000, irq: 5 }));
  const root = bytesAt(space, writeAcpiTables(space, { virtio, vcpus: 64 }), 36);
  const xsdt = table(space, Number(new DataView(root.buffer).getBigUint64(24, true)));
  const dsdt = table(space, Number(table(space, Number(xsdt.getBigUint64(36, true))).getBigUint64(140, true)));
  // The scope: its opcode, a length of three bytes, which counts itself.
  expect(dsdt.getUint8(36)).toBe(0x10);
  const lead = dsdt.getUint8(37);
  const length = (lead & 15) | (dsdt.getUint16(38, true) << 4);
  expect([lead >> 6, 37 + length + "_S5_".length + 1 < dsdt.byteLength]).toEqual([2, true]);
  expect(text(new Uint8Array(dsdt.buffer, 37 + length + 1, 4))).toBe("_S5_");
});

test("a guest without memory there is told so, and nothing is written", () => {
  const space = guest(512 * KiB);
  expect(() => writeAcpiTables(space)).toThrow(expect.objectContaining({ code: "no-room" }));
});
