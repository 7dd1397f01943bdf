/** Buffers that a device had when its session ended: who comes after has them, and no others. */
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { gpa } from "@virtspace/virt-address-space";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EchoServer, Folder, FrontEnd, type FrontEndRing, layouts, openFds, until } from "../front-end-scenarios.ts";
import { VhostUserError } from "../index.ts";

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});
afterEach(() => folder[Symbol.dispose]());

/** What QEMU says of a ring whose back-end died: what the driver was shown, or, as nothing says that, the beginning. */
function baseAfterDeath(frontEnd: FrontEnd, { driver }: FrontEndRing, packed: boolean): number {
  return packed ? 0x8000_8000 : (frontEnd.space.readU16(gpa(driver.config(0).device + 2)) as number);
}

/** Has a device keep four buffers, and answer the second. */
async function keepFour(frontEnd: FrontEnd, server: EchoServer): Promise<void> {
  for (const byte of [11, 12]) expect(await frontEnd.echo([byte])).toEqual([byte]);
  server.device.kept = [];
  for (const byte of [1, 2, 3, 4]) frontEnd.offer([byte]);
  frontEnd.notify();
  await until("the device has them", () => server.device.kept?.length === 4);
  const [second] = server.device.kept.splice(1, 1);
  server.device.answer(second as never);
  expect(await frontEnd.returned(1)).toHaveLength(1);
}

describe.each(layouts)("%s", (name, features) => {
  const packed = name === "packed";

  test("the front-end keeps the table, and the next session goes on", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet({ features });
    frontEnd.addMemory();
    await frontEnd.tellMemory();
    const ask = { mmapSize: 0, mmapOffset: 0, queues: 4, queueSize: 16, tail: new Uint8Array(4) };
    const table = await frontEnd.ask("GET_INFLIGHT_FD", ask);
    const ring = frontEnd.addRing(0);
    await frontEnd.startRing(ring);
    await keepFour(frontEnd, server);
    await frontEnd.comeAgain(server.path);
    expect(await frontEnd.told("SET_INFLIGHT_FD", table, table.fds)).toBe(0);
    await frontEnd.startRing(ring, baseAfterDeath(frontEnd, ring, packed));
    expect(await frontEnd.returned(3)).toHaveLength(3);
    expect(server.device.served).toBe(3);
    expect(await frontEnd.echo([5])).toEqual([5]);
  });

  test("a front-end that keeps no table is served by a back-end that keeps one", async () => {
    const before = openFds();
    const journal = folder.at("rings");
    const path = folder.at("socket");
    const first = new EchoServer(path, { journal });
    using frontEnd = await FrontEnd.started(path, { features });
    await keepFour(frontEnd, first);
    expect(readdirSync(journal)).toHaveLength(1);
    first[Symbol.dispose]();
    expect(readdirSync(journal)).toHaveLength(1);
    using second = new EchoServer(path, { journal });
    await frontEnd.comeAgain(path);
    const ring = frontEnd.ring();
    await frontEnd.startRing(ring, baseAfterDeath(frontEnd, ring, packed));
    expect(await frontEnd.returned(3)).toHaveLength(3);
    expect(second.device.served).toBe(3);
    expect(await frontEnd.echo([5])).toEqual([5]);
    // Told where the ring stands, a front-end needs no file of ours.
    await frontEnd.stopRing(0);
    frontEnd[Symbol.dispose]();
    await until("it has left", () => second.server.guests.length === 0);
    expect(readdirSync(journal)).toEqual([]);
    second[Symbol.dispose]();
    expect([existsSync(journal), openFds()]).toEqual([false, before]);
  });

  test("a front-end that says twice where a ring stands, before it runs, is served as one that says it once", async () => {
    const journal = folder.at("rings");
    const path = folder.at("socket");
    const first = new EchoServer(path, { journal });
    using frontEnd = await FrontEnd.started(path, { features });
    await keepFour(frontEnd, first);
    first[Symbol.dispose]();
    using _second = new EchoServer(path, { journal });
    await frontEnd.comeAgain(path);
    frontEnd.request("SET_VRING_BASE", { index: 0, num: 1 });
    const ring = frontEnd.ring();
    await frontEnd.startRing(ring, baseAfterDeath(frontEnd, ring, packed));
    expect(await frontEnd.returned(3)).toHaveLength(3);
  });

  test("a table that comes while the device has buffers takes none of them away", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    await keepFour(frontEnd, server);
    const base = await frontEnd.stopRing(0);
    const ask = { mmapSize: 0, mmapOffset: 0, queues: 4, queueSize: 16, tail: new Uint8Array(4) };
    const table = await frontEnd.ask("GET_INFLIGHT_FD", ask);
    server.device.kept = undefined;
    await frontEnd.startRing(frontEnd.ring(), base);
    expect(await frontEnd.returned(3)).toHaveLength(3);
    for (const byte of [5, 6, 7]) expect(await frontEnd.echo([byte])).toEqual([byte]);
    // The table knows by now where the ring stands.
    await frontEnd.comeAgain(server.path);
    expect(await frontEnd.told("SET_INFLIGHT_FD", table, table.fds)).toBe(0);
    await frontEnd.startRing(frontEnd.ring(), packed ? base : baseAfterDeath(frontEnd, frontEnd.ring(), packed));
    expect(await frontEnd.echo([8])).toEqual([8]);
  });

  test("a ring that the front-end moved is where it says, whatever was written of it", async () => {
    using server = new EchoServer(folder.at("socket"), { journal: folder.at("rings") });
    using frontEnd = await FrontEnd.started(server.path, { features });
    for (const byte of [1, 2, 3]) expect(await frontEnd.echo([byte])).toEqual([byte]);
    await frontEnd.stopRing(0);
    // The guest's memory is as it was at the beginning: a snapshot was loaded.
    const ring = frontEnd.addRing(0);
    await frontEnd.startRing(ring);
    expect(await frontEnd.echo([4])).toEqual([4]);
  });

  test("a driver that begins anew while no back-end is there is not taken for the one before", async () => {
    const journal = folder.at("rings");
    const path = folder.at("socket");
    const first = new EchoServer(path, { journal });
    using frontEnd = await FrontEnd.started(path, { features });
    await keepFour(frontEnd, first);
    first[Symbol.dispose]();
    const ring = frontEnd.addRing(0);
    using second = new EchoServer(path, { journal });
    await frontEnd.comeAgain(path);
    await frontEnd.startRing(ring);
    expect(await frontEnd.echo([7])).toEqual([7]);
    expect(second.device.served).toBe(1);
  });

  test("a reset leaves nothing in the table", async () => {
    const journal = folder.at("rings");
    using server = new EchoServer(folder.at("socket"), { journal });
    using frontEnd = await FrontEnd.started(server.path, { features });
    await keepFour(frontEnd, server);
    expect(await frontEnd.told("RESET_DEVICE")).toBe(0);
    expect(readdirSync(journal)).toEqual([]);
    const ring = frontEnd.addRing(0);
    await frontEnd.startRing(ring);
    server.device.kept = undefined;
    expect(await frontEnd.echo([9])).toEqual([9]);
  });
});

test("files of front-ends that are gone are removed, and others' are not", () => {
  const journal = folder.at("rings");
  mkdirSync(journal, { mode: 0o700 });
  // No process has a number that high.
  for (const name of [`${2 ** 30}-1-2-0.ring`, `${process.pid}-1-2-0.ring`, "notes"]) writeFileSync(`${journal}/${name}`, "");
  using server = new EchoServer(folder.at("socket"), { journal });
  expect(readdirSync(journal).sort()).toEqual([`${process.pid}-1-2-0.ring`, "notes"]);
  server[Symbol.dispose]();
  expect(existsSync(journal)).toBe(true);
});

test("a directory that others can write to is refused", () => {
  const before = openFds();
  const open = folder.at("open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  const link = folder.at("link");
  symlinkSync(folder.at("elsewhere"), link);
  for (const journal of [open, link, folder.at("not/there")]) {
    let thrown: unknown;
    try {
      new EchoServer(folder.at("socket"), { journal })[Symbol.dispose]();
    } catch (error) {
      thrown = error;
    }
    expect(VhostUserError.is(thrown, "bad-journal"), journal).toBe(true);
  }
  expect(openFds()).toBe(before);
});
