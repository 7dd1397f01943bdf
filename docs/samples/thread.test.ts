/** The samples of "The 2009 thread". They run in Node and in a browser. */

// #region imports
import { arrayBufferMemory, gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";

// #endregion imports

test("the interface to program the object is a transaction, which a listener may refuse", () => {
  // #region program
  using space = VirtAddressSpace.create({ name: "guest" });
  const slots: string[] = [];
  space.listen({
    name: "hypervisor",
    removed: ({ region }) => void slots.splice(slots.indexOf(region.name), 1),
    added: ({ region }) => {
      if (slots.length === 2) throw new Error("there are two slots");
      slots.push(region.name);
    },
  });
  const { generation } = space.view();
  space.transaction((change) => {
    change.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
    change.map({ kind: "rom", name: "firmware", base: gpa(0xffff_0000), memory: sharedMemory(0x1_0000) });
  });
  expect([slots, space.view().generation]).toEqual([["ram", "firmware"], generation + 1]);

  const more = { name: "more", base: gpa(16 * MiB), memory: sharedMemory(MiB) };
  expect(() => space.map(more)).toThrow("there are two slots"); // and nothing has happened
  expect([slots, space.regions.length]).toEqual([["ram", "firmware"], 2]);
  // #endregion program
});

test("the memory stays until the last holder lets go", () => {
  // #region pinned
  const memory = sharedMemory(MiB);
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory });
  const module = space.bind({ name: "foo" });
  space[Symbol.dispose](); // whoever made it lets go
  expect([space.holders, memory.released]).toEqual([["foo"], false]);
  module.put();
  expect([space.released, memory.released]).toEqual([true, true]);
  // #endregion pinned
});

test("somebody in the same thread has it by a descriptor too", async () => {
  // #region beside
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(MiB) }); // memory that stays in its thread
  const descriptor = space.descriptor({ scope: "thread" });

  using device = await VirtAddressSpace.attach(descriptor, { name: "entropy" });
  device.writeU32(gpa(0x1000), 42);
  expect([space.readU32(gpa(0x1000)), space.holders]).toEqual([42, ["its creator", "entropy"]]);
  // #endregion beside
});

test("a window stands at the same guest address in the new place", async () => {
  // #region migration
  const here = VirtAddressSpace.create({ name: "here" });
  here.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const ring = here.vmap(gpa(0x1000), 4096);
  ring.u32[0] = 42;

  const log = here.dirtyLog("migration");
  await log.ready;
  log.harvest();
  ring.u32[1] = 43; // a plain store, which nobody saw: the window that is open counts as dirty
  expect(log.harvest()).toEqual([{ address: 0x1000, length: 4096 }]);

  const there = await VirtAddressSpace.restore([...here.save()], { memory: ({ size }) => sharedMemory(size) });
  const again = there.vmap(gpa(0x1000), 4096);
  expect([again.u32[0], again.u32[1]]).toEqual([42, 43]);
  // #endregion migration
  here[Symbol.dispose]();
  there[Symbol.dispose]();
});

test("each caller has a cache of its own", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "low", base: gpa(0), memory: sharedMemory(MiB) });
  space.map({ name: "high", base: gpa(0x1000_0000), memory: sharedMemory(MiB) });
  // #region cache
  const transmit = space.access();
  const receive = space.access();
  for (let i = 0; i < 1000; i++) {
    transmit.writeU32(gpa(4 * i), i); // stays in one region
    receive.writeU32(gpa(0x1000_0000 + 4 * i), i); // stays in another, and evicts nothing
  }
  expect([transmit.readU32(gpa(40)), receive.readU32(gpa(0x1000_0000 + 40))]).toEqual([10, 10]);
  // #endregion cache
});

test("memory that another thread can't reach says so", async () => {
  // #region elsewhere
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "engine's", base: gpa(0), memory: arrayBufferMemory(MiB) }); // it can't leave this thread
  expect(() => space.descriptor()).toThrow(expect.objectContaining({ code: "not-shareable" }));
  using other = await VirtAddressSpace.attach(space.descriptor({ opaque: true }), { name: "foo" });
  expect(other.tryVmap(gpa(0), 4096)).toMatchObject({ code: "elsewhere" });
  expect(other.readU32(gpa(0))).toBeUndefined();
  // #endregion elsewhere
});
