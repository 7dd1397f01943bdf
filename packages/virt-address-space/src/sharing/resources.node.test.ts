/** After the last dispose nothing is left that keeps a thread alive: ports, timers, workers. */
import { expect, test } from "vitest";
import { gpa, SharedNotifier, sharedMemory, VirtAddressSpace } from "../index.ts";
import { start } from "./node-worker-scenarios.ts";
import { Peer } from "./sharing-scenarios.ts";

/** What there is now that was not there before; the test's own runner has timers that come and go. */
function left(before: readonly string[]): string[] {
  const known = [...before];
  return process.getActiveResourcesInfo().filter((name) => {
    const at = known.indexOf(name);
    if (at >= 0) known.splice(at, 1);
    return at < 0 && name !== "Immediate";
  });
}

test("twenty lives of a space leave no port, no timer and no worker", async () => {
  const before = process.getActiveResourcesInfo();
  for (let life = 0; life < 20; life++) {
    const space = VirtAddressSpace.create({ name: `guest ${life}`, graceMilliseconds: 1000 });
    const ram = space.map({ name: "ram", base: gpa(0), memory: sharedMemory(0x1_0000) });
    const holder = await VirtAddressSpace.attach(space.descriptor(), { name: "here" });
    space.descriptor();
    const notifier = new SharedNotifier();
    notifier.subscribe(() => {});
    space.addDoorbell({ address: gpa(0x10_0000), length: 4, notifier });
    const log = space.dirtyLog("client");
    const worker = life % 5 === 0 ? new Peer(start()) : undefined;
    await worker?.attach(space.descriptor());
    const batch = life % 2 === 0 ? holder.batch() : undefined;
    const unmapped = space.unmap(ram);
    batch?.[Symbol.dispose]();
    if (life % 10 === 0) worker?.terminate();
    await unmapped.catch(() => {});
    const rest = [holder, space, log, notifier];
    for (const each of life % 2 === 0 ? rest : rest.reverse()) each[Symbol.dispose]();
    worker?.terminate();
    for (let i = 0; i < 400 && !space.released; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(space.released).toBe(true);
  }
  for (let i = 0; i < 400 && left(before).length > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(left(before).filter((name) => name !== "Timeout")).toEqual([]);
  expect(left(before).length).toBeLessThanOrEqual(1);
});
