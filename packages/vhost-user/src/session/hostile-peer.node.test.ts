/**
 * Front-ends that mean harm: each row is a class of fault that hit a real implementation. Whatever one does, the process lives, the
 * others are served, and nothing of it is left once it is gone.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { EventFd, Fd, Memfd, UnixListener, UnixSocket } from "@virtspace/host-linux";
import { gpa } from "@virtspace/virt-address-space";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  EchoServer,
  Folder,
  FrontEnd,
  layouts,
  memfdMappings,
  memoryTable,
  openFds,
  RAM_BYTES,
  SPLIT,
  settled,
  USER_BASE,
  until,
} from "../front-end-scenarios.ts";
import { encodeRequest } from "../protocol/message-codec.ts";
import { REQUESTS, type RequestName } from "../protocol/message-table.ts";

const PAGE = 4096;
const HOLE = 0x4000_0000_0000;
const TiB = 2 ** 40;
const thrown: unknown[] = [];
const catcher = (error: unknown): void => void thrown.push(error);
let fds = 0;
let mappings = 0;
let folder: Folder;
let server: EchoServer;
/** Somebody else's front-end, which keeps to the protocol. */
let bystander: FrontEnd;
beforeEach(async () => {
  for (const socket of UnixSocket.pair()) socket[Symbol.dispose]();
  folder = new Folder();
  thrown.length = 0;
  process.on("uncaughtException", catcher);
  process.on("unhandledRejection", catcher);
  fds = openFds();
  mappings = memfdMappings();
  server = new EchoServer(folder.at("socket"));
  bystander = await FrontEnd.started(server.path);
  expect(await bystander.echo([1])).toEqual([1]);
});
afterEach(async () => {
  expect(await bystander.echo([2, 3])).toEqual([2, 3]);
  bystander[Symbol.dispose]();
  await until("all are gone", () => server.server.guests.length === 0);
  // Nothing waits for the server's own end: a session that is over has left nothing.
  expect([openFds(), memfdMappings()]).toEqual([fds + 1, mappings]);
  server[Symbol.dispose]();
  expect([openFds(), memfdMappings()]).toEqual([fds, mappings]);
  folder[Symbol.dispose]();
  await settled();
  process.off("uncaughtException", catcher);
  process.off("unhandledRejection", catcher);
  expect(thrown).toEqual([]);
});

/** A front-end that has said hello. */
async function greeted(protocol?: readonly number[]): Promise<FrontEnd> {
  const peer = FrontEnd.connect(server.path);
  await peer.greet(protocol === undefined ? {} : { protocol });
  return peer;
}

/** Sends something, after which the session is over. @returns why, as its owner was told */
async function cutOff(peer: FrontEnd, send: () => void): Promise<string | undefined> {
  const before = server.left.length;
  send();
  await peer.closed();
  await until("the owner was told", () => server.left.length > before);
  return server.left.at(-1);
}

/** A header, and as many bytes as it says or others. */
function message(id: number, flags: number, size: number, bytes: number = size): Uint8Array {
  const all = new Uint8Array(12 + bytes);
  const view = new DataView(all.buffer);
  view.setUint32(0, id, true);
  view.setUint32(4, flags, true);
  view.setUint32(8, size, true);
  return all;
}

/** A description of a ring, of which something is wrong. */
const addresses = (peer: FrontEnd, wrong: Readonly<Record<string, unknown>>) => ({ ...peer.addresses(peer.ring()), ...wrong });

describe("messages", () => {
  test.each([
    ["of version 0", "bad-header", () => message(1, 0, 0)],
    ["of version 2", "bad-header", () => message(1, 2, 0)],
    ["that are replies", "bad-header", () => message(1, 5, 0)],
    ["with flags of a later version", "bad-header", () => message(1, 0x11, 0)],
    ["with more payload than any has", "bad-header", () => message(1, 1, 4097)],
    ["with 4 GiB of payload", "bad-header", () => message(5, 1, 0xffff_ffff, 0)],
    ["that nobody knows", "unknown-request", () => message(99, 1, 0)],
    ["with number 0", "unknown-request", () => message(0, 1, 0)],
    ["with number 2^32 - 1", "unknown-request", () => message(0xffff_ffff, 9, 0)],
    ["whose feature is not there (IOTLB)", "unknown-request", () => message(22, 9, 8)],
    ["with a payload where there is none", "bad-payload", () => message(1, 1, 8)],
    ["without a payload where there is one", "bad-payload", () => message(8, 1, 0)],
    ["with too short a payload", "bad-payload", () => message(8, 1, 7)],
    ["with too long a payload", "bad-payload", () => message(9, 1, 48)],
    ["that are a table of no header", "bad-payload", () => message(5, 1, 4)],
  ])("%s end the session", async (_, code, bytes) => {
    using peer = await greeted();
    expect(await cutOff(peer, () => peer.send(bytes()))).toBe(code);
  });

  test.each(Object.keys(REQUESTS) as RequestName[])("%s with every wrong length ends the session, or is refused", async (name) => {
    for (const size of [0, 1, 4, 7, 9, 12, 20, 24, 39, 64, 300, 4096]) {
      using peer = await greeted();
      peer.send(message(REQUESTS[name].id, 9, size));
      peer.stream.socket.shutdown();
      await peer.closed();
    }
  });

  test("that end in the middle, at every byte, end the session", async () => {
    const whole = encodeRequest("SET_VRING_NUM", { index: 0, num: 8 });
    for (let length = 1; length < whole.length; length++) {
      using peer = await greeted();
      using eventFd = EventFd.create();
      await peer.inStep();
      const before = server.left.length;
      peer.send(whole.subarray(0, length), [eventFd]);
      peer[Symbol.dispose]();
      await until("it has left", () => server.left.length > before);
      expect(server.left.at(-1)).toBe("cut-off");
    }
  });

  test("that come byte by byte are messages all the same", async () => {
    using peer = await greeted();
    for (const byte of encodeRequest("GET_FEATURES")) {
      peer.send(Uint8Array.of(byte));
      await settled();
    }
    expect((await peer.stream.next())?.id).toBe(1);
  });

  test.each(
    (Object.entries(REQUESTS) as [RequestName, { owned?: boolean; id: number }][]).flatMap(([name, { owned }]) => (owned ? [name] : [])),
  )("%s before SET_OWNER is refused", async (name) => {
    using peer = FrontEnd.connect(server.path);
    const offered = (await peer.ask("GET_PROTOCOL_FEATURES"))["value"];
    peer.request("SET_PROTOCOL_FEATURES", { value: offered });
    using eventFd = EventFd.create();
    const kind = REQUESTS[name] as { fds?: readonly [number, number] };
    const payload = { index: 0, num: 1, value: 0n, count: 0, regions: new Uint8Array(0), guestAddress: 0, size: 1, userAddress: 0 };
    const more = { mmapOffset: 0, mmapSize: PAGE, flags: 0, descriptors: 0, available: 0, used: 0, log: 0 };
    const before = server.left.length;
    peer.request(name, { ...payload, ...more }, kind.fds?.[0] === 1 ? [eventFd] : [], true);
    const answer = await peer.stream.next();
    if (answer !== undefined) expect(answer.payload[0]).toBe(1);
    else expect([server.left.length, server.left.at(-1)]).toEqual([before + 1, "out-of-order"]);
  });

  test("whose protocol feature was not agreed on are refused", async () => {
    using peer = await greeted([]);
    expect(await cutOff(peer, () => peer.request("GET_QUEUE_NUM"))).toBe("not-negotiated");
    using other = await greeted([]);
    expect(await cutOff(other, () => other.request("VRING_KICK", { index: 0, num: 0 }))).toBe("not-negotiated");
  });

  test("that ask for features that were not offered are refused", async () => {
    using peer = await greeted();
    expect(await peer.told("SET_FEATURES", { value: 2n ** 63n })).toBe(1);
    expect(await peer.told("SET_PROTOCOL_FEATURES", { value: 2n ** 63n })).toBe(1);
    expect(await peer.told("SET_PROTOCOL_FEATURES", { value: 1n << 10n })).toBe(1);
  });

  test("without end, whose answers nobody reads, end the session", async () => {
    using peer = await greeted();
    const question = encodeRequest("GET_CONFIG", { offset: 0, size: 256, flags: 0, bytes: new Uint8Array(256) });
    const before = server.left.length;
    await until("it was cut off", () => {
      for (let i = 0; i < 100; i++) peer.send(question);
      return server.left.length > before;
    });
    expect(server.left.at(-1)).toBe("cut-off");
  });

  test("without end starve nobody, and fill no log", async () => {
    using peer = await greeted();
    const bad = encodeRequest("SET_VRING_NUM", { index: 77, num: 8 }, true);
    let sent = 0;
    const flood = setInterval(() => {
      for (let i = 0; i < 500; i++) if (peer.send(bad) === bad.length) sent++;
      for (let got = peer.stream.socket.receive(new Uint8Array(65_536)); got !== undefined && got.length > 0; )
        got = peer.stream.socket.receive(new Uint8Array(65_536));
    }, 0);
    const start = performance.now();
    for (let i = 0; i < 50; i++) expect(await bystander.echo([i])).toEqual([i]);
    clearInterval(flood);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect([sent > 1000, server.log.lines.filter((line) => line.includes("SET_VRING_NUM")).length]).toEqual([true, 1]);
  });
});

describe("file descriptors", () => {
  test.each(Object.keys(REQUESTS) as RequestName[])(
    "CVE-2022-0669, CVE-2019-14818: %s with 0 to 8 of them, wanted or not, leaves none behind",
    async (name) => {
      using eventFd = EventFd.create();
      for (const count of [0, 1, 2, 8]) {
        using peer = await greeted();
        const payload = { index: 0, num: 1, value: 0n, count: 0, regions: new Uint8Array(0), guestAddress: 0, size: 1, userAddress: 0 };
        const more = { mmapOffset: 0, mmapSize: PAGE, flags: 0, descriptors: 0, available: 0, used: 0, log: 0, offset: 0, queues: 1 };
        const rest = { bytes: new Uint8Array(1), queueSize: 1, tail: new Uint8Array(4), direction: 0, phase: 0 };
        for (let i = 0; i < 3; i++) peer.request(name, { ...payload, ...more, ...rest }, new Array(count).fill(eventFd), true);
        peer.stream.socket.shutdown();
        await peer.closed();
      }
    },
  );

  test.each([9, 64, 253])("%i with one message end the session", async (count) => {
    using peer = await greeted();
    using eventFd = EventFd.create();
    expect(await cutOff(peer, () => peer.request("SET_MEM_TABLE", memoryTable([]), new Array(count).fill(eventFd)))).toBe("bad-fds");
  });

  test("that come with each byte of a message end the session", async () => {
    using peer = await greeted();
    using eventFd = EventFd.create();
    const bytes = encodeRequest("SET_VRING_NUM", { index: 0, num: 8 });
    expect(
      await cutOff(peer, () => {
        for (const byte of bytes) peer.send(Uint8Array.of(byte), [eventFd]);
      }),
    ).toBe("bad-fds");
  });

  test.each(["SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR"] as const)(
    "CVE-2019-14818: %s for rings that are not there, and again and again for one that is, keeps one",
    async (name) => {
      using peer = await greeted();
      using eventFd = EventFd.create();
      await peer.inStep();
      const before = openFds();
      for (const value of [4n, 200n, 255n]) expect(await peer.told(name, { value }, [eventFd])).toBe(1);
      // A number that has more in it than a ring and a flag; a descriptor that is said not to be there, and is; one that is not.
      for (const value of [0x200n, 2n ** 63n, 0x100n]) expect(await peer.told(name, { value }, [eventFd])).toBe(1);
      expect(await peer.told(name, { value: 0n })).toBe(1);
      expect(openFds()).toBe(before);
      for (let i = 0; i < 20; i++) expect(await peer.told(name, { value: 0n }, [eventFd])).toBe(0);
      expect(openFds()).toBe(before + 1);
      expect(await peer.told(name, { value: 0x100n })).toBe(0);
      expect(openFds()).toBe(before);
    },
  );

  test("of other types are no kick, call or error: pipes, sockets, files, folders, and what is only a path", async () => {
    using peer = await FrontEnd.started(server.path);
    expect(await peer.echo([1])).toEqual([1]);
    using stack = new DisposableStack();
    const wrong = await wrongFds(stack);
    for (const [what, fd] of wrong) {
      for (const name of ["SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR"] as const) {
        expect([what, name, await peer.told(name, { value: 0n }, [fd])]).toEqual([what, name, 1]);
      }
    }
    // What was there before is there still.
    expect(await peer.echo([2])).toEqual([2]);
    await settled();
    expect(await peer.echo([3])).toEqual([3]);
  });

  test("of other types are no memory, no log, no channel, no state and no table of what is in flight", async () => {
    using peer = await greeted();
    using stack = new DisposableStack();
    const region = { guestAddress: 0, size: PAGE, userAddress: USER_BASE, mmapOffset: 0 };
    for (const [, fd] of await wrongFds(stack)) {
      expect(await peer.told("SET_MEM_TABLE", memoryTable([region]), [fd])).toBe(1);
      expect(await peer.told("ADD_MEM_REG", region, [fd])).toBe(1);
      await peer.told("SET_BACKEND_REQ_FD", {}, [fd]);
      const inflight = { mmapSize: PAGE * 4, mmapOffset: 0, queues: 1, queueSize: 16, tail: new Uint8Array(4) };
      await peer.told("SET_INFLIGHT_FD", inflight, [fd]);
      for (const direction of [0, 1, 2, 0xffff_ffff]) {
        const answer = await peer.ask("SET_DEVICE_STATE_FD", { direction, phase: direction === 2 ? 0 : 1 }, [fd]);
        expect(answer["value"]).toBe(0x101n);
      }
    }
    for (const [what, fd] of await wrongFds(stack)) {
      using other = await greeted();
      other.setFeatures(SPLIT, true);
      const code = await cutOff(other, () => other.request("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: 0 }, [fd]));
      expect([what, code]).toEqual([what, "bad-memory"]);
    }
  });

  test("a kick or a call whose other end is gone costs nothing", async () => {
    using peer = await FrontEnd.started(server.path);
    const ring = peer.ring();
    peer.offer([1]);
    peer.notify();
    ring.kick[Symbol.dispose]();
    ring.call[Symbol.dispose]();
    ring.error[Symbol.dispose]();
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(peer.back()).toHaveLength(1);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(150);
  });

  test("there are none left for those who come: nobody is taken until there are some", async () => {
    const limit = (soft: string): void => void execFileSync("prlimit", ["--pid", `${process.pid}`, `--nofile=${soft}:`]);
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) as RegExpExecArray;
    // Descriptors of this moment, with room for what the test itself opens.
    limit(`${openFds() + 200}`);
    const fill: EventFd[] = [];
    let peer: FrontEnd | undefined;
    try {
      try {
        for (;;) fill.push(EventFd.create());
      } catch {
        fill.pop()?.[Symbol.dispose]();
      }
      peer = FrontEnd.connect(server.path);
      peer.request("GET_FEATURES");
      await settled();
      expect(server.devices.length).toBe(1);
      expect(await bystander.echo([1])).toEqual([1]);
    } finally {
      for (const each of fill) each[Symbol.dispose]();
      limit(soft as string);
    }
    expect((await peer.stream.next())?.id).toBe(1);
    peer[Symbol.dispose]();
    expect(server.log.lines.filter((line) => line.startsWith("error"))).toHaveLength(1);
  });
});

describe("memory", () => {
  const region = { guestAddress: 0, size: 4 * PAGE, userAddress: USER_BASE, mmapOffset: 0 };
  type Region = typeof region;

  test.each<[string, Region[]]>([
    ["of no bytes", [{ ...region, size: 0 }]],
    ["of 2^64 - 2048 bytes", [{ ...region, size: 2 ** 64 - 2048 }]],
    ["longer than its file", [{ ...region, size: 65 * PAGE }]],
    ["that ends past its file", [{ ...region, mmapOffset: 61 * PAGE }]],
    ["whose offset wraps", [{ ...region, mmapOffset: 2 ** 64 - 4096 }]],
    ["whose offset is no page's", [{ ...region, mmapOffset: 1 }]],
    ["past all addresses of a guest", [{ ...region, guestAddress: 2 ** 52 }]],
    ["that wraps the guest's addresses", [{ ...region, guestAddress: 2 ** 64 - 8192 }]],
    ["that wraps the peer's addresses", [{ ...region, userAddress: 2 ** 64 - 8192 }]],
    ["that overlaps for the guest", [region, { ...region, guestAddress: 3 * PAGE, userAddress: 2 * USER_BASE }]],
    ["that overlaps for the peer", [region, { ...region, guestAddress: 8 * PAGE, userAddress: USER_BASE + PAGE }]],
    ["twice the same", [region, region]],
  ])("%s is refused, and the map stays as it was", async (_, regions) => {
    using peer = await FrontEnd.started(server.path);
    const before = [openFds(), memfdMappings()];
    using file = Memfd.create(64 * PAGE);
    const files = regions.map(() => file);
    expect(await peer.told("SET_MEM_TABLE", memoryTable(regions), files)).toBe(1);
    // One by one, beside the memory that is there; the last one is the bad one.
    const elsewhere = regions.map((each) => ({ ...each, guestAddress: each.guestAddress + TiB, userAddress: each.userAddress + TiB }));
    for (const [i, each] of elsewhere.entries()) {
      if (each.guestAddress > 2 ** 53 || each.userAddress > 2 ** 53) continue;
      const answer = await peer.told("ADD_MEM_REG", each, [file]);
      if (regions.length === 1) expect(answer).toBe(1);
      else if (i === 0) expect(await peer.told("REM_MEM_REG", each)).toBe(0);
      else if (answer === 0) expect(await peer.told("REM_MEM_REG", each)).toBe(0);
    }
    expect([openFds() - 1, memfdMappings()]).toEqual(before);
    expect(await peer.echo([1, 2])).toEqual([1, 2]);
  });

  test("tables of fewer regions than they say, of pieces of them, or of another number of descriptors, are refused", async () => {
    using peer = await FrontEnd.started(server.path);
    using file = Memfd.create(64 * PAGE);
    const regions = memoryTable([region])["regions"] as Uint8Array;
    expect(await peer.told("SET_MEM_TABLE", { count: 2, regions }, [file, file])).toBe(1);
    expect(await peer.told("SET_MEM_TABLE", { count: 1, regions: regions.subarray(1) }, [file])).toBe(1);
    expect(await peer.told("SET_MEM_TABLE", { count: 1, regions: new Uint8Array(33) }, [file])).toBe(1);
    expect(await peer.told("SET_MEM_TABLE", { count: 0xffff_ffff, regions }, [file])).toBe(1);
    expect(await peer.told("SET_MEM_TABLE", { count: 1, regions }, [])).toBe(1);
    expect(await peer.told("SET_MEM_TABLE", { count: 1, regions }, [file, file])).toBe(1);
    const many = Array.from({ length: 9 }, (_, i) => ({ ...region, guestAddress: i * TiB, userAddress: USER_BASE + i * TiB }));
    expect(await peer.told("SET_MEM_TABLE", memoryTable(many), new Array(8).fill(file))).toBe(1);
    expect(await peer.echo([1])).toEqual([1]);
    // None at all is a table, with room behind or not.
    expect(await peer.told("SET_MEM_TABLE", { count: 0, regions }, [])).toBe(0);
    expect(await peer.told("SET_MEM_TABLE", memoryTable([]), [])).toBe(0);
  });

  test("more regions than there is room for are refused, one after the other taken and given back", async () => {
    using peer = await greeted();
    using file = Memfd.create(PAGE);
    const at = (i: number) => ({ guestAddress: i * PAGE, size: PAGE, userAddress: USER_BASE + i * PAGE, mmapOffset: 0 });
    for (let i = 0; i < 509; i++) expect(await peer.told("ADD_MEM_REG", at(i), [file])).toBe(0);
    expect(await peer.told("ADD_MEM_REG", at(509), [file])).toBe(1);
    expect(await peer.told("REM_MEM_REG", { ...at(3), size: 2 * PAGE })).toBe(1);
    expect(await peer.told("REM_MEM_REG", at(3))).toBe(0);
    expect(await peer.told("REM_MEM_REG", at(3))).toBe(1);
    expect(await peer.told("ADD_MEM_REG", at(509), [file])).toBe(0);
  });

  test.each([1 / 16, 16, 1024])("%d TiB that nobody has are taken or refused, and logged at no cost to others", async (tebibytes) => {
    using peer = await greeted();
    const size = tebibytes * TiB;
    let sparse: Memfd;
    try {
      sparse = Memfd.create(size);
    } catch {
      return;
    }
    using file = sparse;
    using logFile = Memfd.create(size / PAGE / 8);
    await peer.ask("SET_LOG_BASE", { mmapSize: Math.min(size / PAGE / 8, 2 ** 25), mmapOffset: 0 }, [logFile]);
    peer.setFeatures(SPLIT, true);
    await peer.inStep();
    const start = performance.now();
    await peer.told("ADD_MEM_REG", { guestAddress: 0, size, userAddress: USER_BASE, mmapOffset: 0 }, [file]);
    await settled();
    expect(await bystander.echo([1])).toEqual([1]);
    await peer.inStep();
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test("that its owner could shrink is refused: to touch it then would be the end of this process", async () => {
    using peer = await greeted();
    writeFileSync(folder.at("file"), new Uint8Array(8 * PAGE));
    using file = new Fd(openSync(folder.at("file"), "r+"));
    expect(await peer.told("SET_MEM_TABLE", memoryTable([region]), [file])).toBe(1);
    expect(await peer.told("ADD_MEM_REG", region, [file])).toBe(1);
    ftruncateSync(file.number, 0);
    // One that is sealed can't be shrunk any more.
    using memfd = Memfd.create(8 * PAGE);
    expect(await peer.told("ADD_MEM_REG", region, [memfd])).toBe(0);
    expect(() => ftruncateSync(memfd.number, 0)).toThrow(/EPERM/);
  });

  test("that can only be read is refused", async () => {
    using peer = await greeted();
    using memfd = Memfd.create(8 * PAGE);
    using readOnly = new Fd(openSync(`/proc/self/fd/${memfd.number}`, "r"));
    expect(await peer.told("SET_MEM_TABLE", memoryTable([region]), [readOnly])).toBe(1);
  });

  test("goes away under a ring at work, and comes again, and again", async () => {
    using peer = await FrontEnd.started(server.path);
    const [ram] = peer.regions;
    for (let i = 0; i < 50; i++) {
      peer.offer([i]);
      peer.ring().driver.publish();
      peer.ring().kick.signal();
      peer.request("SET_MEM_TABLE", memoryTable([]));
      peer.ring().kick.signal();
      peer.request("SET_MEM_TABLE", memoryTable([ram?.payload as never]), [ram?.file as Fd]);
      await peer.returned(1);
    }
    expect(await peer.echo([1])).toEqual([1]);
  });
});

describe("rings", () => {
  test("CVE-2020-10723: a ring's number has 32 bits, and none is cut off before it is checked", async () => {
    using peer = await greeted();
    peer.addMemory();
    await peer.tellMemory();
    peer.addRing(0);
    for (const index of [4, 0x100, 0x1_0000, 0xffff_ffff]) {
      for (const name of ["SET_VRING_NUM", "SET_VRING_BASE", "SET_VRING_ENABLE", "VRING_KICK"] as const) {
        expect([name, await peer.told(name, { index, num: 1 })]).toEqual([name, 1]);
      }
      expect(await peer.told("SET_VRING_ADDR", addresses(peer, { index }))).toBe(1);
    }
    expect(await cutOff(peer, () => peer.request("GET_VRING_BASE", { index: 0x1_0000, num: 0 }))).toBe("bad-ring");
  });

  test("CVE-2026-5747, CVE-2019-14818: a size that no ring has, or that changes while it runs, is refused; the same one may be said often", async () => {
    using peer = await FrontEnd.started(server.path);
    const size = (num: number) => peer.told("SET_VRING_NUM", { index: 0, num });
    for (const num of [8, 16, 1024]) expect(await size(num)).toBe(1);
    expect(await peer.echo([1])).toEqual([1]);
    await peer.stopRing(0);
    for (const num of [0, 3, 15, 2048, 32768, 65536, 0x1_0010, 0xffff_ffff]) expect(await size(num)).toBe(1);
    const before = openFds();
    for (let i = 0; i < 100; i++) expect(await size(i % 2 === 0 ? 16 : 1024)).toBe(0);
    expect(openFds()).toBe(before);
  });

  test("a size of the one layout is none of the other", async () => {
    using peer = FrontEnd.connect(server.path);
    await peer.greet({ features: layouts[1]?.[1] as never });
    peer.addMemory();
    await peer.tellMemory();
    const ring = peer.addRing(0);
    expect(await peer.told("SET_VRING_NUM", { index: 0, num: 15 })).toBe(0);
    peer.setFeatures(SPLIT);
    peer.request("SET_VRING_ADDR", addresses(peer, {}));
    expect(await peer.told("SET_VRING_KICK", { value: 0n }, [ring.kick])).toBe(0);
    expect(await peer.told("SET_VRING_ENABLE", { index: 0, num: 1 })).toBe(1);
    await settled();
    expect(await peer.stopRing(0)).toBe(0);
  });

  test.each([
    ["the table", { descriptors: HOLE }],
    ["the available ring", { available: HOLE }],
    ["the used ring", { used: HOLE }],
    ["all of it", { descriptors: 0, available: 0, used: 0 }],
    ["all of it, past what is exact", { descriptors: 2 ** 63, available: 2 ** 63, used: 2 ** 63 }],
  ])("CVE-2020-10725: %s nowhere, with buffers or without, is a ring that does not run", async (_, wrong) => {
    using peer = await greeted();
    peer.addMemory();
    await peer.tellMemory();
    const { index, driver, kick } = peer.addRing(0);
    peer.request("SET_VRING_ADDR", addresses(peer, wrong));
    peer.request("SET_VRING_KICK", { value: 0n }, [kick]);
    peer.request("SET_VRING_ENABLE", { index, num: 1 });
    await peer.inStep();
    peer.request("SET_VRING_NUM", { index, num: driver.size });
    peer.request("SET_VRING_KICK", { value: 0n }, [kick]);
    kick.signal();
    await settled();
    expect(await peer.stopRing(0)).toBe(0);
  });

  test.each(
    [
      ["not aligned", 1, 0],
      ["not aligned, its used ring alone", 0, 2],
    ].flatMap(([what, descriptors, used]) => layouts.map(([name, features]) => [name, what, descriptors, used, features] as const)),
  )("%s: %s is told by its error", async (_, __, descriptors, used, features) => {
    using peer = FrontEnd.connect(server.path);
    await peer.greet({ features });
    peer.addMemory();
    await peer.tellMemory();
    const ring = peer.addRing(0);
    const good = peer.addresses(ring) as { descriptors: number; used: number };
    await startWrong(peer, { descriptors: good.descriptors + (descriptors as number), used: good.used + (used as number) });
    await until("the error", () => ring.error.take() > 0);
  });

  test("across two regions, or with its end past the last one, is told by its error", async () => {
    using peer = await greeted();
    peer.addMemory(0, RAM_BYTES);
    // Next to each other for all, and still two.
    peer.addMemory(RAM_BYTES, RAM_BYTES);
    await peer.tellMemory();
    const ring = peer.addRing(0);
    for (const descriptors of [USER_BASE + RAM_BYTES - 128, USER_BASE + 2 * RAM_BYTES - 128]) {
      await startWrong(peer, { descriptors });
      await until("the error", () => ring.error.take() > 0);
      // Until it is ended nothing of it changes; then all may.
      expect(await peer.told("SET_VRING_ADDR", addresses(peer, {}))).toBe(1);
      await peer.stopRing(0);
    }
    await peer.startRing(ring);
    expect(await peer.echo([1])).toEqual([1]);
  });

  test("on top of each other, or of their own buffers, are nobody else's business", async () => {
    using peer = await FrontEnd.started(server.path, { rings: 2 });
    await peer.stopRing(0);
    await peer.stopRing(1);
    const good = peer.addresses(peer.ring(0)) as { descriptors: number; used: number };
    await startWrong(peer, { available: good.descriptors, used: good.descriptors });
    peer.ring().kick.signal();
    await settled();
    await peer.stopRing(0);
  });

  test("moved while it runs, or told to stand elsewhere, is refused; where it is may be said again", async () => {
    using peer = await FrontEnd.started(server.path);
    for (const wrong of [{ descriptors: USER_BASE + 0x9000 }, { available: USER_BASE }, { used: HOLE }]) {
      expect(await peer.told("SET_VRING_ADDR", addresses(peer, wrong))).toBe(1);
    }
    expect(await peer.told("SET_VRING_ADDR", addresses(peer, { flags: 1, log: 0x5000 }))).toBe(0);
    expect(await peer.told("SET_VRING_BASE", { index: 0, num: 7 })).toBe(1);
    expect(await peer.told("SET_FEATURES", { value: layouts[1]?.[1].toBigInt() })).toBe(1);
    expect(await peer.echo([1])).toEqual([1]);
  });

  test("that stands where it can't ends alone", async () => {
    for (const [num, answer] of [
      [0x1_0000, 1],
      [0xffff_ffff, 1],
      [0xffff, 0],
      [17, 0],
    ] as const) {
      using peer = await FrontEnd.started(server.path);
      await peer.stopRing(0);
      expect(await peer.told("SET_VRING_BASE", { index: 0, num })).toBe(answer);
      peer.request("SET_VRING_KICK", { value: 0n }, [peer.ring().kick]);
      peer.ring().kick.signal();
      await peer.inStep();
    }
    for (const num of [0, 0x7fff_7fff, 0xffff_ffff, 0x8000, 17, 0x8011_8011]) {
      using peer = await FrontEnd.started(server.path, { features: layouts[1]?.[1] as never });
      await peer.stopRing(0);
      expect(await peer.told("SET_VRING_BASE", { index: 0, num })).toBe(0);
      peer.request("SET_VRING_KICK", { value: 0n }, [peer.ring().kick]);
      peer.ring().kick.signal();
      await peer.inStep();
    }
  });

  test("kicked after it was disabled, or ended, is left alone", async () => {
    using peer = await FrontEnd.started(server.path);
    expect(await peer.echo([1])).toEqual([1]);
    peer.request("SET_VRING_ENABLE", { index: 0, num: 0 });
    await peer.inStep();
    peer.offer([2]);
    peer.ring().driver.publish();
    for (let i = 0; i < 10; i++) peer.ring().kick.signal();
    peer.request("VRING_KICK", { index: 0, num: 0 });
    await settled();
    expect([peer.back(), server.device.served]).toEqual([[], 1]);
    await peer.stopRing(0);
    peer.ring().kick.signal();
    await settled();
    expect(server.device.served).toBe(1);
    for (const num of [2, 0xffff_ffff]) expect(await peer.told("SET_VRING_ENABLE", { index: 0, num })).toBe(1);
  });

  test("started and ended ten thousand times leave nothing behind", async () => {
    using peer = await FrontEnd.started(server.path);
    const before = [openFds(), memfdMappings()];
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 100; j++) {
        peer.request("SET_VRING_ENABLE", { index: 0, num: 0 });
        peer.request("SET_VRING_ENABLE", { index: 0, num: 1 });
      }
      peer.request("SET_VRING_KICK", { value: 0n }, [peer.ring().kick]);
      await peer.inStep();
    }
    expect([openFds(), memfdMappings()]).toEqual(before);
    expect(await peer.echo([1])).toEqual([1]);
  });
});

describe("the log", () => {
  test("CVE-2019-14835: pages past its end are marked nowhere", async () => {
    using peer = await FrontEnd.started(server.path);
    const beyond = peer.addMemory(0x1000_0000, 16 * PAGE);
    expect(await peer.told("ADD_MEM_REG", beyond.payload, [beyond.file])).toBe(0);
    // One byte of log: eight pages of 0x10010; what lies behind it is the front-end's own.
    using file = Memfd.create(PAGE);
    await peer.ask("SET_LOG_BASE", { mmapSize: 1, mmapOffset: 0 }, [file]);
    peer.setFeatures(SPLIT, true);
    await peer.inStep();
    peer.ring().driver.add([peer.buffer([1, 2])], [{ address: gpa(0x1000_0000), length: 2 }]);
    peer.notify();
    await peer.returned(1);
    const far = peer.offer([5]);
    peer.notify();
    await peer.returned(1);
    expect(Math.floor(far.address / PAGE)).toBeGreaterThan(8);
    await peer.stopRing(0);
    expect([...readFileSync(`/proc/self/fd/${file.number}`)].filter((byte, i) => byte !== 0 && i > 0)).toEqual([]);
  });

  test.each([
    ["CVE-2020-10722: whose offset and size wrap", { mmapSize: 2 ** 64 - 4096, mmapOffset: 8192 }],
    ["CVE-2020-10722: whose offset and size are past what is exact", { mmapSize: 2 ** 53, mmapOffset: 2 ** 53 }],
    ["that ends past its file", { mmapSize: PAGE, mmapOffset: PAGE }],
    ["of no bytes", { mmapSize: 0, mmapOffset: 0 }],
    ["whose offset is no page's", { mmapSize: 16, mmapOffset: 16 }],
  ])("%s is refused, before its time and in it", async (_, payload) => {
    using file = Memfd.create(PAGE);
    using early = await greeted();
    // Nobody needs it yet: then it may be taken, and is refused when it is needed.
    early.request("SET_LOG_BASE", payload, [file]);
    expect(await cutOff(early, () => early.setFeatures(SPLIT, true))).toBe("bad-memory");
    using late = await greeted();
    late.setFeatures(SPLIT, true);
    expect(await cutOff(late, () => late.request("SET_LOG_BASE", payload, [file]))).toBe("bad-memory");
    using running = await FrontEnd.started(server.path);
    await running.ask("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: 0 }, [file]);
    running.setFeatures(SPLIT, true);
    expect(await cutOff(running, () => running.request("SET_LOG_BASE", payload, [file]))).toBe("bad-memory");
  });

  test("that its owner could shrink is refused", async () => {
    writeFileSync(folder.at("file"), new Uint8Array(PAGE));
    using file = new Fd(openSync(folder.at("file"), "r+"));
    using peer = await greeted();
    peer.setFeatures(SPLIT, true);
    expect(await cutOff(peer, () => peer.request("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: 0 }, [file]))).toBe("bad-memory");
  });

  test("given again and again keeps one", async () => {
    using peer = await FrontEnd.started(server.path);
    using file = Memfd.create(PAGE);
    peer.setFeatures(SPLIT, true);
    await peer.ask("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: 0 }, [file]);
    const before = [openFds(), memfdMappings()];
    for (let i = 0; i < 50; i++) await peer.ask("SET_LOG_BASE", { mmapSize: PAGE, mmapOffset: 0 }, [file]);
    for (let i = 0; i < 50; i++) peer.setFeatures(SPLIT, i % 2 === 1);
    await peer.inStep();
    expect([openFds(), memfdMappings()]).toEqual(before);
  });
});

describe("buffers in flight", () => {
  const tail = new Uint8Array(4);

  test("CVE-2020-10726: asked for again and again, their table is one", async () => {
    using peer = await greeted();
    const ask = { mmapSize: 0, mmapOffset: 0, queues: 4, queueSize: 1024, tail };
    const drop = (answer: { fds: readonly Fd[] }): void => answer.fds.forEach((fd) => fd[Symbol.dispose]());
    drop(await peer.ask("GET_INFLIGHT_FD", ask));
    const before = [openFds(), memfdMappings()];
    for (let i = 0; i < 50; i++) drop(await peer.ask("GET_INFLIGHT_FD", ask));
    expect([openFds(), memfdMappings()]).toEqual(before);
    peer.stream.received.length = 0;
    using file = Memfd.create(2 ** 20);
    const give = { ...ask, mmapSize: 2 ** 20 };
    for (let i = 0; i < 50; i++) await peer.told("SET_INFLIGHT_FD", give, [file]);
    expect([openFds() - 1, memfdMappings()]).toEqual(before);
  });

  test.each([
    ["more queues than there are", { queues: 5 }],
    ["65535 queues", { queues: 65535 }],
    ["more descriptors than any queue has", { queueSize: 65535 }],
    ["a table longer than it is", { mmapSize: 16 }],
    ["a table that wraps", { mmapSize: 2 ** 64 - 4096, mmapOffset: 8192 }],
    ["a table with more behind it", { tail: new Uint8Array(8) }],
  ])("CVE-2021-3839: %s is refused", async (_, wrong) => {
    using peer = await greeted();
    using file = Memfd.create(2 ** 20);
    const payload = { mmapSize: 2 ** 20, mmapOffset: 0, queues: 4, queueSize: 256, tail, ...wrong };
    expect(await peer.told("SET_INFLIGHT_FD", payload, [file])).toBe(1);
    if ("mmapSize" in wrong) return;
    expect(await cutOff(peer, () => peer.request("GET_INFLIGHT_FD", payload))).toBe("bad-payload");
  });
});

describe("a device's state", () => {
  test("that never ends holds up nobody, and is forgotten with its session", async () => {
    const peers: FrontEnd[] = [];
    using stack = new DisposableStack();
    // As many as there are threads for files, and some more.
    for (let i = 0; i < 8; i++) {
      const peer = await greeted();
      peers.push(peer);
      const [read, write] = pipe(stack);
      await peer.ask("SET_DEVICE_STATE_FD", { direction: 1, phase: 0 }, [read]);
      peer.request("CHECK_DEVICE_STATE");
      stack.use(write);
    }
    // The threads of files are free.
    const { readFile } = await import("node:fs/promises");
    expect((await readFile("/proc/self/stat")).length).toBeGreaterThan(0);
    const before = process.cpuUsage();
    for (const peer of peers) peer[Symbol.dispose]();
    await until("they have left", () => server.server.guests.length === 1);
    await settled();
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(200);
  });

  test("that nobody reads holds up nobody, and the next one takes its place", async () => {
    using peer = await greeted();
    server.device.memo = "x".repeat(200_000);
    using stack = new DisposableStack();
    for (let i = 0; i < 5; i++) {
      const [, write] = pipe(stack);
      await peer.ask("SET_DEVICE_STATE_FD", { direction: 0, phase: 0 }, [write]);
    }
    peer.request("CHECK_DEVICE_STATE");
    await settled();
    expect(await bystander.echo([1])).toEqual([1]);
  });

  test("without end is refused at some length", async () => {
    using peer = await greeted();
    using stack = new DisposableStack();
    const [read, write] = pipe(stack);
    write.setNonBlocking();
    await peer.ask("SET_DEVICE_STATE_FD", { direction: 1, phase: 0 }, [read]);
    read[Symbol.dispose]();
    let gone = false;
    const block = new Uint8Array(65_536);
    await until("nobody reads any more", () => {
      try {
        for (;;) writeFileSync(write.number, block);
      } catch (error) {
        gone = (error as NodeJS.ErrnoException).code === "EPIPE";
      }
      return gone;
    });
    expect(await peer.ask("CHECK_DEVICE_STATE")).toMatchObject({ value: 1n });
  });
});

describe("the back-end's own channel", () => {
  test("that nobody reads, or whose other end is gone, holds up nobody", async () => {
    using peer = await FrontEnd.started(server.path);
    const channel = await peer.giveChannel();
    for (let i = 0; i < 20_000; i++) server.device.context?.configChanged();
    expect(await peer.echo([1])).toEqual([1]);
    channel.socket[Symbol.dispose]();
    server.device.context?.configChanged();
    expect(await peer.echo([2])).toEqual([2]);
    // It is the session's own socket: what comes there are no requests.
    peer.request("SET_BACKEND_REQ_FD", {}, [peer.stream.socket]);
    await peer.inStep();
    server.device.context?.configChanged();
    await settled();
  });

  test("given again and again keeps one", async () => {
    using peer = await greeted();
    await peer.giveChannel();
    const before = openFds();
    const [ours, theirs] = UnixSocket.pair();
    for (let i = 0; i < 50; i++) peer.request("SET_BACKEND_REQ_FD", {}, [theirs]);
    await peer.inStep();
    ours[Symbol.dispose]();
    theirs[Symbol.dispose]();
    expect(openFds()).toBe(before);
  });
});

/** Starts a ring of which something is wrong. */
async function startWrong(peer: FrontEnd, wrong: Readonly<Record<string, unknown>>): Promise<void> {
  const { index, driver, kick, error } = peer.ring();
  peer.request("SET_VRING_NUM", { index, num: driver.size });
  peer.request("SET_VRING_BASE", { index, num: peer.freshBase });
  peer.request("SET_VRING_ADDR", addresses(peer, wrong));
  peer.request("SET_VRING_ERR", { value: 0n }, [error]);
  peer.request("SET_VRING_KICK", { value: 0n }, [kick]);
  peer.request("SET_VRING_ENABLE", { index, num: 1 });
  await peer.inStep();
}

/** Both ends of a pipe. */
function pipe(stack: DisposableStack): [read: Fd, write: Fd] {
  const path = folder.at(`pipe ${Math.random()}`);
  execFileSync("mkfifo", [path]);
  const both = openSync(path, "r+");
  const ends: [Fd, Fd] = [stack.use(new Fd(openSync(path, "r"))), stack.use(new Fd(openSync(path, "w")))];
  closeSync(both);
  return ends;
}

/** Descriptors of many types, none of which is an eventfd or a memory file that can't shrink. */
async function wrongFds(stack: DisposableStack): Promise<[what: string, fd: Fd][]> {
  const [one, two] = UnixSocket.pair();
  stack.use(one);
  // Its other end is gone, with something unread: reading fails.
  two.send(Uint8Array.of(1));
  one.send(Uint8Array.of(1));
  two[Symbol.dispose]();
  const [read, write] = pipe(stack);
  const [gone, broken] = pipe(stack);
  gone[Symbol.dispose]();
  const O_PATH = 0o10000000;
  const path = folder.at(`file ${Math.random()}`);
  writeFileSync(path, new Uint8Array(2 * PAGE));
  const open = (name: string, flags: number) => stack.use(new Fd(openSync(name, flags)));
  const listener = stack.use(UnixListener.listen(folder.at(`listener ${Math.random()}`)));
  return [
    ["a pipe to read", read],
    ["a pipe to write", write],
    ["a pipe that nobody reads", broken],
    ["a socket whose other end is gone", one],
    ["a listener", listener],
    ["a file", open(path, constants.O_RDWR)],
    ["a folder", open(folder.path, constants.O_RDONLY)],
    ["a path", open(path, O_PATH)],
    ["a device", open("/dev/zero", constants.O_RDWR)],
    ["the null device", open("/dev/null", constants.O_RDWR)],
    ["a file of the kernel's", open("/proc/self/maps", constants.O_RDONLY)],
  ];
}
