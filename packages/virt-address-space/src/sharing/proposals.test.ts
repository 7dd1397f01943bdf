/** Changes of the map that a holder asks for; here the holder is in the owner's thread, which makes no difference to it. */
import { expect, test } from "vitest";
import { type Doorbell, gpa, LocalNotifier, SharedNotifier, sharedMemory, VirtAddressSpace } from "../index.ts";

async function attached(): Promise<{ space: VirtAddressSpace; holder: VirtAddressSpace }> {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(0x1_0000) });
  return { space, holder: await VirtAddressSpace.attach(space.descriptor(), { name: "holder" }) };
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(holds()).toBe(true);
}

test("a doorbell that a holder proposed has its number, and goes when it is disposed", async () => {
  const { space, holder } = await attached();
  const notifier = new SharedNotifier();
  const bell = await holder.propose((change) => change.addDoorbell({ address: gpa(0x10_0000), length: 4, notifier }));
  expect(holder.doorbells).toEqual([bell]);
  expect([bell.id, bell.notifier === notifier]).toEqual([space.doorbells[0]?.id, true]);
  bell[Symbol.dispose]();
  await until(() => space.doorbells.length === 0 && holder.doorbells.length === 0);
  bell[Symbol.dispose]();

  const second = await holder.propose((change) => change.addDoorbell({ address: gpa(0x10_0000), length: 4, notifier }));
  await holder.propose((change) => change.removeDoorbell(second));
  expect(space.doorbells).toEqual([]);
  // It is the holder's notifier still: the space did not dispose what it did not make.
  notifier.signal();
  expect(await notifier.waitAsync(1000)).toBe(1);
  for (const each of [notifier, holder, space]) each[Symbol.dispose]();
});

test("a body that is async is refused at once, in any thread, and harms nobody later", async () => {
  const { space, holder } = await attached();
  const late = async (change: { addDoorbell(spec: { address: never; length: 4; notifier: LocalNotifier }): Doorbell }): Promise<void> => {
    await Promise.resolve();
    change.addDoorbell({ address: gpa(0) as never, length: 4, notifier: new LocalNotifier() });
  };
  const refused = expect.objectContaining({ code: "invalid-argument", message: expect.stringContaining("promise") });
  expect(() => space.transaction(late as never)).toThrow(refused);
  await expect(holder.propose(late as never)).rejects.toEqual(refused);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(space.doorbells).toEqual([]);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("a holder whose link can't receive outside of the event loop is told so when it tries", async () => {
  const { space, holder } = await attached();
  expect(() => holder.quiesce()).toThrow(expect.objectContaining({ code: "unsupported" }));
  expect(space.quiesce()).toBe(true);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("what only looks like bytes is refused before anything is copied", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(4096) });
  const refused = expect.objectContaining({ code: "invalid-argument" });
  for (const bytes of ["text", new Uint16Array(4), new ArrayBuffer(8), [1, 2, 3]]) {
    expect(() => space.copyTo(gpa(0), bytes as never)).toThrow(refused);
    expect(() => space.copyFrom(gpa(0), bytes as never)).toThrow(refused);
  }
  expect(() => space.fill(gpa(0), 8, 300)).toThrow(refused);
  expect(() => space.atomicLoad(gpa(0), 4 as never)).toThrow(refused);
  expect(space.readBigU64(gpa(0))).toBe(0n);
});
