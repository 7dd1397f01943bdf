import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";
import { ResetPorts } from "./reset-ports.ts";

test("each of the three ways restarts the machine; a guest that looks for a keyboard finds none", () => {
  const ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
  let resets = 0;
  const reset = new ResetPorts({ ports, onReset: () => void resets++ });
  for (const [port, value] of [
    [0xcf9, 2],
    [0x64, 0xd1],
    [0x92, 2],
  ] as const)
    ports.writeU8(gpa(port), value);
  expect([resets, ports.readU8(gpa(0x64)), ports.readU8(gpa(0x92)), ports.readU8(gpa(0xcf9))]).toEqual([0, 0xff, 2, 0]);
  const counts = (
    [
      [0xcf9, 6],
      [0x64, 0xfe],
      [0x92, 3],
    ] as const
  ).map(([port, value]) => {
    ports.writeU8(gpa(port), value);
    return resets;
  });
  expect(counts).toEqual([1, 2, 3]);
  reset[Symbol.dispose]();
  reset[Symbol.dispose]();
  expect(ports.regions.length).toBe(0);
});
