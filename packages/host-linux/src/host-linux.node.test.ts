/** Descriptors, memory and sockets: what they do, what they refuse, and that nothing of them is left. */
import { execFileSync } from "node:child_process";
import { existsSync, ftruncateSync, openSync, readSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folder, memfdMappings, openFds, until } from "./host-scenarios.ts";
import {
  EventFd,
  EventFdNotifier,
  EventLoopPoller,
  eventFdOpener,
  Fd,
  HostLinuxError,
  Mapping,
  Memfd,
  MOST_FDS,
  memfdMemory,
  memfdOpener,
  punchHole,
  type Received,
  SocketType,
  sizeOf,
  Tap,
  UnixDatagramSocket,
  UnixListener,
  UnixSocket,
} from "./index.ts";

let fds = 0;
let mappings = 0;
beforeEach(() => {
  // What is made once for all: the C library's door, and the block of sockets.
  const warm = UnixSocket.pair();
  warm[0].send(Uint8Array.of(1));
  for (const socket of warm) socket[Symbol.dispose]();
  fds = openFds();
  mappings = memfdMappings();
});
afterEach(() => {
  expect([openFds(), memfdMappings()]).toEqual([fds, mappings]);
});

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("file descriptors", () => {
  test("are closed once, and tell who uses them after that", () => {
    const eventFd = EventFd.create();
    const { number } = eventFd;
    eventFd[Symbol.dispose]();
    eventFd[Symbol.dispose]();
    expect(() => eventFd.number).toThrow(code("closed"));
    // Whoever has the number now keeps it.
    using other = EventFd.create();
    expect(other.number).toBe(number);
    eventFd[Symbol.dispose]();
    other.signal();
    expect(other.take()).toBe(1);
  });

  test("an eventfd that others made to wait does not: neither full nor empty", () => {
    // In a process of its own: what waits in a call can't be ended otherwise.
    const program = `
      import { EventFd } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      import koffi from "koffi";
      const libc = koffi.load("libc.so.6");
      const eventFd = EventFd.create();
      libc.func("int fcntl(int fd, int command, int flags)")(eventFd.number, 4, 0);
      console.log(eventFd.take());
      libc.func("int64_t write(int fd, const void *bytes, size_t length)")(eventFd.number, new Uint8Array(8).fill(255, 1).fill(254, 0, 1), 8);
      eventFd.signal();
      eventFd.signal();
      console.log(eventFd.take() > 2 ** 63, eventFd.take());`;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: import.meta.dirname,
      timeout: 10_000,
      killSignal: "SIGKILL",
    });
    expect(String(output)).toBe("0\ntrue 0\n");
  });

  test("an eventfd counts, and what is no eventfd says so", () => {
    using eventFd = EventFd.create();
    eventFd.signal(3);
    eventFd.signal();
    expect([eventFd.take(), eventFd.take()]).toEqual([4, 0]);
    using pair = new Pair();
    pair.two.send(Uint8Array.of(1));
    eventFd.signal(200);
    expect(eventFd.take()).toBe(200);
    eventFd.signal(1e9);
    expect(eventFd.take()).toBe(4096);
    using wrong = EventFd.adopt(pair.one.duplicate());
    expect(wrong.take()).toBe(0);
    using folder = new Folder();
    using directory = EventFd.adopt(new Fd(openSync(folder.path, "r")));
    expect(() => directory.take()).toThrow(expect.objectContaining({ code: "system-call", call: "read", errno: "EISDIR" }));
  });

  test("a notifier calls back with what was counted, to one subscriber", async () => {
    const poller = new EventLoopPoller();
    using notifier = new EventFdNotifier(poller);
    const counts: number[] = [];
    notifier.signal(2);
    using subscription = notifier.subscribe((count) => counts.push(count));
    expect(() => notifier.subscribe(() => {})).toThrow(code("busy"));
    await until("the first count", () => counts.length === 1);
    notifier.signal();
    await until("the second count", () => counts.length === 2);
    expect([counts, poller.size]).toEqual([[2, 1], 1]);
    subscription[Symbol.dispose]();
    expect(poller.size).toBe(0);
  });

  test("what comes as a notifier has to be one: a file would end the process, a closed socket keep it busy", () => {
    const opener = eventFdOpener(new EventLoopPoller());
    using pair = new Pair();
    using memfd = Memfd.create(4096);
    for (const fd of [pair.one, memfd]) {
      expect(() => opener.open({ kind: "eventfd", fds: [fd.number] })).toThrow(code("protocol"));
    }
    using eventFd = EventFd.create();
    const notifier = opener.open({ kind: "eventfd", fds: [eventFd.number] });
    notifier.signal(2);
    expect(eventFd.take()).toBe(2);
    notifier[Symbol.dispose]();
  });

  test("what a callback throws is reported, and the watch goes on", async () => {
    const faults: unknown[] = [];
    const poller = new EventLoopPoller((fault) => faults.push(fault));
    using eventFd = EventFd.create();
    using watch = poller.watch(eventFd, { readable: true }, () => {
      eventFd.take();
      throw new Error("a bug");
    });
    eventFd.signal();
    await until("the first fault", () => faults.length === 1);
    eventFd.signal();
    await until("the second fault", () => faults.length === 2);
    expect(watch).toBeDefined();
  });
});

describe("memory", () => {
  test("a mapping shows a file to all who map it, and nothing once it is unmapped", () => {
    using memfd = Memfd.create(8192, "test");
    const one = new Mapping(memfd, { size: 8192 });
    using two = new Mapping(memfd, { size: 4096, offset: 4096 });
    const { bytes } = one;
    bytes[4096] = 7;
    expect(two.bytes[0]).toBe(7);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    expect([bytes.length, one.bytes.length, bytes[4096]]).toEqual([0, 0, undefined]);
  });

  test("what could kill the process is refused: a file that can shrink, one that is too short, bad numbers", () => {
    using folder = new Folder();
    writeFileSync(folder.at("file"), new Uint8Array(8192));
    using file = new Fd(openSync(folder.at("file"), "r+"));
    expect(() => new Mapping(file, { size: 4096 })).toThrow(code("unsealed"));
    using trusted = new Mapping(file, { size: 8192, unsealed: true });
    expect(trusted.bytes.length).toBe(8192);
    expect(() => new Mapping(file, { size: 8193, unsealed: true })).toThrow(code("too-small"));
    using memfd = Memfd.create(8192);
    expect(() => ftruncateSync(memfd.number, 4096)).toThrow(/EPERM/);
    for (const wrong of [
      { size: 0 },
      { size: -1 },
      { size: 1.5 },
      { size: 1, offset: 1 },
      { size: 2 ** 53 },
      { size: 4096, offset: -4096 },
    ]) {
      expect(() => new Mapping(memfd, wrong)).toThrow(code("invalid-argument"));
    }
    expect(() => Memfd.create(0)).toThrow(code("invalid-argument"));
    using pair = new Pair();
    expect(() => new Mapping(pair.one, { size: 4096, unsealed: true })).toThrow(code("invalid-argument"));
  });

  test("a hole in a file reads as zeros; where there can be none it says so", () => {
    using memfd = Memfd.create(16_384);
    using mapping = new Mapping(memfd, { size: 16_384 });
    mapping.bytes.fill(1);
    expect(punchHole(memfd.number, 4096, 4096)).toBe(true);
    expect([mapping.bytes[4095], mapping.bytes[4096], mapping.bytes[8191], mapping.bytes[8192]]).toEqual([1, 0, 0, 1]);
    using file = new Fd(openSync("/dev/null", "r+"));
    expect(() => punchHole(file.number, 0, 4096)).toThrow(code("system-call"));
    expect(() => punchHole(memfd.number, 0, 0)).toThrow(code("system-call"));
  });

  test("what is mapped for reading can be written without harm, to the process or to the file", () => {
    using memfd = Memfd.create(8192);
    using shared = new Mapping(memfd, { size: 8192 });
    using reading = new Mapping(memfd, { size: 8192, writable: false });
    shared.bytes[0] = 1;
    expect(reading.bytes[0]).toBe(1);
    reading.bytes[0] = 2;
    expect([shared.bytes[0], reading.bytes[0]]).toEqual([1, 2]);
  });

  test("more than 4 GiB are one array", () => {
    const size = 5 * 2 ** 30;
    using memfd = Memfd.create(size);
    using mapping = new Mapping(memfd, { size });
    mapping.bytes[size - 1] = 7;
    expect([mapping.bytes.length, mapping.bytes[size - 1]]).toEqual([size, 7]);
  });

  test("looking at a file's size leaves its position, which its other owners share", () => {
    using folder = new Folder();
    writeFileSync(folder.at("file"), "abcdef");
    const number = openSync(folder.at("file"), "r");
    using file = new Fd(number);
    expect(sizeOf(file)).toBe(6);
    const target = new Uint8Array(3);
    expect([readSync(number, target, 0, 3, null), String.fromCharCode(...target)]).toEqual([3, "abc"]);
  });

  test("a descriptor of memory with a size that is none leaves no file open", () => {
    using memfd = Memfd.create(4096);
    const fds = [memfd.number];
    for (const size of [-1, 0, 1.5, Number.NaN, 2 ** 60]) {
      expect(() => memfdOpener.open({ kind: "memfd", size, payload: { offset: 0 }, fds })).toThrow(code("invalid-length"));
    }
    for (const offset of [-4096, 1, 4096, Number.NaN]) {
      expect(() => memfdOpener.open({ kind: "memfd", size: 4096, payload: { offset }, fds })).toThrow(HostLinuxError);
    }
  });

  test("a memory's file lives as long as the memory does", () => {
    const memory = memfdMemory(4096);
    const reference = memory.retain();
    memory.bytes()[0] = 9;
    const opened = memfdOpener.open(memory.share());
    reference[Symbol.dispose]();
    const other = opened.retain();
    expect(opened.bytes()[0]).toBe(9);
    other[Symbol.dispose]();
    expect(() => memfdOpener.open({ kind: "memfd", size: 4096 })).toThrow(TypeError);
  });
});

describe("sockets", () => {
  test("carry bytes with descriptors, which are the receiver's", () => {
    using pair = new Pair();
    using eventFd = EventFd.create();
    expect(pair.one.send(Uint8Array.of(1, 2, 3), [eventFd.number, eventFd.number])).toBe(3);
    const target = new Uint8Array(8);
    const received = pair.two.receive(target, 2);
    expect([received?.length, received?.fds.length, [...target]]).toEqual([3, 2, [0, 0, 1, 2, 3, 0, 0, 0]]);
    using stack = new DisposableStack();
    for (const fd of received?.fds ?? []) stack.use(fd);
    const copy = EventFd.adopt((received as Received).fds[0]?.duplicate() as Fd);
    stack.use(copy);
    copy.signal(5);
    expect(eventFd.take()).toBe(5);
    expect(pair.two.receive(target)).toBeUndefined();
  });

  test("carry as many descriptors as the kernel allows, and say who asks for more", () => {
    using pair = new Pair();
    using eventFd = EventFd.create();
    pair.one.send(Uint8Array.of(1), new Array(MOST_FDS).fill(eventFd.number));
    const received = pair.two.receive(new Uint8Array(1));
    expect(received?.fds).toHaveLength(MOST_FDS);
    for (const fd of received?.fds ?? []) fd[Symbol.dispose]();
    expect(() => pair.one.send(Uint8Array.of(1), new Array(254).fill(eventFd.number))).toThrow(code("invalid-argument"));
  });

  test("say when there is no room, and when nobody is there", () => {
    using pair = new Pair();
    const block = new Uint8Array(65536);
    let sent: number | undefined | "gone" = 0;
    for (let i = 0; i < 100 && sent !== undefined; i++) sent = pair.one.send(block);
    expect(sent).toBeUndefined();
    pair.two[Symbol.dispose]();
    expect(pair.one.send(block)).toBe("gone");
    expect(pair.one.receive(block)?.length).toBe(0);
  });

  test("a path in a folder that can't be looked into is an error of the host, with the path", () => {
    using folder = new Folder();
    symlinkSync("loop", folder.at("loop"));
    const path = folder.at("loop/socket");
    expect(() => UnixListener.listen(path)).toThrow(expect.objectContaining({ code: "system-call", errno: "ELOOP", path }));
  });

  test("a listener is its user's alone, is not stolen while it lives, and replaced when it is dead", () => {
    using folder = new Folder();
    const path = folder.at("socket");
    const listener = UnixListener.listen(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(() => UnixListener.listen(path)).toThrow(code("socket-in-use"));
    // Who asked whether somebody lives here has left already.
    until2(() => listener.accept())[Symbol.dispose]();
    using client = UnixSocket.connect(path);
    using server = until2(() => listener.accept());
    expect(server.credentials()).toMatchObject({ pid: process.pid, uid: process.getuid?.() });
    client.send(Uint8Array.of(42));
    const target = new Uint8Array(1);
    expect([server.receive(target)?.length, target[0], listener.accept()]).toEqual([1, 42, undefined]);
    listener[Symbol.dispose]();
    expect(() => UnixSocket.connect(path)).toThrow(
      expect.objectContaining({ code: "system-call", call: "connect", errno: "ENOENT", path }),
    );
    // A process that was killed leaves its path behind.
    const script = "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    expect(() => execFileSync(process.execPath, ["-e", script, path], { stdio: "ignore", timeout: 5000 })).toThrow();
    expect(statSync(path).isSocket()).toBe(true);
    using again = UnixListener.listen(path, { mode: 0o660 });
    expect([again.path, statSync(path).mode & 0o777]).toEqual([path, 0o660]);
    writeFileSync(folder.at("file"), "mine");
    expect(() => UnixListener.listen(folder.at("file"))).toThrow(code("socket-in-use"));
    expect(() => UnixListener.listen(`/${"x".repeat(107)}`)).toThrow(code("invalid-argument"));
  });

  test("what has no room in the target is not read past its end", () => {
    using pair = new Pair();
    using eventFd = EventFd.create();
    pair.one.send(Uint8Array.of(1, 2, 3, 4), [eventFd.number]);
    const target = new Uint8Array(3);
    const received = pair.two.receive(target, 1, 100);
    expect([received?.length, received?.fds.length, [...target]]).toEqual([2, 1, [0, 1, 2]]);
    for (const fd of received?.fds ?? []) fd[Symbol.dispose]();
  });

  test("a path has its permissions from the first moment, whatever the mask of the process, which stays as it is", () => {
    using folder = new Folder();
    const before = process.umask(0o077);
    try {
      using listener = UnixListener.listen(folder.at("wide"), { mode: 0o666 });
      expect([statSync(listener.path).mode & 0o777, process.umask()]).toEqual([0o666, 0o077]);
      process.umask(0);
      using datagrams = UnixDatagramSocket.at(folder.at("narrow"));
      expect([statSync(datagrams.path).mode & 0o777, process.umask()]).toEqual([0o600, 0]);
    } finally {
      process.umask(before);
    }
  });

  test("a path that is another's by now stays, and one that was relative goes wherever the process went", () => {
    using folder = new Folder();
    const home = process.cwd();
    const listener = UnixListener.listen(folder.at("a"));
    unlinkSync(folder.at("a"));
    using other = UnixListener.listen(folder.at("a"));
    listener[Symbol.dispose]();
    expect(existsSync(other.path)).toBe(true);
    try {
      process.chdir(folder.path);
      const relative = UnixListener.listen("b");
      process.chdir(home);
      relative[Symbol.dispose]();
      expect(existsSync(folder.at("b"))).toBe(false);
    } finally {
      process.chdir(home);
    }
    // A folder that is gone is no reason to throw at the end.
    const last = UnixListener.listen(folder.at("c"));
    folder[Symbol.dispose]();
    last[Symbol.dispose]();
  });

  test("datagrams keep their borders", () => {
    const [one, two] = UnixSocket.pair(SocketType.Datagram);
    one.send(Uint8Array.of(1, 2));
    one.send(Uint8Array.of(3));
    const target = new Uint8Array(8);
    expect([two.receive(target)?.length, two.receive(target)?.length]).toEqual([2, 1]);
    one[Symbol.dispose]();
    two[Symbol.dispose]();
  });
});

test("a tap device that can't be had says what to do", () => {
  for (const name of ["", "a".repeat(16), "a b", "a/b"]) expect(() => Tap.open(name)).toThrow(code("invalid-argument"));
});

class Pair implements Disposable {
  readonly one: UnixSocket;
  readonly two: UnixSocket;

  constructor() {
    [this.one, this.two] = UnixSocket.pair();
  }

  [Symbol.dispose](): void {
    this.one[Symbol.dispose]();
    this.two[Symbol.dispose]();
  }
}

function until2<T>(get: () => T | undefined): T {
  for (let i = 0; i < 1000; i++) {
    const got = get();
    if (got !== undefined) return got;
  }
  throw new Error("nobody came");
}
