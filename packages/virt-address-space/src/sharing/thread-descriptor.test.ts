/** A space passed by descriptor to somebody in the same thread: the same map, memory that can't leave its thread, its own hold. */
import { expect, test } from "vitest";
import { arrayBufferMemory, gpa, sharedMemory, type ThreadDescriptor, VirtAddressSpace, VirtAddressSpaceError } from "../index.ts";

const PAGE = 4096;

function guest() {
  const space = VirtAddressSpace.create({ name: "guest" });
  const memory = arrayBufferMemory(PAGE);
  return { space, memory, ram: space.map({ name: "ram", base: gpa(0), memory }) };
}

const codeOf = (attached: Promise<unknown>): Promise<unknown> =>
  attached.then(
    () => "attached",
    (error: unknown) => (VirtAddressSpaceError.is(error) ? error.code : error),
  );

test("memory that can't leave its thread is reached through it, and the map is one map", async () => {
  const { space } = guest();
  expect(() => space.descriptor()).toThrow(/stays in its thread/);
  const descriptor = space.descriptor({ scope: "thread", holder: "device" });
  expect(descriptor).toEqual({ format: "virtspace.descriptor", scope: "thread", space: space.id, name: "guest" });
  using device = await VirtAddressSpace.attach(descriptor);
  expect([device.id, device.owned, device.view()]).toEqual([space.id, true, space.view()]);
  expect(space.holders).toEqual(["its creator", "device"]);

  device.writeU32(gpa(8), 42);
  expect(space.readU32(gpa(8))).toBe(42);
  // An access to a window of one holder is served by another's handler at once: nothing is sent.
  const written: number[] = [];
  const handler = { read: () => 7, write: (_offset: number, _size: number, value: number) => void written.push(value) };
  device.map({ kind: "io", name: "registers", base: gpa(0x10_000), size: PAGE, handler });
  expect([space.readU32(gpa(0x10_000)), space.writeU32(gpa(0x10_000), 9)]).toEqual([7, true]);
  expect(written).toEqual([9]);
  expect(device.regions.map(({ name }) => name)).toEqual(["ram", "registers"]);
  space[Symbol.dispose]();
});

test("each holder keeps the space, and the last one lets its memory go", async () => {
  const { space, memory } = guest();
  const one = await VirtAddressSpace.attach(space.descriptor({ scope: "thread" }), { name: "one" });
  // A holder passes it on as it was passed.
  const two = await VirtAddressSpace.attach(one.descriptor({ scope: "thread", holder: "two" }));
  space[Symbol.dispose]();
  expect([two.holders, memory.released]).toEqual([["one", "two"], false]);
  one[Symbol.dispose]();
  one[Symbol.dispose]();
  expect([two.holders, two.readU8(gpa(0)), memory.released]).toEqual([["two"], 0, false]);
  two[Symbol.dispose]();
  expect([two.released, memory.released]).toEqual([true, true]);
});

test("who attached it in another way passes on what it has", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(PAGE) });
  const attached = await VirtAddressSpace.attach(space.descriptor(), { name: "holder" });
  const beside = await VirtAddressSpace.attach(attached.descriptor({ scope: "thread", holder: "beside it" }));
  attached[Symbol.dispose]();
  beside.writeU32(gpa(0), 7);
  expect([beside.owned, beside.holders, space.readU32(gpa(0))]).toEqual([false, ["beside it"], 7]);
  beside[Symbol.dispose]();
  await expect.poll(() => space.holders).toEqual(["its creator"]);
});

test("a descriptor is good once, while the space is there, as the object that was issued", async () => {
  const { space } = guest();
  const taken = space.descriptor({ scope: "thread" });
  const late = space.descriptor({ scope: "thread" });
  using _holder = await VirtAddressSpace.attach(taken);
  expect(await codeOf(VirtAddressSpace.attach(taken))).toBe("already-attached");
  // What a clone, and with it another thread, makes of it.
  expect(await codeOf(VirtAddressSpace.attach(structuredClone(late)))).toBe("foreign-descriptor");
  expect(await codeOf(VirtAddressSpace.attach({ ...late } as ThreadDescriptor))).toBe("foreign-descriptor");
  space[Symbol.dispose]();
  _holder[Symbol.dispose]();
  expect(await codeOf(VirtAddressSpace.attach(late))).toBe("released");
  expect(() => space.descriptor({ scope: "thread" })).toThrow(/let go/);
});
