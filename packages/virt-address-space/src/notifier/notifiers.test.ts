import { describe, expect, test } from "vitest";
import { LocalNotifier, type Notifier, SharedNotifier, sharedNotifierOpener } from "../index.ts";

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe.each<[string, () => Notifier]>([
  ["a local notifier", () => new LocalNotifier()],
  ["a shared notifier", () => new SharedNotifier()],
])("%s", (_, make) => {
  test("counts, and gives its count once", () => {
    using notifier = make();
    notifier.signal();
    notifier.signal(3);
    expect(notifier.take()).toBe(4);
    expect(notifier.take()).toBe(0);
  });

  test("calls its subscriber after the signal, once for all that came together, and for what came before", async () => {
    using notifier = make();
    notifier.signal();
    const counts: number[] = [];
    using subscription = notifier.subscribe((count) => counts.push(count));
    notifier.signal();
    notifier.signal();
    expect(counts).toEqual([]);
    await turn();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3);
    expect(counts.length).toBeLessThanOrEqual(2);
    notifier.signal();
    await turn();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(4);
    subscription[Symbol.dispose]();
    notifier.signal();
    await turn();
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(4);
    expect(notifier.take()).toBe(1);
  });

  test("has one subscriber at a time", async () => {
    using notifier = make();
    const first = notifier.subscribe(() => {});
    expect(() => notifier.subscribe(() => {})).toThrow(expect.objectContaining({ code: "busy" }));
    first[Symbol.dispose]();
    const counts: number[] = [];
    using _second = notifier.subscribe((count) => counts.push(count));
    notifier.signal(2);
    await turn();
    expect(counts).toEqual([2]);
  });

  test("loses no signal that its own subscriber gives", async () => {
    using notifier = make();
    let sum = 0;
    using _ = notifier.subscribe((count) => {
      sum += count;
      if (sum < 100) notifier.signal();
    });
    notifier.signal();
    for (let i = 0; i < 50 && sum < 100; i++) await turn();
    expect(sum).toBe(100);
  });

  test("calls nobody once it is disposed", async () => {
    const notifier = make();
    let called = false;
    notifier.subscribe(() => {
      called = true;
    });
    notifier.signal();
    notifier[Symbol.dispose]();
    await turn();
    expect(called).toBe(false);
  });
});

test("a shared notifier goes where its descriptor goes", () => {
  using one = new SharedNotifier();
  using two = sharedNotifierOpener.open(one.share());
  two.signal(5);
  expect(one.take()).toBe(5);
  expect(new LocalNotifier().share()).toBeUndefined();
  expect(() => sharedNotifierOpener.open({ kind: "shared", payload: new ArrayBuffer(4) })).toThrow(
    expect.objectContaining({ code: "foreign-descriptor" }),
  );
});

test("waiting asynchronously ends with the signal, with the time, or with the notifier", async () => {
  using notifier = new SharedNotifier();
  expect(await notifier.waitAsync(20)).toBe(0);
  const waiting = notifier.waitAsync();
  notifier.signal(2);
  expect(await waiting).toBe(2);
  notifier.signal();
  expect(await notifier.waitAsync()).toBe(1);
  const ended = notifier.waitAsync();
  notifier[Symbol.dispose]();
  expect(await ended).toBe(0);
});

describe.each([
  ["local", () => new LocalNotifier()],
  ["shared", () => new SharedNotifier()],
] as const)("a %s notifier", (_, make) => {
  const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

  test("counts to its most and stops there, and refuses what is no count", () => {
    using notifier = make();
    for (const count of [0, -1, 0.5, Number.NaN, 2 ** 60]) {
      expect(() => notifier.signal(count)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
    }
    notifier.signal(0x7fff_ffff);
    notifier.signal(5);
    expect([notifier.take(), notifier.take()]).toEqual([0x7fff_ffff, 0]);
  });

  test("an old subscription that is disposed again leaves the next one alone", async () => {
    using notifier = make();
    const got: number[] = [];
    const callback = (count: number): void => void got.push(count);
    const first = notifier.subscribe(callback);
    first[Symbol.dispose]();
    using second = notifier.subscribe(callback);
    first[Symbol.dispose]();
    notifier.signal();
    await tick();
    expect([got, second === first]).toEqual([[1], false]);
  });
});

test("a wait without limit outlasts a subscriber that leaves in another thread", async () => {
  using here = new SharedNotifier();
  using there = sharedNotifierOpener.open(here.share());
  const waiting = here.waitAsync();
  there.subscribe(() => {})[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 10));
  there.signal(3);
  expect(await waiting).toBe(3);
});
