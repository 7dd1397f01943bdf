/** A front-end that keeps to the protocol: what it is served, whatever it changes meanwhile. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import { EventFd, Fd, Memfd, MemfdMemory, UnixListener, UnixSocket } from "@virtspace/host-linux";
import { Loopback, writeHeader } from "@virtspace/network";
import { gpa } from "@virtspace/virt-address-space";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  backendRequest,
  EchoDevice,
  EchoServer,
  Folder,
  FrontEnd,
  KeptLog,
  layouts,
  memfdMappings,
  memoryTable,
  openFds,
  SPLIT,
  settled,
  USER_BASE,
  until,
} from "../front-end-scenarios.ts";
import { ProtocolFeature, VhostUserServer } from "../index.ts";

const PAGE = 4096;
const MAC = 0x5254_0012_3456;
let fds = 0;
let mappings = 0;
let folder: Folder;
beforeEach(() => {
  // What is made once for all: the C library's door, and the block of sockets.
  for (const socket of UnixSocket.pair()) socket[Symbol.dispose]();
  folder = new Folder();
  fds = openFds();
  mappings = memfdMappings();
});
afterEach(async () => {
  await until("nothing is left", () => openFds() === fds && memfdMappings() === mappings, 1000).catch(() => {});
  expect([openFds(), memfdMappings()]).toEqual([fds, mappings]);
  folder[Symbol.dispose]();
});

/** Both ends of a pipe. */
function pipe(): [read: Fd, write: Fd] {
  const path = folder.at(`pipe ${Math.random()}`);
  execFileSync("mkfifo", [path]);
  const both = openSync(path, "r+");
  const read = new Fd(openSync(path, "r"));
  const write = new Fd(openSync(path, "w"));
  closeSync(both);
  return [read, write];
}

describe.each(layouts)("%s", (_, features) => {
  test("QEMU's order of messages ends in rings that are served", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.ask("GET_FEATURES");
    const offered = FeatureSet.fromBigInt((await frontEnd.ask("GET_PROTOCOL_FEATURES"))["value"] as bigint);
    expect([...offered]).toEqual(Object.values(ProtocolFeature).toSorted((a, b) => a - b));
    frontEnd.request("SET_PROTOCOL_FEATURES", { value: offered.toBigInt() });
    expect((await frontEnd.ask("GET_QUEUE_NUM"))["value"]).toBe(4n);
    expect((await frontEnd.ask("GET_MAX_MEM_SLOTS"))["value"]).toBe(509n);
    frontEnd.request("SET_OWNER");
    await frontEnd.ask("GET_FEATURES");
    using early = EventFd.create();
    for (const value of [0n, 1n]) {
      frontEnd.request("SET_VRING_CALL", { value }, [early]);
      frontEnd.request("SET_VRING_ERR", { value }, [early]);
    }
    frontEnd.request("SET_VRING_ENABLE", { index: 0, num: 1 });
    frontEnd.request("SET_VRING_ENABLE", { index: 0, num: 1 });
    frontEnd.setFeatures(features);
    const ram = frontEnd.addMemory();
    expect(await frontEnd.told("SET_MEM_TABLE", memoryTable([ram.payload]), [ram.file])).toBe(0);
    const { index, driver, kick, call } = frontEnd.addRing(0);
    // A buffer that was offered before the ring was started needs no kick.
    const answer = frontEnd.offer([1, 2, 3]);
    driver.publish();
    frontEnd.request("SET_VRING_NUM", { index, num: driver.size });
    frontEnd.request("SET_VRING_BASE", { index, num: frontEnd.freshBase });
    frontEnd.request("SET_VRING_ADDR", frontEnd.addresses(frontEnd.ring()));
    frontEnd.request("SET_VRING_KICK", { value: 0n }, [kick]);
    frontEnd.request("SET_VRING_CALL", { value: 0n }, [call]);
    await until("the buffer is back", () => frontEnd.back().length === 1);
    // Nobody hears the early one any more.
    expect([frontEnd.bytes(answer.address, 3), call.take() > 0]).toEqual([[1, 2, 3], true]);
    for (let i = 0; i < 50; i++) expect(await frontEnd.echo([i, 7])).toEqual([i, 7]);
    expect(server.log.lines).toEqual([]);
  });

  test("a ring that was stopped goes on where it stood, wherever that is", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features, size: 8 });
    const ring = frontEnd.ring();
    for (let i = 0; i < 40; i++) {
      expect(await frontEnd.echo([i])).toEqual([i]);
      const base = await frontEnd.stopRing(0);
      const meanwhile = frontEnd.offer([i, i]);
      frontEnd.notify();
      await settled();
      expect(frontEnd.back()).toEqual([]);
      await frontEnd.startRing(ring, base);
      await frontEnd.returned(1);
      expect(frontEnd.bytes(meanwhile.address, 2)).toEqual([i, i]);
    }
    expect(server.log.lines).toEqual([]);
  });

  test("a ring that goes on interrupts, for what was shown by a process that did not come to it", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features, size: 8 });
    const ring = frontEnd.ring();
    const base = await frontEnd.stopRing(0);
    ring.call.take();
    await frontEnd.startRing(ring, base);
    await until("an interrupt", () => ring.call.take() > 0);
  });

  test("a ring that was disabled goes on where it stood when it is enabled", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features, size: 4 });
    for (let i = 0; i < 20; i++) {
      expect(await frontEnd.echo([i])).toEqual([i]);
      expect(await frontEnd.told("SET_VRING_ENABLE", { index: 0, num: 0 })).toBe(0);
      const answer = frontEnd.offer([i, 1]);
      frontEnd.notify();
      if (i === 0) await settled();
      expect(frontEnd.back()).toEqual([]);
      expect(await frontEnd.told("SET_VRING_ENABLE", { index: 0, num: 1 })).toBe(0);
      await frontEnd.returned(1);
      expect(frontEnd.bytes(answer.address, 2)).toEqual([i, 1]);
    }
  });

  test("the memory table may be replaced while rings run, and nothing is lost", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features, rings: 2, size: 8 });
    let next = 0;
    const wanted: [number, number][] = [];
    const keepBusy = (): void => {
      for (const index of [0, 1]) {
        const answer = frontEnd.offer([++next & 0xff], index);
        wanted.push([answer.address, next & 0xff]);
        frontEnd.notify(index);
      }
    };
    for (let round = 0; round < 30; round++) {
      keepBusy();
      const more = round % 3 === 0 ? frontEnd.addMemory(0x1000_0000 + 0x10_0000 * round) : undefined;
      expect(await frontEnd.tellMemory()).toBe(0);
      keepBusy();
      if (more !== undefined) {
        frontEnd.dropMemory(more);
        expect(await frontEnd.tellMemory()).toBe(0);
      }
      for (const index of [0, 1]) expect(await frontEnd.returned(2, index)).toHaveLength(2);
      for (const [address, value] of wanted.splice(0)) expect(frontEnd.bytes(address, 1)).toEqual([value]);
    }
    expect([server.device.served, server.log.lines]).toEqual([120, []]);
  });

  test("the front-end may see its memory somewhere else from one table to the next", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    expect(await frontEnd.echo([1])).toEqual([1]);
    const [ram] = frontEnd.regions;
    // The addresses of the ring mean nothing in this table, until the next one.
    expect(await frontEnd.told("REM_MEM_REG", { ...ram?.payload })).toBe(0);
    const answer = frontEnd.offer([2]);
    frontEnd.notify();
    await settled();
    expect(frontEnd.back()).toEqual([]);
    expect(await frontEnd.told("ADD_MEM_REG", { ...ram?.payload }, [ram?.file as Fd])).toBe(0);
    await frontEnd.returned(1);
    expect([frontEnd.bytes(answer.address, 1), await frontEnd.echo([3])]).toEqual([[2], [3]]);
  });

  test("regions come and go one by one while rings run", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    for (let i = 0; i < 20; i++) {
      const answer = frontEnd.offer([i]);
      frontEnd.notify();
      const more = frontEnd.addMemory(0x1000_0000, 0x10_0000, USER_BASE + 0x1000_0000, i % 2 === 0 ? 0 : PAGE);
      expect(await frontEnd.told("ADD_MEM_REG", more.payload, [more.file])).toBe(0);
      // A buffer in the new memory.
      frontEnd.space.writeU8(gpa(0x1000_0000), i);
      frontEnd.ring().driver.add([{ address: gpa(0x1000_0000), length: 1 }], [{ address: gpa(0x1000_0800), length: 1 }]);
      frontEnd.notify();
      await frontEnd.returned(2);
      expect([frontEnd.bytes(answer.address, 1), frontEnd.bytes(0x1000_0800, 1)]).toEqual([[i], [i]]);
      // Some front-ends send a descriptor along, which is closed.
      expect(await frontEnd.told("REM_MEM_REG", { ...more.payload, mmapOffset: 0 }, i % 2 === 0 ? [] : [more.file])).toBe(0);
      frontEnd.dropMemory(more);
    }
    expect(server.log.lines).toEqual([]);
  });

  test("a region that was added once for each pair of queues stays until it was removed as often; a table says it once", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    const more = frontEnd.addMemory(0x1000_0000, 0x10_0000);
    const add = () => frontEnd.told("ADD_MEM_REG", more.payload, [more.file]);
    const remove = () => frontEnd.told("REM_MEM_REG", more.payload);
    expect([await add(), await add(), await remove(), await remove(), await remove()]).toEqual([0, 0, 0, 0, 1]);
    expect([await add(), await add()]).toEqual([0, 0]);
    await frontEnd.tellMemory();
    expect([await remove(), await remove()]).toEqual([0, 1]);
    expect(await frontEnd.echo([7])).toEqual([7]);
  });

  test("buffers that the device has are not lost when the table moves its ring", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    const { device } = server;
    device.kept = [];
    const answers = [1, 2, 3].map((value) => frontEnd.offer([value]));
    frontEnd.notify();
    await until("the device has them", () => device.kept?.length === 3);
    // The second is done first: the position alone does not say what is missing.
    const [, second] = device.kept;
    device.kept = undefined;
    device.answer(second as never);
    expect(await frontEnd.returned(1)).toHaveLength(1);
    const [ram] = frontEnd.regions;
    expect(await frontEnd.told("REM_MEM_REG", { ...ram?.payload })).toBe(0);
    expect(await frontEnd.told("ADD_MEM_REG", { ...ram?.payload }, [ram?.file as Fd])).toBe(0);
    expect(await frontEnd.returned(2)).toHaveLength(2);
    for (const [i, { address }] of answers.entries()) expect(frontEnd.bytes(address, 1)).toEqual([i + 1]);
    expect(await frontEnd.echo([9])).toEqual([9]);
  });

  test("buffers that the device has are not lost when their ring is ended and goes on", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    const { device } = server;
    device.kept = [];
    const answers = [1, 2, 3].map((value) => frontEnd.offer([value]));
    frontEnd.notify();
    await until("the device has them", () => device.kept?.length === 3);
    const [, second] = device.kept;
    device.answer(second as never);
    expect(await frontEnd.returned(1)).toHaveLength(1);
    device.kept = undefined;
    await frontEnd.startRing(frontEnd.ring(), await frontEnd.stopRing(0));
    expect(await frontEnd.returned(2)).toHaveLength(2);
    for (const [i, { address }] of answers.entries()) expect(frontEnd.bytes(address, 1)).toEqual([i + 1]);
    // A guest that begins anew is told nothing of them.
    device.kept = [];
    frontEnd.offer([4]);
    frontEnd.offer([5]);
    frontEnd.notify();
    await until("the device has them", () => device.kept?.length === 2);
    device.answer(device.kept[1] as never);
    device.kept = undefined;
    await frontEnd.stopRing(0);
    await frontEnd.startRing(frontEnd.addRing(0));
    expect(await frontEnd.echo([6])).toEqual([6]);
    expect(frontEnd.back()).toEqual([]);
  });

  test("a ring without a descriptor for kicks is looked at now and then, where messages were not agreed on", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet({ features, protocol: [ProtocolFeature.ReplyAck] });
    frontEnd.addMemory();
    await frontEnd.tellMemory();
    const ring = frontEnd.addRing(0);
    await frontEnd.startRing(ring);
    expect(await frontEnd.told("SET_VRING_KICK", { value: 0x100n })).toBe(0);
    for (let i = 0; i < 5; i++) {
      const answer = frontEnd.offer([i]);
      ring.driver.publish();
      await frontEnd.returned(1);
      expect(frontEnd.bytes(answer.address, 1)).toEqual([i]);
    }
    await frontEnd.stopRing(0);
    frontEnd.offer([9]);
    ring.driver.publish();
    await settled();
    expect(frontEnd.back()).toEqual([]);
  });

  test("rings may be told of before their memory", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet({ features });
    const ram = frontEnd.addMemory();
    await frontEnd.startRing(frontEnd.addRing(0));
    const answer = frontEnd.offer([5]);
    frontEnd.notify();
    await settled();
    expect(frontEnd.back()).toEqual([]);
    expect(await frontEnd.told("ADD_MEM_REG", ram.payload, [ram.file])).toBe(0);
    await frontEnd.returned(1);
    expect(frontEnd.bytes(answer.address, 1)).toEqual([5]);
  });

  test("descriptors for kicks and calls may be replaced while the ring runs", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features, size: 4 });
    const ring = frontEnd.ring();
    for (let i = 0; i < 12; i++) {
      expect(await frontEnd.echo([i])).toEqual([i]);
      ring.kick = frontEnd.keep(EventFd.create());
      ring.call = frontEnd.keep(EventFd.create());
      frontEnd.request("SET_VRING_KICK", { value: 0n }, [ring.kick]);
      expect(await frontEnd.told("SET_VRING_CALL", { value: 0n }, [ring.call])).toBe(0);
    }
  });

  test("kicks and calls go by messages where there are no descriptors", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet({ features });
    const channel = await frontEnd.giveChannel();
    frontEnd.addMemory();
    await frontEnd.tellMemory();
    const ring = frontEnd.addRing(1);
    frontEnd.request("SET_VRING_NUM", { index: 1, num: ring.driver.size });
    frontEnd.request("SET_VRING_BASE", { index: 1, num: frontEnd.freshBase });
    frontEnd.request("SET_VRING_ADDR", frontEnd.addresses(ring));
    frontEnd.request("SET_VRING_ENABLE", { index: 1, num: 1 });
    for (let i = 0; i < 5; i++) {
      const answer = frontEnd.offer([i], 1);
      ring.driver.publish();
      // The first one starts the ring: SET_VRING_KICK was never said.
      expect(await frontEnd.told("VRING_KICK", { index: 1, num: 0 })).toBe(0);
      const message = await channel.next();
      expect(message && backendRequest(message)).toEqual(["VRING_CALL", { index: 1, num: 0 }]);
      expect([frontEnd.back(1).length, frontEnd.bytes(answer.address, 1)]).toEqual([1, [i]]);
      ring.driver.wantInterrupts(true);
    }
    // Nonsense in the ring is told by message, too.
    frontEnd.space.fill(gpa(ring.driver.config(1).descriptors), 16 * ring.driver.size, 0xff);
    frontEnd.offer([1], 1);
    frontEnd.space.writeU32(gpa(ring.driver.config(1).descriptors + 16 * (5 % 16) + 8), 0);
    for (let slot = 0; slot < 16; slot++) frontEnd.space.writeU32(gpa(ring.driver.config(1).descriptors + 16 * slot + 8), 0);
    ring.driver.publish();
    frontEnd.request("VRING_KICK", { index: 1, num: 0 });
    const message = await channel.next();
    expect(message && backendRequest(message)).toEqual(["VRING_ERR", { index: 1, num: 0 }]);
  });

  test("pages that were written are in the log before the ring's end is answered, and in the new log once there is one", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path, { features });
    expect(await frontEnd.echo([1])).toEqual([1]);
    const log = async () => {
      const file = frontEnd.keep(Memfd.create(2 * PAGE, "log"));
      const memory = new MemfdMemory(file.duplicate(), { size: PAGE, offset: PAGE });
      frontEnd.keep(memory.retain());
      await frontEnd.ask("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: PAGE }, [file]);
      return () =>
        [...memory.bytes()].flatMap((byte, i) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => 8 * i + bit));
    };
    const first = await log();
    using told = EventFd.create();
    expect(await frontEnd.told("SET_LOG_FD", {}, [told])).toBe(0);
    expect(await frontEnd.echo([2])).toEqual([2]);
    await settled();
    expect(first()).toEqual([]);
    frontEnd.setFeatures(features, true);
    const used = features.has(VirtioFeature.RingPacked) ? [1] : [1];
    const answer = frontEnd.offer([3]);
    frontEnd.notify();
    await frontEnd.returned(1);
    const page = Math.floor(answer.address / PAGE);
    await until("the page is in the log", () => first().includes(page));
    expect(told.take()).toBeGreaterThan(0);
    expect(first()).toEqual([...used, page]);
    // While a kick is on its way the log is switched: what was written is in one of them.
    const both: number[] = [];
    const second = await log();
    for (let i = 0; i < 40; i++) {
      both.push(Math.floor(frontEnd.offer([i, 1]).address / PAGE));
      frontEnd.notify();
      await frontEnd.returned(1);
    }
    const base = await frontEnd.stopRing(0);
    const after = second();
    for (const each of both) expect([...first(), ...after]).toContain(each);
    expect(after).toEqual([...new Set([...used, ...both])].sort((a, b) => a - b));
    // No further update before the ring starts again; none at all once nothing is to be logged.
    await settled();
    expect(second()).toEqual(after);
    frontEnd.setFeatures(features);
    await frontEnd.startRing(frontEnd.ring(), base);
    const quiet = frontEnd.offer([1]);
    frontEnd.notify();
    await frontEnd.returned(1);
    expect(second().includes(Math.floor(quiet.address / PAGE))).toBe(both.includes(Math.floor(quiet.address / PAGE)));
  });

  test("a network card is served, in both directions", async () => {
    using server = new EchoServer(folder.at("socket"), { device: () => new VirtioNet({ backend: new Loopback(), mac: MAC }) });
    using frontEnd = await FrontEnd.started(server.path, { features, rings: 2 });
    const [receive, transmit] = [0, 1];
    for (let i = 0; i < 40; i++) {
      const room = frontEnd.buffer(512);
      frontEnd.ring(receive).driver.add([], [room]);
      frontEnd.notify(receive);
      const frame = new Uint8Array(60).fill(i);
      writeHeader(frame, MAC, MAC + 2, 0x88b5);
      frontEnd.ring(transmit).driver.add([frontEnd.buffer([...new Uint8Array(12), ...frame])], []);
      frontEnd.notify(transmit);
      const [got] = await frontEnd.returned(1, receive);
      expect([got?.written, frontEnd.bytes(room.address + 12, 60)]).toEqual([72, [...frame]]);
      await frontEnd.returned(1, transmit);
    }
    // What is sent while the ring is disabled is discarded, and given back.
    expect(await frontEnd.told("SET_VRING_ENABLE", { index: transmit, num: 0 })).toBe(0);
    frontEnd.ring(transmit).driver.add([frontEnd.buffer(72)], []);
    frontEnd.notify(transmit);
    await frontEnd.returned(1, transmit);
    expect(await frontEnd.told("SEND_RARP", { value: 0x5634_1200_5452n })).toBe(0);
    expect(server.log.lines).toEqual([]);
  });
});

test("a front-end without protocol features has its rings enabled from the start", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = FrontEnd.connect(server.path);
  frontEnd.request("SET_OWNER");
  frontEnd.request("SET_FEATURES", { value: SPLIT.toBigInt() });
  frontEnd.features = SPLIT;
  frontEnd.addMemory();
  await frontEnd.tellMemory();
  const ring = frontEnd.addRing(0);
  frontEnd.request("SET_VRING_NUM", { index: 0, num: 16 });
  frontEnd.request("SET_VRING_ADDR", frontEnd.addresses(ring));
  frontEnd.request("SET_VRING_KICK", { value: 0n }, [ring.kick]);
  frontEnd.request("SET_VRING_CALL", { value: 0n }, [ring.call]);
  expect(await frontEnd.echo([4])).toEqual([4]);
});

test("a table of memory may have room behind its regions, as User Mode Linux's has", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  const { payload, file } = frontEnd.regions[0] as (typeof frontEnd.regions)[0];
  const regions = new Uint8Array(2 * 32);
  regions.set(memoryTable([payload])["regions"] as Uint8Array);
  expect(await frontEnd.told("SET_MEM_TABLE", { count: 1, regions }, [file])).toBe(0);
  expect(await frontEnd.echo([1])).toEqual([1]);
});

test("a feature that is withheld is not offered, and not taken", async () => {
  using server = new EchoServer(folder.at("socket"), { withheld: FeatureSet.of(VirtioFeature.RingPacked) });
  using frontEnd = FrontEnd.connect(server.path);
  await frontEnd.greet();
  const offered = FeatureSet.fromBigInt((await frontEnd.ask("GET_FEATURES"))["value"] as bigint);
  expect([offered.has(VirtioFeature.RingPacked), offered.has(VirtioFeature.RingEventIdx)]).toEqual([false, true]);
  expect(await frontEnd.told("SET_FEATURES", { value: SPLIT.or(FeatureSet.of(VirtioFeature.RingPacked)).toBigInt() })).toBe(1);
  expect(await frontEnd.told("SET_FEATURES", { value: SPLIT.toBigInt() })).toBe(0);
});

test("a ring that looks for more takes a buffer that nobody notified of", async () => {
  expect(() => new EchoServer(folder.at("socket"), { pollMicroseconds: Number.NaN })).toThrow(/can't look for more/);
  using server = new EchoServer(folder.at("socket"), { pollMicroseconds: 1_000_000 });
  using frontEnd = await FrontEnd.started(server.path);
  expect(await frontEnd.echo([1])).toEqual([1]);
  const [guest] = server.server.guests;
  const kicks = guest?.runner.queue(0)?.counters.kicks;
  const answer = frontEnd.offer([2]);
  expect(frontEnd.ring().driver.publish()).toBe(false);
  await until("the buffer is back", () => frontEnd.back().length === 1);
  expect([frontEnd.bytes(answer.address, 1), guest?.runner.queue(0)?.counters.kicks]).toEqual([[2], kicks]);
});

test("what was used while another descriptor was a ring's for interrupts interrupts by the right one", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  const { call } = frontEnd.ring();
  // QEMU begins a ring with a descriptor that nobody hears, and says the right one in a later message.
  using early = EventFd.create();
  expect(await frontEnd.told("SET_VRING_CALL", { value: 0n }, [early])).toBe(0);
  call.take();
  frontEnd.offer([5]);
  frontEnd.notify();
  await until("the buffer is back", () => frontEnd.back().length === 1);
  expect([early.take() > 0, call.take()]).toEqual([true, 0]);
  expect(await frontEnd.told("SET_VRING_CALL", { value: 0n }, [call])).toBe(0);
  expect(call.take()).toBe(1);
});

test("who asks for a reply gets one, a number or the message's own, and never two", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = FrontEnd.connect(server.path);
  // Without REPLY_ACK the wish is passed over.
  frontEnd.request("SET_OWNER", {}, [], true);
  frontEnd.request("GET_FEATURES", {}, [], true);
  expect((await frontEnd.stream.next())?.id).toBe(1);
  await frontEnd.greet();
  expect(await frontEnd.told("SET_OWNER")).toBe(0);
  expect(await frontEnd.told("SET_VRING_ENABLE", { index: 9, num: 1 })).toBe(1);
  frontEnd.request("GET_FEATURES", {}, [], true);
  expect((await frontEnd.stream.next())?.id).toBe(1);
  await frontEnd.inStep();
});

test("configuration is read and written, and a change of it is told", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  const channel = await frontEnd.giveChannel();
  const { device } = server;
  device.config.data.setUint32(0, 0x0403_0201, true);
  const read = (offset: number, size: number) => frontEnd.ask("GET_CONFIG", { offset, size, flags: 0, bytes: new Uint8Array(size) });
  expect(await read(0, 6)).toMatchObject({ offset: 0, size: 6, bytes: Uint8Array.of(1, 2, 3, 4, 0, 0) });
  expect(await frontEnd.told("SET_CONFIG", { offset: 6, size: 4, flags: 0, bytes: Uint8Array.of(1, 2, 3, 4) })).toBe(0);
  expect(await frontEnd.told("SET_CONFIG", { offset: 6, size: 4, flags: 2, bytes: Uint8Array.of(9, 9, 9, 9) })).toBe(1);
  // The first two are not for the driver to write.
  expect(await read(6, 6)).toMatchObject({ bytes: Uint8Array.of(0, 0, 3, 4, 0, 0) });
  device.context?.configChanged();
  const message = await channel.next();
  expect(message && backendRequest(message)).toEqual(["CONFIG_CHANGE_MSG", {}]);
  // A configuration that is not there is an answer without a payload.
  frontEnd.request("GET_CONFIG", { offset: 0, size: 257, flags: 0, bytes: new Uint8Array(257) });
  expect(await frontEnd.stream.next()).toMatchObject({ id: 24, flags: 5, payload: new Uint8Array(0) });
});

test("a device that needs a reset says so by the error of each ring", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path, { rings: 2 });
  expect(frontEnd.rings.map(({ error }) => error.take())).toEqual([0, 0]);
  server.device.context?.needReset?.();
  expect(frontEnd.rings.map(({ error }) => error.take())).toEqual([1, 1]);
});

test("an address is announced, and an MTU taken where it can be", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  expect(await frontEnd.told("SEND_RARP", { value: 0x5634_1200_5452n })).toBe(0);
  expect(server.device.mac).toBe(0x5254_0012_3456);
  expect([await frontEnd.told("NET_SET_MTU", { value: 9000n }), await frontEnd.told("NET_SET_MTU", { value: 60n })]).toEqual([0, 1]);
  expect(await frontEnd.told("NET_SET_MTU", { value: 2n ** 64n - 1n })).toBe(1);
  expect(server.device.mtu).toBe(9000);
});

test("what a device can't do is not offered", async () => {
  class Plain extends EchoDevice {
    override sendRarp = undefined as never;
    override setMtu = undefined as never;
    override save = undefined as never;
  }
  using server = new EchoServer(folder.at("socket"), { device: () => new Plain() });
  using frontEnd = FrontEnd.connect(server.path);
  const offered = await frontEnd.greet();
  const { Rarp, NetMtu, DeviceState, ReplyAck } = ProtocolFeature;
  expect([Rarp, NetMtu, DeviceState, ReplyAck].map((bit) => offered.has(bit))).toEqual([false, false, false, true]);
});

test("a reset stops and disables all rings and keeps the memory; then they start anew", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path, { rings: 2 });
  expect(await frontEnd.echo([1])).toEqual([1]);
  expect(await frontEnd.told("RESET_DEVICE")).toBe(0);
  expect([server.device.resets, server.server.guests[0]?.session.rings.running]).toEqual([1, false]);
  const ring = frontEnd.addRing(0);
  frontEnd.request("SET_VRING_NUM", { index: 0, num: 16 });
  frontEnd.request("SET_VRING_BASE", { index: 0, num: 0 });
  frontEnd.request("SET_VRING_ADDR", frontEnd.addresses(ring));
  frontEnd.request("SET_VRING_CALL", { value: 0n }, [ring.call]);
  frontEnd.request("SET_VRING_KICK", { value: 0n }, [ring.kick]);
  frontEnd.offer([2]);
  frontEnd.notify();
  await frontEnd.inStep();
  await settled();
  expect(frontEnd.back()).toEqual([]);
  frontEnd.request("SET_VRING_ENABLE", { index: 0, num: 1 });
  expect(await frontEnd.returned(1)).toHaveLength(1);
});

test("RESET_OWNER stops rings and discards nothing that the front-end has told", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  expect(await frontEnd.echo([1])).toEqual([1]);
  expect(await frontEnd.told("RESET_OWNER")).toBe(0);
  frontEnd.offer([2]);
  frontEnd.notify();
  await settled();
  expect(frontEnd.back()).toEqual([]);
  expect(await frontEnd.told("SET_VRING_ENABLE", { index: 0, num: 1 })).toBe(0);
  expect(await frontEnd.returned(1)).toHaveLength(1);
});

test("the status is kept, and 0 stops all rings", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  frontEnd.request("SET_STATUS", { value: 15n });
  expect((await frontEnd.ask("GET_STATUS"))["value"]).toBe(15n);
  expect(await frontEnd.echo([1])).toEqual([1]);
  expect(await frontEnd.told("SET_STATUS", { value: 0n })).toBe(0);
  expect([server.device.resets, server.server.guests[0]?.session.rings.running]).toEqual([1, false]);
  // QEMU asks only then where the ring stood.
  expect(await frontEnd.stopRing(0)).toBe(1);
});

test("the status says that the device needs a reset once the driver has broken a ring, until it has one", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = await FrontEnd.started(server.path);
  frontEnd.request("SET_STATUS", { value: 15n });
  const ring = frontEnd.ring();
  frontEnd.offer([1]);
  for (let slot = 0; slot < 16; slot++) frontEnd.space.writeU32(gpa(ring.driver.config(0).descriptors + 16 * slot + 8), 0);
  frontEnd.notify();
  await until("the queue is lost", () => server.server.guests[0]?.runner.queue(0)?.running === false);
  expect((await frontEnd.ask("GET_STATUS"))["value"]).toBe(0x40n | 15n);
  expect(await frontEnd.told("SET_STATUS", { value: 0n })).toBe(0);
  expect((await frontEnd.ask("GET_STATUS"))["value"]).toBe(0n);
});

test("a table of buffers in flight is given, in QEMU's length and in the document's, and taken back", async () => {
  using server = new EchoServer(folder.at("socket"));
  using frontEnd = FrontEnd.connect(server.path);
  await frontEnd.greet();
  for (const tail of [4, 0]) {
    const asked = { mmapSize: 0, mmapOffset: 0, queues: 4, queueSize: 256, tail: new Uint8Array(tail) };
    const given = await frontEnd.ask("GET_INFLIGHT_FD", asked);
    expect(given).toMatchObject({ queues: 4, queueSize: 256, mmapOffset: 0, tail: new Uint8Array(tail) });
    expect([given.fds.length, (given["mmapSize"] as number) >= 4 * 256 * 16]).toEqual([1, true]);
    expect(await frontEnd.told("SET_INFLIGHT_FD", given, given.fds)).toBe(0);
  }
});

describe("a device's state", () => {
  test("goes through a pipe to another session", async () => {
    using server = new EchoServer(folder.at("socket"));
    using one = FrontEnd.connect(server.path);
    await one.greet();
    // More than a pipe has room for.
    server.device.memo = "remember ".repeat(40_000);
    const { memo } = server.device;
    const [read, write] = pipe();
    expect(await one.ask("SET_DEVICE_STATE_FD", { direction: 0, phase: 0 }, [write])).toMatchObject({ value: 0x100n });
    write[Symbol.dispose]();
    using two = FrontEnd.connect(server.path);
    await two.greet();
    await until("the second device", () => server.devices.length === 2);
    await two.ask("SET_DEVICE_STATE_FD", { direction: 1, phase: 0 }, [read]);
    read[Symbol.dispose]();
    expect(await one.ask("CHECK_DEVICE_STATE")).toMatchObject({ value: 0n });
    expect(await two.ask("CHECK_DEVICE_STATE")).toMatchObject({ value: 0n });
    expect(server.device.memo === memo).toBe(true);
  });

  test("messages behind the question wait for its answer", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet();
    const [read, write] = pipe();
    await frontEnd.ask("SET_DEVICE_STATE_FD", { direction: 1, phase: 0 }, [read]);
    read[Symbol.dispose]();
    frontEnd.request("CHECK_DEVICE_STATE");
    frontEnd.request("GET_FEATURES");
    await settled();
    expect(frontEnd.stream.socket.receive(new Uint8Array(1))).toBeUndefined();
    writeFileSync(write.number, JSON.stringify({ name: "echo", state: "here" }));
    write[Symbol.dispose]();
    expect([(await frontEnd.stream.next())?.id, (await frontEnd.stream.next())?.id, server.device.memo]).toEqual([43, 1, "here"]);
  });

  test("that makes no sense changes nothing, and the answer says so", async () => {
    using server = new EchoServer(folder.at("socket"));
    using frontEnd = FrontEnd.connect(server.path);
    await frontEnd.greet();
    expect(await frontEnd.ask("CHECK_DEVICE_STATE")).toMatchObject({ value: 1n });
    for (const text of ["", "{", "null", "[]", '{"name":"echo","state":7}', "x".repeat(100_000)]) {
      const [read, write] = pipe();
      await frontEnd.ask("SET_DEVICE_STATE_FD", { direction: 1, phase: 0 }, [read]);
      read[Symbol.dispose]();
      const answer = frontEnd.ask("CHECK_DEVICE_STATE");
      await writeAll(write, text);
      write[Symbol.dispose]();
      expect(await answer).toMatchObject({ value: 1n });
    }
    expect(server.device.memo).toBe("fresh");
    // A pipe that nobody reads any more.
    const [read, write] = pipe();
    read[Symbol.dispose]();
    expect(await frontEnd.ask("SET_DEVICE_STATE_FD", { direction: 0, phase: 0 }, [write])).toMatchObject({ value: 0x101n });
    write[Symbol.dispose]();
    expect(await frontEnd.ask("CHECK_DEVICE_STATE")).toMatchObject({ value: 1n });
  });
});

describe("a server", () => {
  test("serves several front-ends, and one that is gone takes nobody along", async () => {
    using server = new EchoServer(folder.at("socket"));
    const frontEnds: FrontEnd[] = [];
    for (let i = 0; i < 5; i++) frontEnds.push(await FrontEnd.started(server.path));
    expect(server.server.guests.map(({ number, pid }) => [number, pid])).toEqual([1, 2, 3, 4, 5].map((number) => [number, process.pid]));
    const gone = frontEnds.splice(2, 1)[0] as FrontEnd;
    gone.offer([1]);
    gone.notify();
    gone[Symbol.dispose]();
    for (const [i, frontEnd] of frontEnds.entries()) expect(await frontEnd.echo([i])).toEqual([i]);
    await until("it has left", () => server.left.length === 1);
    expect([server.left, server.devices.map(({ disposed }) => disposed), server.server.guests.length]).toEqual([
      [undefined],
      [0, 0, 1, 0, 0],
      4,
    ]);
    for (const frontEnd of frontEnds) frontEnd[Symbol.dispose]();
    await until("all have left", () => server.left.length === 5);
  });

  test("outlives a front-end that is killed in the middle of a message", async () => {
    using server = new EchoServer(folder.at("socket"));
    using other = await FrontEnd.started(server.path);
    const script = `require("node:net").connect(process.argv[1]).write(Buffer.from([1, 0, 0, 0, 1]), () => process.kill(process.pid, "SIGKILL"))`;
    expect(() => execFileSync(process.execPath, ["-e", script, server.path], { stdio: "ignore", timeout: 5000 })).toThrow();
    await until("it has left", () => server.left.length === 1);
    expect([server.left, await other.echo([1])]).toEqual([["cut-off"], [1]]);
  });

  test("whose end it is closes all connections and gives its path back", async () => {
    const server = new EchoServer(folder.at("socket"));
    using frontEnd = await FrontEnd.started(server.path);
    server[Symbol.dispose]();
    server[Symbol.dispose]();
    await frontEnd.closed();
    expect([server.device.disposed, server.left, server.server.guests]).toEqual([1, [undefined], []]);
    expect(() => statSync(server.path)).toThrow(/ENOENT/);
  });

  test("is its user's alone, and a live one's path is not stolen", async () => {
    using server = new EchoServer(folder.at("socket"));
    expect(statSync(server.path).mode & 0o777).toBe(0o600);
    expect(() => new EchoServer(server.path)).toThrow(expect.objectContaining({ code: "socket-in-use" }));
    using frontEnd = await FrontEnd.started(server.path);
    expect(await frontEnd.echo([1])).toEqual([1]);
  });

  test("refuses the processes of others", async () => {
    using server = new EchoServer(folder.at("socket"), { uid: (process.getuid?.() ?? 0) + 1 });
    using refused = FrontEnd.connect(server.path);
    await refused.closed();
    expect([server.devices.length, server.log.lines.length]).toEqual([0, 1]);
    using other = new EchoServer(folder.at("other"), { uid: process.getuid?.() ?? 0 });
    using served = await FrontEnd.started(other.path);
    expect(await served.echo([1])).toEqual([1]);
  });

  test("goes to where a front-end listens, again and again", async () => {
    const devices: EchoDevice[] = [];
    const make = () => {
      const device = new EchoDevice();
      devices.push(device);
      return device;
    };
    const path = folder.at("socket");
    using server = VhostUserServer.connect({ path, device: make, retryMilliseconds: 5 });
    await settled();
    for (let i = 1; i <= 3; i++) {
      using listener = UnixListener.listen(path);
      let socket: UnixSocket | undefined;
      await until("the back-end comes", () => {
        socket ??= listener.accept();
        return socket !== undefined;
      });
      using frontEnd = new FrontEnd(socket as UnixSocket);
      await frontEnd.greet();
      frontEnd.addMemory();
      await frontEnd.tellMemory();
      await frontEnd.startRing(frontEnd.addRing(0));
      expect([await frontEnd.echo([i]), devices.length]).toEqual([[i], i]);
      listener[Symbol.dispose]();
    }
    await until("it has seen that", () => server.guests.length === 0);
  });

  test("goes again to a front-end whose user it refused", async () => {
    const path = folder.at("socket");
    using listener = UnixListener.listen(path);
    const log = new KeptLog();
    using _ = VhostUserServer.connect({ path, device: () => new EchoDevice(), retryMilliseconds: 5, uid: 12345, log });
    await until("two were refused", () => log.lines.length >= 2);
    for (let socket = listener.accept(); socket !== undefined; socket = listener.accept()) socket[Symbol.dispose]();
  });

  test("whose device can't be made says so, and goes on", async () => {
    let works = false;
    const log = new KeptLog();
    using server = VhostUserServer.listen({
      path: folder.at("socket"),
      log,
      device: () => {
        if (!works) throw new Error("no backend");
        return new EchoDevice();
      },
    });
    using refused = FrontEnd.connect(folder.at("socket"));
    await refused.closed();
    works = true;
    using frontEnd = await FrontEnd.started(folder.at("socket"));
    expect([await frontEnd.echo([1]), log.lines.length, server.guests.length]).toEqual([[1], 1, 1]);
  });
});

/** Writes as much as there is room for, turn after turn. */
async function writeAll(fd: Fd, text: string): Promise<void> {
  fd.setNonBlocking();
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd.number, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await settled();
    }
  }
}
