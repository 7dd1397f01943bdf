/** A space in two processes: memory, later changes of the map, unmaps that wait, proposals, doorbells, and the other's death. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { gpa, type Region, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folder, memfdMappings, openFds, until } from "../host-scenarios.ts";
import { EventFd, EventLoopPoller, Fd, memfdMemory, passSpace, SocketLink, UnixListener, UnixSocket } from "../index.ts";
import { decodeMessage } from "./message-codec.ts";

const MiB = 2 ** 20;

class Other implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly rung: number[] = [];
  #next = 1;

  constructor() {
    this.process = fork(new URL("attacher.process.ts", import.meta.url), {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      timeout: 30_000,
    });
    this.process.on("message", ({ rung }: { rung?: number }) => rung !== undefined && this.rung.push(rung));
  }

  do(deed: string, ...args: unknown[]): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const hear = (message: { id?: number; answer?: unknown; error?: string }): void => {
        if (message.id !== id) return;
        this.process.off("message", hear);
        if (message.error === undefined) resolve(message.answer);
        else reject(new Error(message.error));
      };
      this.process.on("message", hear);
      this.process.send({ id, deed, args });
    });
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

const folder = new Folder();
let listener: UnixListener;
let space: VirtAddressSpace;
let ram: Region;
let before: [number, number];

beforeEach(() => {
  before = [openFds(), memfdMappings()];
  listener = UnixListener.listen(folder.at("space"));
  space = VirtAddressSpace.create({ name: "guest", graceMilliseconds: 1000 });
  ram = space.map({ name: "ram", base: gpa(0), memory: memfdMemory(MiB) });
});

afterEach(async () => {
  listener[Symbol.dispose]();
  space[Symbol.dispose]();
  await until("everything closed", () => openFds() <= before[0] + 1 && memfdMappings() === before[1]);
});

async function attached(): Promise<Other> {
  const other = new Other();
  const regions = other.do("attach", listener.path);
  let socket: UnixSocket | undefined;
  await until("a connection", () => {
    socket = listener.accept();
    return socket !== undefined;
  });
  passSpace(space, socket as UnixSocket);
  expect(await regions).toBe(space.regions.length);
  return other;
}

describe("a space in another process", () => {
  test("is the same memory, both ways, and stays live: what is mapped later is there too", async () => {
    await using other = await attached();
    space.writeU32(gpa(0x1000), 42);
    expect(await other.do("read", 0x1000)).toBe(42);
    expect(await other.do("write", 0x2000, 43)).toBe(true);
    expect(space.readU32(gpa(0x2000))).toBe(43);
    space.map({ name: "later", base: gpa(0x1000_0000), memory: memfdMemory(4096) });
    space.writeU32(gpa(0x1000_0000), 44);
    let seen: unknown;
    for (let i = 0; i < 100 && seen !== 44; i++) seen = await other.do("read", 0x1000_0000);
    expect(seen).toBe(44);
  });

  test("an unmap waits until it has let go of the old map", async () => {
    await using other = await attached();
    await other.do("hold");
    let done = false;
    const unmapped = space.unmap(ram).then(() => {
      done = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(done).toBe(false);
    await other.do("letGo");
    await unmapped;
    expect(await other.do("read", 0x1000)).toBeNull();
  });

  test("one that never lets go is named, and nothing is freed under it; one that dies in between too", async () => {
    await using other = await attached();
    await other.do("hold");
    await expect(space.unmap(ram)).rejects.toMatchObject({
      code: "holder-unresponsive",
      message: expect.stringContaining("the other process"),
    });
    const more = space.map({ name: "more", base: gpa(0x2000_0000), memory: memfdMemory(4096) });
    const gone = space.unmap(more);
    await other.kill();
    await expect(gone).rejects.toMatchObject({ code: "holder-died" });
  });

  test("its death frees all that it held, and its end does", async () => {
    const first = await attached();
    await first.kill();
    await until("the owner to notice", () => !space.holders.includes("the other process"));
    await space.unmap(ram);
    const second = await attached();
    await second.do("detach");
    await until("the owner to hear", () => !space.holders.includes("the other process"));
    await second[Symbol.asyncDispose]();
  });

  test("maps memory of its own, and doorbells that ring there", async () => {
    await using other = await attached();
    await other.do("propose");
    expect(space.readU8(gpa(0x5000_0000))).toBe(77);
    expect(await other.do("proposeThreads")).toBe("not-shareable");
    await other.do("doorbell");
    space.writeU32(gpa(0x7000_0000), 1);
    await until("the doorbell", () => other.rung.length === 1);
    expect(other.rung).toEqual([1]);
  });

  test("what it writes counts as dirty: all of it, while it is there", async () => {
    const log = space.dirtyLog("migration");
    log.harvest();
    await using other = await attached();
    expect(log.harvest()).toEqual([{ address: 0, length: MiB }]);
    await other.do("detach");
    await until("the owner to hear", () => space.holders.length <= 1);
    log.harvest();
    log.harvest();
    expect(log.harvest()).toEqual([]);
    log[Symbol.dispose]();
  });

  test("memory that only threads can share is mapped there without its bytes", async () => {
    space.map({ name: "threads", base: gpa(0x3000_0000), memory: sharedMemory(4096) });
    await using other = await attached();
    expect([await other.do("read", 0x3000_0000), await other.do("read", 0)]).toEqual([null, 0]);
  });
});

describe("a peer that is no holder", () => {
  test.each([
    ["a length of none", [0, 0, 0, 0]],
    ["a length past all bounds", [255, 255, 255, 255, 1]],
    ["no JSON", [3, 0, 0, 0, 1, 2, 3]],
    ["a message cut short", [9, 0, 0, 0, 123]],
    ["a descriptor that did not come", [...u32('{"fds":[7]}'.length), ...new TextEncoder().encode('{"fds":[7]}')]],
    ["a descriptor of no number", [...u32('{"fds":["length"]}'.length), ...new TextEncoder().encode('{"fds":["length"]}')]],
    ["nonsense", [...u32(2), ...new TextEncoder().encode("{}")]],
  ])("%s ends its line or is passed over, and nothing is left of it", async (_, bytes) => {
    const [mine, its] = UnixSocket.pair();
    passSpace(space, mine, { poller: new EventLoopPoller() });
    using surplus = EventFd.create();
    its.send(Uint8Array.from(bytes), [surplus.number]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    its[Symbol.dispose]();
    await until("its end", () => mine.closed);
    expect(space.readU32(gpa(0))).toBe(0);
  });

  test("a name of a property is no descriptor's number: it would be one of ours", () => {
    for (const index of ["length", "0", -1, 0.5, 1, null]) {
      const bytes = new TextEncoder().encode(JSON.stringify({ fds: [index] }));
      expect(() => decodeMessage(bytes, [77])).toThrow(expect.objectContaining({ code: "protocol" }));
    }
    expect(decodeMessage(new TextEncoder().encode('{"fds":[0]}'), [77])).toEqual({ fds: [77] });
  });

  test("a descriptor that waits to be sent is the file that it was when it was posted, whoever has its number then", async () => {
    const [mine, its] = UnixSocket.pair();
    const poller = new EventLoopPoller();
    const link = new SocketLink(mine, poller);
    link.open({ message: () => {}, closed: () => {} });
    link.post({ filler: "x".repeat(MiB) });
    const first = EventFd.create();
    const { number } = first;
    first.signal(5);
    link.post({ fds: [number] });
    first[Symbol.dispose]();
    using second = EventFd.create();
    expect(second.number).toBe(number);
    const other = new SocketLink(its, poller);
    const counts: number[] = [];
    other.open({
      message: (message) => {
        const [sent] = (message as { fds?: number[] }).fds ?? [];
        if (sent === undefined) return;
        using copy = EventFd.adopt(Fd.copyOf(sent));
        counts.push(copy.take());
      },
      closed: () => {},
    });
    await until("the descriptor", () => counts.length === 1);
    expect(counts).toEqual([5]);
    link.close();
    other.close();
  });

  test("a link whose peer went before it was opened says so, and one that can't have copies ends", async () => {
    const [mine, its] = UnixSocket.pair();
    its[Symbol.dispose]();
    const link = new SocketLink(mine, new EventLoopPoller());
    link.post({ type: "early" });
    let closed = false;
    link.open({ message: () => {}, closed: () => (closed = true) });
    await until("the end", () => closed);
    const [one, two] = UnixSocket.pair();
    const other = new SocketLink(one, new EventLoopPoller());
    other.post({ fds: [1_000_000] });
    expect(one.closed).toBe(true);
    two[Symbol.dispose]();
  });

  test("one that never reads is cut off, and the owner never waits for it", async () => {
    const [mine, its] = UnixSocket.pair();
    const link = new SocketLink(mine, new EventLoopPoller());
    let closed = false;
    link.open({ message: () => {}, closed: () => (closed = true) });
    for (let i = 0; i < 80 && !closed; i++) link.post({ type: "filler", text: "x".repeat(MiB) });
    expect([closed, mine.closed]).toEqual([true, true]);
    its[Symbol.dispose]();
  });
});

function u32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}
