import { describe, expect, test } from "vitest";
import { type AddressSpaceListener, arrayBufferMemory, gpa, LocalNotifier, type SpaceFault, VirtAddressSpace } from "../index.ts";

const PAGE = 4096;

/** Writes down what it is told; throws where it is asked to. */
class Recorder implements AddressSpaceListener {
  readonly name: string;
  readonly priority: number;
  readonly log: string[];
  failAt: string | undefined;

  constructor(name: string, priority = 0, log: string[] = []) {
    this.name = name;
    this.priority = priority;
    this.log = log;
  }

  #told(what: string): void {
    if (what === this.failAt) throw new Error(`${this.name} will not`);
    this.log.push(this.priority === 0 ? what : `${this.name}: ${what}`);
  }

  begin(): void {
    this.#told("begin");
  }
  removed({ region, start }: Parameters<NonNullable<AddressSpaceListener["removed"]>>[0]): void {
    this.#told(`-${region.name}@${start}`);
  }
  added({ region, start }: Parameters<NonNullable<AddressSpaceListener["added"]>>[0]): void {
    this.#told(`+${region.name}@${start}`);
  }
  unchanged({ region, start }: Parameters<NonNullable<AddressSpaceListener["unchanged"]>>[0]): void {
    this.#told(`=${region.name}@${start}`);
  }
  doorbellAdded({ address }: Parameters<NonNullable<AddressSpaceListener["doorbellAdded"]>>[0]): void {
    this.#told(`+bell@${address}`);
  }
  doorbellRemoved({ address }: Parameters<NonNullable<AddressSpaceListener["doorbellRemoved"]>>[0]): void {
    this.#told(`-bell@${address}`);
  }
  logStarted(): void {
    this.#told("log started");
  }
  logStopped(): void {
    this.#told("log stopped");
  }
  commit({ generation }: Parameters<NonNullable<AddressSpaceListener["commit"]>>[0]): void {
    this.#told(`commit ${generation}`);
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

function populated(onFault: (fault: SpaceFault) => void = () => {}): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest", onFault });
  space.transaction((change) => {
    change.map({ name: "b", base: gpa(0x10000), memory: arrayBufferMemory(PAGE) });
    change.map({ name: "a", base: gpa(0), memory: arrayBufferMemory(PAGE) });
  });
  return space;
}

describe("a listener", () => {
  test("is told all there is when it joins, in address order, and that it is gone when it leaves", () => {
    using space = populated();
    const recorder = new Recorder("kvm");
    using bell = space.addDoorbell({ address: gpa(0x50), length: 4, notifier: new LocalNotifier() });
    using log = space.dirtyLog("client");
    const listening = space.listen(recorder);
    expect(recorder.take()).toEqual(["begin", "+a@0", "+b@65536", "log started", "+bell@80", "commit 3"]);
    listening[Symbol.dispose]();
    listening[Symbol.dispose]();
    expect(recorder.take()).toEqual(["begin", "-bell@80", "log stopped", "-a@0", "-b@65536", "commit 3"]);
    space.map({ name: "later", base: gpa(0x20000), memory: arrayBufferMemory(PAGE) });
    expect(recorder.take()).toEqual([]);
    expect([bell.id, log.name]).toEqual([1, "client"]);
  });

  test("is told what changed: removals first, then additions, then what stayed", () => {
    using space = populated();
    const recorder = new Recorder("kvm");
    using _ = space.listen(recorder);
    recorder.take();
    const [, a] = space.regions;
    space.move(a as NonNullable<typeof a>, gpa(0x20000));
    expect(recorder.take()).toEqual(["begin", "-a@0", "+a@131072", "=b@65536", "commit 2"]);
    using bell = space.addDoorbell({ address: gpa(0x50), length: 4, notifier: new LocalNotifier() });
    expect(recorder.take()).toEqual(["begin", "=b@65536", "=a@131072", "+bell@80", "commit 3"]);
    bell[Symbol.dispose]();
    expect(recorder.take()).toEqual(["begin", "-bell@80", "=b@65536", "=a@131072", "commit 4"]);
  });

  test("hears of the first dirty log and of the last one's end", () => {
    using space = populated();
    const recorder = new Recorder("kvm");
    using _ = space.listen(recorder);
    const one = space.dirtyLog("one");
    const two = space.dirtyLog("two");
    one[Symbol.dispose]();
    expect(recorder.take().filter((each) => each.startsWith("log"))).toEqual(["log started"]);
    two[Symbol.dispose]();
    expect(recorder.take().filter((each) => each.startsWith("log"))).toEqual(["log stopped"]);
  });

  test("of lower priority hears of additions first and of removals last", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    const log: string[] = [];
    using _device = space.listen(new Recorder("device", 10, log));
    using _kvm = space.listen(new Recorder("kvm", -10, log));
    log.splice(0);
    const region = space.map({ name: "a", base: gpa(0), memory: arrayBufferMemory(PAGE) });
    expect(log.filter((each) => each.includes("+"))).toEqual(["kvm: +a@0", "device: +a@0"]);
    void space.unmap(region);
    expect(log.filter((each) => each.includes("-a"))).toEqual(["device: -a@0", "kvm: -a@0"]);
  });

  test.each(["begin", "-a@0", "+c@0", "=b@65536", "commit 2"])(
    "that throws at %s aborts the change, and everyone is told the inverse of what they accepted",
    (moment) => {
      using space = populated();
      const before = space.view();
      const good = new Recorder("good", -1, []);
      const bad = new Recorder("bad");
      using _good = space.listen(good);
      using _bad = space.listen(bad);
      good.take();
      bad.take();
      bad.failAt = moment;
      const [, a] = space.regions as [unknown, (typeof space.regions)[number]];
      const memory = arrayBufferMemory(PAGE);
      const change = (): unknown =>
        space.transaction((transaction) => {
          transaction.unmap(a);
          transaction.map({ name: "c", base: gpa(0), memory });
        });
      expect(change).toThrow(expect.objectContaining({ code: "listener-failed", message: expect.stringContaining("bad will not") }));
      expect(space.view()).toBe(before);
      expect(a.base).toBe(0);
      expect(memory.released).toBe(false);

      // What each was told adds up to nothing.
      for (const { log } of [good, bad]) {
        const balance = new Map<string, number>();
        for (const entry of log) {
          const [, sign, what] = /([+-])(\S+)$/.exec(entry) ?? [];
          if (what !== undefined) balance.set(what, (balance.get(what) ?? 0) + (sign === "+" ? 1 : -1));
        }
        expect([...balance.values()].every((sum) => sum === 0)).toBe(true);
      }
      if (moment !== "begin") expect(good.log.at(-1)).toBe("good: commit 1");

      bad.failAt = undefined;
      change();
      expect(space.view().ranges.map(({ region }) => region.name)).toEqual(["c", "b"]);
    },
  );

  test("that throws while it joins has not joined", () => {
    using space = populated();
    const bad = new Recorder("bad");
    bad.failAt = "+b@65536";
    expect(() => space.listen(bad)).toThrow(expect.objectContaining({ code: "listener-failed" }));
    expect(bad.take()).toEqual(["begin", "+a@0", "begin", "-a@0", "commit 0"]);
    space.map({ name: "c", base: gpa(0x20000), memory: arrayBufferMemory(PAGE) });
    expect(bad.take()).toEqual([]);
  });

  test("that throws while a change is taken back is dropped and reported", () => {
    const faults: SpaceFault[] = [];
    using space = populated((fault) => faults.push(fault));
    let adding = false;
    using _hopeless = space.listen({
      name: "hopeless",
      priority: -1,
      added: () => {
        adding = true;
      },
      removed: () => {
        if (adding) throw new Error("can't go back");
      },
    });
    const bad = new Recorder("bad");
    using _bad = space.listen(bad);
    bad.failAt = "+c@131072";
    const map = (): unknown => space.map({ name: "c", base: gpa(0x20000), memory: arrayBufferMemory(PAGE) });
    expect(map).toThrow(expect.objectContaining({ code: "listener-failed" }));
    expect(faults).toEqual([expect.objectContaining({ code: "listener-failed", name: "hopeless" })]);
    bad.failAt = undefined;
    map();
  });

  test("can't change the map, and can't join twice", () => {
    using space = populated();
    const refused: unknown[] = [];
    const nosy: AddressSpaceListener = {
      name: "nosy",
      begin: () => {
        for (const change of [
          () => space.map({ name: "x", base: gpa(0x50000), memory: arrayBufferMemory(PAGE) }),
          () => space.dirtyLog("x"),
          () => space.listen(new Recorder("x")),
          () => space.descriptor(),
        ]) {
          try {
            change();
          } catch (error) {
            refused.push((error as { code: string }).code);
          }
        }
      },
    };
    using _ = space.listen(nosy);
    expect(refused).toEqual(["busy", "busy", "busy", "busy"]);
    expect(() => space.listen(nosy)).toThrow(expect.objectContaining({ code: "busy" }));
  });

  test("may put the last reference: the commit comes to its end first", async () => {
    const space = populated();
    const memory = arrayBufferMemory(PAGE);
    const generations: number[] = [];
    space.listen({ name: "last", begin: () => space[Symbol.dispose](), commit: (view) => generations.push(view.generation) });
    expect(space.released).toBe(true);
    await Promise.resolve();
    expect(generations).toEqual([1, 2]);
    expect(space.view().ranges).toEqual([]);
    expect(() => space.map({ name: "late", base: gpa(0), memory })).toThrow(expect.objectContaining({ code: "released" }));
  });
});
