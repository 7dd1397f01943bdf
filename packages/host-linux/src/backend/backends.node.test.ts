/** QEMU's socket networks: frames both ways, back-pressure without loss, hostile peers, and peers that come and go. */
import { existsSync, linkSync, statSync, unlinkSync } from "node:fs";
import { createServer } from "node:net";
import { LearningSwitch, type NetworkBackend } from "@virtspace/network";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folder, openFds, until } from "../host-scenarios.ts";
import {
  DatagramBackend,
  EventFd,
  EventLoopPoller,
  type HostBackendOptions,
  type Poller,
  SocketType,
  StreamBackend,
  StreamListener,
  UnixDatagramSocket,
  UnixListener,
  UnixSocket,
} from "../index.ts";
import { numbered, numberOf, Station } from "./station-scenarios.ts";

let fds = 0;
let folder: Folder;
let poller: EventLoopPoller;
beforeEach(() => {
  const warm = UnixSocket.pair();
  warm[0].send(Uint8Array.of(1));
  for (const socket of warm) socket[Symbol.dispose]();
  folder = new Folder();
  poller = new EventLoopPoller();
  fds = openFds();
});
afterEach(() => {
  folder[Symbol.dispose]();
  expect([openFds(), poller.size]).toEqual([fds, 0]);
});

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const code = (expected: string) => expect.objectContaining({ code: expected });

/** A frame as QEMU writes it to a stream. */
function framed(bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(4 + bytes.length);
  new DataView(all.buffer).setUint32(0, bytes.length);
  all.set(bytes, 4);
  return all;
}

class Line implements Disposable {
  readonly station: Station;
  readonly peer: UnixSocket;
  gone = 0;

  constructor(options: HostBackendOptions = {}) {
    const [mine, its] = UnixSocket.pair();
    this.peer = its;
    this.station = new Station(new StreamBackend(mine, { poller, onGone: () => this.gone++, ...options }));
  }

  [Symbol.dispose](): void {
    this.station[Symbol.dispose]();
    this.peer[Symbol.dispose]();
  }
}

describe("a stream", () => {
  test("carries each frame behind its length, both ways, with Node's own sockets at the other end", async () => {
    const heard: Buffer[] = [];
    const server = createServer((socket) => {
      socket.on("data", (data) => heard.push(data));
      socket.write(framed(numbered(7, 60)));
    });
    await new Promise<void>((resolve) => server.listen(folder.at("qemu"), resolve));
    const station = new Station(new StreamBackend(folder.at("qemu"), { poller }));
    expect(station.send(numbered(1, 70))).toBe(true);
    await until("both", () => station.got.length === 1 && heard.length > 0);
    expect(station.got.map(numberOf)).toEqual([7]);
    expect(Uint8Array.from(Buffer.concat(heard))).toEqual(framed(numbered(1, 70)));
    expect(station.port.counters).toMatchObject({ sentFrames: 1, sentBytes: 70, receivedFrames: 1, receivedBytes: 60, drops: {} });
    expect(station.flushes).toBe(1);
    station[Symbol.dispose]();
    await new Promise((resolve) => server.close(resolve));
  });

  test("takes frames in whatever pieces they come, a byte at a time or many at once", async () => {
    using line = new Line();
    const bytes = framed(numbered(1, 60));
    for (const byte of bytes) {
      line.peer.send(Uint8Array.of(byte));
      await pause(0);
    }
    line.peer.send(Uint8Array.from([...framed(numbered(2)), ...framed(numbered(3)), ...framed(numbered(4)).subarray(0, 30)]));
    await until("three", () => line.station.got.length === 3);
    line.peer.send(framed(numbered(4)).subarray(30));
    await until("four", () => line.station.got.length === 4);
    expect(line.station.got.map(numberOf)).toEqual([1, 2, 3, 4]);
  });

  test("loses none of 10,000 frames of all lengths, in their order, where now the sender and now the receiver has to wait", async () => {
    const [one, two] = UnixSocket.pair();
    using sender = new Station(new StreamBackend(one, { poller }));
    using receiver = new Station(new StreamBackend(two, { poller }));
    receiver.room = 0;
    const state = sender.sendAll(10_000, (number) => numbered(number, 20 + ((number * 977) % 1500)));
    // The receiver reads ahead once, then nobody reads: the sender waits and is not asked over and over.
    await pause(20);
    expect([state.waits <= 3, state.sent < 10_000, receiver.got.length]).toEqual([true, true, 0]);
    while (receiver.got.length < 10_000) {
      receiver.makeRoom(1 + (receiver.got.length % 700));
      await pause(0);
    }
    expect(receiver.got.every((got, i) => numberOf(got) === i && got.bytes.length === 20 + ((i * 977) % 1500))).toBe(true);
    expect(state).toMatchObject({ sent: 10_000 });
    expect(state.waits).toBeGreaterThan(5);
    expect(sender.port.counters).toMatchObject({ sentFrames: 10_000, drops: {} });
    expect(receiver.port.counters).toMatchObject({ receivedFrames: 10_000, receivedBytes: sender.port.counters.sentBytes, drops: {} });
  });

  test("what was read ahead is delivered without anything new to wake the loop", async () => {
    using line = new Line();
    const frame = framed(numbered(1, 14 + 4));
    const all = new Uint8Array(2000 * frame.length);
    for (let i = 0; i < 2000; i++) all.set(framed(numbered(i, 18)), i * frame.length);
    expect(line.peer.send(all)).toBe(all.length);
    await until("all of them", () => line.station.got.length === 2000);
    expect(line.station.got.map(numberOf)).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  });

  test("frames of no possible length are dropped and counted, both ways, and the line stays", async () => {
    using line = new Line();
    line.peer.send(framed(new Uint8Array(13)));
    line.peer.send(framed(new Uint8Array(65_551)));
    line.peer.send(framed(new Uint8Array(65_550)));
    await until("the one", () => line.station.got.length === 1);
    expect(line.station.send(new Uint8Array(13))).toBe(true);
    expect(line.station.send(new Uint8Array(65_551))).toBe(true);
    expect([line.station.port.counters.drops, line.gone]).toEqual([{ short: 2, long: 2 }, 0]);
  });

  test.each([
    ["none", [0, 0, 0, 0]],
    ["4 GiB", [255, 255, 255, 255]],
    ["a byte more than fits", [0, 1, 0, 0x4f]],
  ])("a frame said to have a length of %s ends the line, after what came before it", async (_, length) => {
    using line = new Line();
    line.peer.send(Uint8Array.from([...framed(numbered(1)), ...length, 1, 2, 3]));
    await until("the end", () => line.gone === 1);
    expect(line.station.got.map(numberOf)).toEqual([1]);
    expect(line.station.send(numbered(2))).toBe(true);
    expect([line.station.port.counters.drops, line.gone]).toEqual([{ unplugged: 1 }, 1]);
    await until("its end to be heard", () => line.peer.receive(new Uint8Array(8))?.length === 0);
  });

  test("a peer that goes is told of once, and what is sent to it then is counted", async () => {
    using line = new Line();
    line.peer.send(framed(numbered(1)));
    line.peer[Symbol.dispose]();
    await until("its end", () => line.gone === 1);
    expect(line.station.got.map(numberOf)).toEqual([1]);
    line.station.send(numbered(2));
    line.station.port.roomAgain();
    expect([line.station.port.counters.drops, line.gone]).toEqual([{ unplugged: 1 }, 1]);
  });

  test("a peer whose going is noticed by a send is told of once", () => {
    using line = new Line();
    line.peer[Symbol.dispose]();
    expect(line.station.send(numbered(1))).toBe(true);
    expect([line.station.port.counters.drops, line.gone, poller.size]).toEqual([{ unplugged: 1 }, 1, 0]);
  });

  test("who waits for room hears of the other's end", async () => {
    using line = new Line();
    while (line.station.send(numbered(1, 60_000)));
    line.peer[Symbol.dispose]();
    await until("its end", () => line.gone === 1);
    expect(line.station.rooms).toBeGreaterThan(0);
  });

  test("a peer that goes while the device has no room costs no turn of the loop, and its frames are there later", async () => {
    let calls = 0;
    const counting = {
      watch: ((fd, interest, ready) =>
        poller.watch(fd, interest, (readiness) => {
          calls++;
          ready(readiness);
        })) satisfies EventLoopPoller["watch"],
    };
    using line = new Line({ poller: counting });
    line.station.room = 0;
    for (let i = 0; i < 3; i++) line.peer.send(framed(numbered(i)));
    await until("a frame that has no room", () => calls > 0);
    line.peer[Symbol.dispose]();
    const before = calls;
    await pause(30);
    expect(calls - before).toBeLessThan(3);
    line.station.makeRoom(10);
    await until("its end", () => line.gone === 1);
    expect(line.station.got.map(numberOf)).toEqual([0, 1, 2]);
  });

  test("descriptors that nobody asked for are closed", async () => {
    using line = new Line();
    using eventFd = EventFd.create();
    line.peer.send(framed(numbered(1)), [eventFd.number, eventFd.number]);
    await until("the frame", () => line.station.got.length === 1);
    // The count at the end of the test.
  });

  test("a connection serves one device; a path as many as plug in", () => {
    const [mine, its] = UnixSocket.pair();
    const backend = new StreamBackend(mine, { poller });
    using first = new Station(backend);
    expect(() => new Station(backend)).toThrow(code("closed"));
    expect(first.send(numbered(1))).toBe(true);
    its[Symbol.dispose]();
    using listener = UnixListener.listen(folder.at("line"));
    const many = new StreamBackend(listener.path, { poller });
    using one = new Station(many);
    using two = new Station(many);
    expect([one.send(numbered(1)), two.send(numbered(2))]).toEqual([true, true]);
    expect(() => new Station(new StreamBackend(folder.at("nobody")))).toThrow(code("system-call"));
  });

  test("a poller that can't wait leaves no descriptor", () => {
    const [mine, its] = UnixSocket.pair();
    const poller = {
      watch: () => {
        throw new Error("no");
      },
    };
    expect(() => new Station(new StreamBackend(mine, { poller }))).toThrow("no");
    expect(mine.closed).toBe(true);
    its[Symbol.dispose]();
  });

  test("what the line can't carry undone is finished on its way", async () => {
    using line = new Line();
    // UDP over IPv4 with its checksum missing: the sum of the pseudo-header is there.
    const bytes = Uint8Array.from([
      ...[...new Array(12).fill(2), 8, 0],
      ...[0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
      ...[0, 1, 0, 2, 0, 12, 0, 0, 1, 2, 3, 4],
    ]);
    const offload = {
      needsChecksum: true,
      checksumStart: 34,
      checksumOffset: 6,
      segmentation: "none",
      segmentSize: 0,
      headerLength: 42,
      ecn: false,
      dataValid: false,
    } as const;
    expect(line.station.send(bytes, offload)).toBe(true);
    const target = new Uint8Array(100);
    expect(line.peer.receive(target)?.length).toBe(4 + bytes.length);
    expect([target[44], target[45]]).not.toEqual([0, 0]);
    line.station.send(bytes, { ...offload, checksumStart: 1000 });
    expect(line.station.port.counters).toMatchObject({ sentFrames: 1, drops: { offload: 1 } });
  });
});

describe("a stream's listener", () => {
  test("takes in all who connect, each as a port of the network, and says who came and went", async () => {
    const told: string[] = [];
    const network = new LearningSwitch();
    using listener = new StreamListener(network, folder.at("net"), {
      poller,
      onJoin: (peer) => told.push(`${peer} came`),
      onGone: (peer) => told.push(`${peer} went`),
    });
    expect(statSync(listener.path).mode & 0o777).toBe(0o600);
    using station = new Station(network);
    const one = UnixSocket.connect(listener.path);
    using two = UnixSocket.connect(listener.path);
    await until("both", () => listener.peers === 2);
    one.send(framed(numbered(3)));
    await until("the frame", () => station.got.length === 1);
    const heard = new Uint8Array(100);
    await until("the other one's frame", () => two.receive(heard)?.length === 68);
    expect(heard.slice(0, 68)).toEqual(framed(numbered(3)));
    one[Symbol.dispose]();
    await until("its end", () => listener.peers === 1);
    station.send(numbered(4));
    await until("who stayed", () => two.receive(heard)?.length === 68);
    expect(told).toEqual(["1 came", "2 came", "1 went"]);
  });

  test("hangs up on one too many, and on all at its end", async () => {
    const listener = new StreamListener(new LearningSwitch(), folder.at("net"), { poller, most: 1 });
    using first = UnixSocket.connect(listener.path);
    await until("the first", () => listener.peers === 1);
    using second = UnixSocket.connect(listener.path);
    await until("the second to be hung up on", () => second.receive(new Uint8Array(1))?.length === 0);
    expect(listener.peers).toBe(1);
    expect(() => new StreamListener(new LearningSwitch(), listener.path, { poller })).toThrow(code("socket-in-use"));
    listener[Symbol.dispose]();
    listener[Symbol.dispose]();
    await until("the first's end", () => first.receive(new Uint8Array(1))?.length === 0);
    expect(existsSync(listener.path)).toBe(false);
  });

  test("a poller that can't wait leaves no path", () => {
    const broken: Poller = {
      watch() {
        throw new Error("no more watches");
      },
    };
    expect(() => new StreamListener(new LearningSwitch(), folder.at("net"), { poller: broken })).toThrow("no more watches");
    expect(existsSync(folder.at("net"))).toBe(false);
  });

  test("says that nobody can be taken, and takes him when there is room", async () => {
    const faults: unknown[] = [];
    let full = true;
    const network = new LearningSwitch();
    const plug: NetworkBackend["plug"] = (endpoint) => {
      if (full) throw new Error("no room");
      return network.plug(endpoint);
    };
    using listener = new StreamListener({ name: "full", plug }, folder.at("net"), { poller, onFault: (cause) => faults.push(cause) });
    using peer = UnixSocket.connect(listener.path);
    await until("the fault", () => faults.length === 1);
    await until("the end of who was refused", () => peer.receive(new Uint8Array(1))?.length === 0);
    full = false;
    using later = UnixSocket.connect(listener.path);
    await until("who came later", () => listener.peers === 1);
    expect([later.closed, faults]).toEqual([false, [new Error("no room")]]);
  });
});

describe("datagrams", () => {
  const backend = (local: string, remote: string): DatagramBackend =>
    new DatagramBackend({ local: folder.at(local), remote: folder.at(remote) }, { poller });

  test("are one frame each, both ways, and the paths go with their ports", async () => {
    const one = new Station(backend("a", "b"));
    const two = new Station(backend("b", "a"));
    expect(statSync(folder.at("a")).mode & 0o777).toBe(0o600);
    one.send(numbered(1, 1514));
    two.send(numbered(2, 60));
    await until("both", () => one.got.length + two.got.length === 2);
    expect([one.got[0]?.bytes, two.got[0]?.bytes]).toEqual([numbered(2, 60), numbered(1, 1514)]);
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    one[Symbol.dispose]();
    expect([existsSync(folder.at("a")), existsSync(folder.at("b"))]).toEqual([false, false]);
  });

  test("none of 10,000 is lost where the receiver has no room: the sender waits, and does not spin", async () => {
    using sender = new Station(backend("a", "b"));
    using receiver = new Station(backend("b", "a"));
    receiver.room = 0;
    const state = sender.sendAll(10_000, (number) => numbered(number, 20 + ((number * 977) % 1500)));
    await pause(30);
    expect([state.waits <= 3, state.sent < 10_000]).toEqual([true, true]);
    while (receiver.got.length < 10_000) {
      receiver.makeRoom(300);
      await pause(0);
    }
    expect(receiver.got.every((got, i) => numberOf(got) === i)).toBe(true);
    expect(sender.port.counters.drops).toEqual({});
  });

  test("large ones fill the sender's own buffer first, and none is lost either", async () => {
    using sender = new Station(backend("a", "b"));
    using receiver = new Station(backend("b", "a"));
    receiver.room = 0;
    const state = sender.sendAll(50, (number) => numbered(number, 65_000));
    await pause(30);
    expect(state.waits).toBeLessThan(4);
    receiver.makeRoom(50);
    await until("all", () => receiver.got.length === 50);
    expect(receiver.got.map(numberOf)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test("a peer may come later; what was sent before is counted as lost", async () => {
    using station = new Station(backend("a", "b"));
    expect(station.send(numbered(1))).toBe(true);
    using peer = UnixDatagramSocket.at(folder.at("b"));
    expect(station.send(numbered(2))).toBe(true);
    const target = new Uint8Array(100);
    expect(peer.receive(target)?.length).toBe(64);
    expect(station.port.counters).toMatchObject({ sentFrames: 1, drops: { unplugged: 1 } });
  });

  test("a peer that was started again is heard at once, and has the next frame", async () => {
    using station = new Station(backend("a", "b"));
    const first = UnixDatagramSocket.at(folder.at("b"));
    station.send(numbered(1));
    first[Symbol.dispose]();
    using second = UnixDatagramSocket.at(folder.at("b"));
    // It speaks first: a socket connected to the dead one would refuse it.
    expect(second.sendTo(folder.at("a"), numbered(9))).toBe(64);
    await until("it to be heard", () => station.got.length === 1);
    station.send(numbered(2));
    const target = new Uint8Array(100);
    expect([second.receive(target)?.length, new DataView(target.buffer).getUint32(14)]).toEqual([64, 2]);
    expect(station.port.counters.drops).toEqual({});
  });

  test("who waits for a peer that dies goes on", async () => {
    using station = new Station(backend("a", "b"));
    const peer = UnixDatagramSocket.at(folder.at("b"));
    const state = station.sendAll(2000, (number) => numbered(number));
    expect(state.waits).toBe(1);
    peer[Symbol.dispose]();
    await until("the rest to be given up", () => state.sent === 2000);
    expect(station.port.counters.drops["unplugged"]).toBeGreaterThan(1000);
  });

  test("what is no frame is dropped and counted: an empty datagram, one that is too long, one with descriptors", async () => {
    using station = new Station(backend("a", "b"));
    using peer = UnixSocket.connect(folder.at("a"), SocketType.Datagram);
    using eventFd = EventFd.create();
    for (const length of [0, 5, 65_551, 100_000]) peer.send(new Uint8Array(length));
    peer.send(numbered(1), [eventFd.number]);
    await until("the frame", () => station.got.length === 1);
    expect(station.port.counters).toMatchObject({ receivedFrames: 1, drops: { short: 2, long: 2 } });
  });

  test("a path in use is left alone, one that a dead process left is taken over, and one that is another's now stays", () => {
    using first = UnixDatagramSocket.at(folder.at("a"));
    expect(() => new Station(backend("a", "b"))).toThrow(code("socket-in-use"));
    expect(() => new Station(new DatagramBackend({ local: folder.at("c"), remote: "" }, { poller }))).toThrow(code("invalid-argument"));
    expect(existsSync(folder.at("c"))).toBe(false);
    // A second name of the socket stays, as the path of a killed process does.
    linkSync(first.path, folder.at("dead"));
    first[Symbol.dispose]();
    expect([existsSync(folder.at("a")), existsSync(folder.at("dead"))]).toEqual([false, true]);
    using again = new Station(backend("dead", "b"));
    unlinkSync(folder.at("dead"));
    using other = UnixDatagramSocket.at(folder.at("dead"));
    again[Symbol.dispose]();
    expect(existsSync(other.path)).toBe(true);
  });
});
