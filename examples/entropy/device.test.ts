/** The device without a hypervisor: a driver of conformance's plays the guest. */
import { MmioDriver } from "@virtspace/conformance";
import { type GuestAddress, gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, silentLogger, VirtioFeature, VirtioMmio } from "@virtspace/virtio";
import { expect, test } from "vitest";
import entropy from "./device.ts";

const REGISTERS = gpa(0xd000_0000);
const RING = gpa(0x1_0000);
const BUFFER = gpa(0x2_0000);

// A test brings its own chance.
let next = 0;
const random = (bytes: Uint8Array): void => {
  for (const i of bytes.keys()) bytes[i] = ++next;
};

test.for([
  ["split", []],
  ["packed", [VirtioFeature.RingPacked]],
] as const)("fills whatever it is given, on a %s ring", async ([, layout]) => {
  next = 0;
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const device = entropy.create({ machine: "guest", random, log: silentLogger });
  using _mmio = new VirtioMmio({ space, base: REGISTERS, device, interrupt: () => {} });
  const driver = new MmioDriver(space, REGISTERS);
  expect(driver.negotiate(FeatureSet.of(VirtioFeature.Version1, ...layout))).toBe(true);
  const requests = driver.startQueue(0, RING);
  driver.ready();

  // A buffer in two pieces, with a gap between them.
  requests.add(
    [],
    [
      { address: BUFFER, length: 3 },
      { address: gpa(BUFFER + 8), length: 2 },
    ],
  );
  // One that has nothing to fill.
  requests.add([{ address: BUFFER, length: 4 }], []);
  requests.publish();
  driver.notify(0);
  await expect.poll(() => requests.used()).toEqual({ id: expect.any(Number), written: 5 });
  await expect.poll(() => requests.used()).toEqual({ id: expect.any(Number), written: 0 });
  expect(bytesAt(space, BUFFER, 10)).toEqual([1, 2, 3, 0, 0, 0, 0, 0, 4, 5]);
});

function bytesAt(space: VirtAddressSpace, at: GuestAddress, length: number): number[] {
  const bytes = new Uint8Array(length);
  space.copyFrom(at, bytes);
  return [...bytes];
}
