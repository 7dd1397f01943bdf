/** Both ways to wait: in the event loop, and in poll(2); what they do the same, and what would end the process. */
import { once } from "node:events";
import { openSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openFds, until } from "../host-scenarios.ts";
import { BlockingPoller, EventFd, EventFdNotifier, EventLoopPoller, Fd, Memfd, type Poller, type Readiness, UnixSocket } from "../index.ts";

let fds = 0;
let stack: DisposableStack;
beforeEach(() => {
  const [one, two] = UnixSocket.pair();
  one.send(Uint8Array.of(1));
  one[Symbol.dispose]();
  two[Symbol.dispose]();
  fds = openFds();
  stack = new DisposableStack();
});
afterEach(() => {
  stack.dispose();
  expect(openFds()).toBe(fds);
});

const code = (expected: string) => expect.objectContaining({ code: expected });
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3));
const pair = (): [UnixSocket, UnixSocket] => {
  const [one, two] = UnixSocket.pair();
  stack.use(one);
  stack.use(two);
  return [one, two];
};

const kinds: [string, () => { poller: Poller & { size: number }; turn: () => unknown }][] = [
  ["in the event loop", () => ({ poller: new EventLoopPoller(), turn })],
  [
    "in poll(2)",
    () => {
      const poller = stack.use(new BlockingPoller());
      return { poller, turn: () => poller.run(3) };
    },
  ],
];

describe.each(kinds)("waiting %s", (_, make) => {
  test("calls as long as a descriptor is ready for what is waited for, and no longer", async () => {
    const { poller, turn } = make();
    const [one, two] = pair();
    const heard: Readiness[] = [];
    const watch = stack.use(poller.watch(one, { readable: true }, (readiness) => heard.push(readiness)));
    await turn();
    expect(heard).toEqual([]);
    two.send(Uint8Array.of(1));
    await turn();
    await turn();
    expect(heard.length).toBeGreaterThan(1);
    expect(heard[0]).toEqual({ readable: true, writable: false });
    one.receive(new Uint8Array(1));
    await turn();
    heard.length = 0;
    watch.change({ writable: true });
    await turn();
    expect(heard[0]).toEqual({ readable: false, writable: true });
    watch.change({});
    await turn();
    heard.length = 0;
    await turn();
    expect([heard, poller.size]).toEqual([[], 1]);
    watch[Symbol.dispose]();
    watch[Symbol.dispose]();
    watch.change({ readable: true });
    expect(poller.size).toBe(0);
  });

  test("tells of the other's end, but not those who want to hear nothing", async () => {
    const { poller, turn } = make();
    const [one, two] = pair();
    let calls = 0;
    const watch = stack.use(poller.watch(one, {}, () => calls++));
    two[Symbol.dispose]();
    await turn();
    await turn();
    expect(calls).toBe(0);
    watch.change({ readable: true });
    await turn();
    expect(calls).toBeGreaterThan(0);
  });

  test("an error on a descriptor that is over does not end its watch", async () => {
    const { poller, turn } = make();
    const [one, two] = pair();
    const lengths: (number | undefined)[] = [];
    const watch = stack.use(
      poller.watch(one, { readable: true }, () => {
        lengths.push(one.receive(new Uint8Array(8))?.length);
      }),
    );
    // Who closes with something unread resets the connection.
    one.send(Uint8Array.of(1));
    two.send(Uint8Array.of(1, 2, 3));
    two[Symbol.dispose]();
    await turn();
    await turn();
    await turn();
    expect(lengths.slice(0, 2)).toEqual([3, 0]);
    watch[Symbol.dispose]();
  });

  test("a callback may end any watch, and what has the number then is not called", async () => {
    const { poller, turn } = make();
    const [one, two] = pair();
    const [three, four] = pair();
    let calls = 0;
    const watches: Disposable[] = [];
    const end = (): void => {
      calls++;
      for (const watch of watches) watch[Symbol.dispose]();
    };
    watches.push(stack.use(poller.watch(one, { readable: true }, end)), stack.use(poller.watch(three, { readable: true }, end)));
    two.send(Uint8Array.of(1));
    four.send(Uint8Array.of(1));
    await turn();
    await turn();
    expect([calls, poller.size]).toEqual([1, 0]);
  });

  test("what nobody can wait for, and a second watch, are refused: the event loop would end the process", () => {
    const { poller } = make();
    const [one] = pair();
    using watch = poller.watch(one, { readable: true }, () => {});
    expect(() => poller.watch(one, { readable: true }, () => {})).toThrow(code("invalid-argument"));
    if (poller instanceof EventLoopPoller) {
      expect(() => new EventLoopPoller().watch(one, { readable: true }, () => {})).toThrow(code("invalid-argument"));
    }
    using file = Memfd.create(4096);
    using folder = new Fd(openSync("/tmp", "r"));
    using device = new Fd(openSync("/dev/null", "r"));
    for (const fd of [file, folder, device]) {
      expect(() => poller.watch(fd, { readable: true }, () => {})).toThrow(code("invalid-argument"));
    }
    expect([poller.size, watch]).toEqual([1, watch]);
  });

  test("a notifier works", async () => {
    const { poller, turn } = make();
    const notifier = stack.use(new EventFdNotifier(poller));
    const counts: number[] = [];
    notifier.subscribe((count) => counts.push(count));
    notifier.signal(3);
    await turn();
    await turn();
    expect(counts).toEqual([3]);
  });
});

describe("a blocking poller", () => {
  test("says how many it called, or that it was woken, and waits no longer than it is told", () => {
    using poller = new BlockingPoller();
    using eventFd = EventFd.create();
    using watch = poller.watch(eventFd, { readable: true }, () => void eventFd.take());
    const start = performance.now();
    expect(poller.run(250)).toBe(0);
    expect(performance.now() - start).toBeGreaterThan(240);
    eventFd.signal();
    expect([poller.run(1000), poller.run(0)]).toEqual([1, 0]);
    poller.wake();
    expect([poller.run(60_000), poller.run(0)]).toEqual(["woken", 0]);
    for (const wrong of [Number.POSITIVE_INFINITY, Number.NaN, -1]) expect(() => poller.run(wrong)).toThrow(code("invalid-argument"));
    expect(watch).toBeDefined();
  });

  test("throws what a callback threw once all were called, or tells of it, and goes on", () => {
    const faults: unknown[] = [];
    const run = (poller: BlockingPoller): number | "woken" => {
      using first = EventFd.create();
      using second = EventFd.create();
      using owner = poller;
      let calls = 0;
      for (const eventFd of [first, second]) {
        owner.watch(eventFd, { readable: true }, () => {
          calls++;
          throw new Error(`bug ${calls}`);
        });
        eventFd.signal();
      }
      return owner.run(100);
    };
    expect(() => run(new BlockingPoller())).toThrow("bug 1");
    run(new BlockingPoller({ onFault: (fault) => faults.push(fault) }));
    expect(faults).toEqual([new Error("bug 1"), new Error("bug 2")]);
  });

  test("refuses to run in itself, and once it was disposed; a descriptor closed under it ends its watch", () => {
    const poller = new BlockingPoller();
    const [one, two] = pair();
    poller.watch(one, { readable: true }, () => void poller.run(0));
    two.send(Uint8Array.of(1));
    expect(() => poller.run(100)).toThrow(code("invalid-argument"));
    one[Symbol.dispose]();
    expect(() => poller.run(100)).toThrow(code("closed"));
    expect(poller.size).toBe(0);
    poller[Symbol.dispose]();
    poller[Symbol.dispose]();
    expect(() => poller.run(0)).toThrow(code("closed"));
  });

  test("serves in a worker, which ends when it is woken from here", async () => {
    using wake = EventFd.create();
    const [one, two] = pair();
    const worker = new Worker(new URL("poll.worker.ts", import.meta.url), {
      workerData: { wake: wake.number, socket: two.number, forever: false },
    });
    await once(worker, "message");
    const target = new Uint8Array(8);
    for (let i = 0; i < 100; i++) {
      one.send(Uint8Array.of(i));
      await until("an echo", () => one.receive(target)?.length === 1);
      expect(target[0]).toBe(i);
    }
    const ended = once(worker, "message");
    const exit = once(worker, "exit");
    wake.signal();
    expect(await ended).toEqual([{ echoed: 100 }]);
    await exit;
  });

  test("does not keep a worker from being terminated, even where nobody wakes it", async () => {
    using wake = EventFd.create();
    const [, two] = pair();
    const worker = new Worker(new URL("poll.worker.ts", import.meta.url), {
      workerData: { wake: wake.number, socket: two.number, forever: true },
    });
    const [{ own }] = (await once(worker, "message")) as [{ own: number[] }];
    const start = performance.now();
    await worker.terminate();
    expect(performance.now() - start).toBeLessThan(2000);
    // A thread that is terminated disposes nothing.
    for (const number of own) new Fd(number)[Symbol.dispose]();
  });
});
