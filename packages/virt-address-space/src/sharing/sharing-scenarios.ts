/** What must hold between threads, in every host: registered by the Node tests and by the browser tests. */
import { afterEach, describe, expect, test } from "vitest";
import {
  gpa,
  LocalNotifier,
  type Region,
  SharedNotifier,
  type SpaceDescriptor,
  type SpaceFault,
  sharedMemory,
  VirtAddressSpace,
} from "../index.ts";
import type { Request } from "./scenario.worker.ts";

/** A worker, whatever the host calls it. */
export interface TestWorker {
  post(message: unknown, transfer: readonly unknown[]): void;
  onMessage(listener: (message: unknown) => void): void;
  terminate(): void;
}

const PAGE = 4096;

/** Speaks with a worker: one request at a time. */
export class Peer {
  readonly #worker: TestWorker;
  readonly #waiting: ((message: Record<string, unknown>) => void)[] = [];

  constructor(worker: TestWorker) {
    this.#worker = worker;
    worker.onMessage((message) => this.#waiting.shift()?.(message as Record<string, unknown>));
  }

  next(): Promise<Record<string, unknown>> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async ask(request: Request, transfer: readonly unknown[] = []): Promise<unknown> {
    const answer = this.next();
    this.#worker.post(request, transfer);
    const { done, failed } = await answer;
    if (failed !== undefined) throw Object.assign(new Error(String(failed)), { code: failed });
    return done;
  }

  attach(descriptor: SpaceDescriptor, more: { name?: string; receive?: boolean; wake?: SharedArrayBuffer } = {}): Promise<unknown> {
    return this.ask({ do: "attach", descriptor, ...more }, descriptor.transfer);
  }

  terminate(): void {
    this.#worker.terminate();
  }
}

/** Waits until something holds; long enough for Chromium, which gives a thread that hangs two seconds before it ends it. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(holds()).toBe(true);
}

/** Registers the tests. */
export function sharingScenarios(start: () => TestWorker): void {
  const peers: Peer[] = [];
  const peer = (): Peer => {
    const made = new Peer(start());
    peers.push(made);
    return made;
  };
  afterEach(() => {
    for (const each of peers.splice(0)) each.terminate();
  });

  function guest(graceMilliseconds = 1000): { space: VirtAddressSpace; ram: Region; faults: SpaceFault[] } {
    const faults: SpaceFault[] = [];
    const space = VirtAddressSpace.create({ name: "guest", graceMilliseconds, onFault: (fault) => faults.push(fault) });
    const ram = space.map({ name: "ram", base: gpa(0), memory: sharedMemory(64 * PAGE) });
    return { space, ram, faults };
  }

  describe("a space attached in another thread", () => {
    test("is the same space: identity, map, bytes", async () => {
      const { space } = guest();
      const worker = peer();
      space.writeU32(gpa(0x100), 42);
      expect(await worker.attach(space.descriptor())).toEqual({ id: space.id, size: space.size, owned: false, generation: 1 });
      expect(await worker.ask({ do: "read", address: 0x100 })).toBe(42);
      expect(await worker.ask({ do: "write", address: 0x200, value: 7 })).toBe(true);
      expect(space.readU32(gpa(0x200))).toBe(7);
      await until(() => space.holders.length === 2);
      expect(space.holders).toEqual(["its creator", "worker"]);
      space[Symbol.dispose]();
    });

    test("hears of what is mapped, moved and unmapped later", async () => {
      const { space, ram } = guest();
      const worker = peer();
      const descriptor = space.descriptor();
      space.map({ name: "between", base: gpa(0x10_0000), memory: sharedMemory(PAGE) });
      await worker.attach(descriptor);
      expect(await worker.ask({ do: "regions" })).toHaveLength(2);
      space.map({ name: "later", base: gpa(0x20_0000), memory: sharedMemory(PAGE) });
      await space.move(ram, gpa(0x30_0000)).settled;
      expect(await worker.ask({ do: "regions" })).toEqual([
        ["between", 0x10_0000, PAGE],
        ["later", 0x20_0000, PAGE],
        ["ram", 0x30_0000, 64 * PAGE],
      ]);
      await space.unmap(ram);
      expect(await worker.ask({ do: "read", address: 0x30_0000 })).toBeUndefined();
      space[Symbol.dispose]();
    });

    test("is let go: the owner frees what is unmapped once the worker's batch is over", async () => {
      const { space, ram } = guest();
      const worker = peer();
      await worker.attach(space.descriptor());
      await worker.ask({ do: "batch" });
      const memory = ram.memory as NonNullable<typeof ram.memory>;
      let settled = false;
      const unmapped = space.unmap(ram).then(() => {
        settled = true;
      });
      // Requests and commits come over different ports: their order is the host's affair.
      while (((await worker.ask({ do: "regions" })) as unknown[]).length > 0);
      expect([settled, memory.released]).toEqual([false, false]);
      await worker.ask({ do: "batch end" });
      await unmapped;
      expect(memory.released).toBe(true);
      space[Symbol.dispose]();
    });

    test("keeps the space alive until it detaches, after its creator let go", async () => {
      const { space, ram } = guest();
      const memory = ram.memory as NonNullable<typeof ram.memory>;
      const worker = peer();
      await worker.attach(space.descriptor());
      space[Symbol.dispose]();
      expect([space.released, memory.released]).toEqual([false, false]);
      expect(await worker.ask({ do: "write", address: 0x10, value: 5 })).toBe(true);
      expect(await worker.ask({ do: "detach" })).toBe(true);
      await until(() => space.released);
      expect(memory.released).toBe(true);
    });

    test("that was taken in the moment its creator let go keeps it too", async () => {
      const { space, ram } = guest();
      const worker = peer();
      const attached = worker.attach(space.descriptor());
      await attached;
      // Its word may still be on the way here: nothing has run since but the answer.
      space[Symbol.dispose]();
      expect(ram.memory?.released).toBe(false);
      await worker.ask({ do: "detach" });
      await until(() => space.released);
    });

    test("can't be attached twice, nor after its release, nor once it was let go", async () => {
      const { space } = guest();
      const [one, two] = [peer(), peer()];
      const descriptor = space.descriptor();
      const late = space.descriptor();
      const clone = { ...descriptor };
      await one.attach(descriptor);
      await expect(VirtAddressSpace.attach(clone)).rejects.toMatchObject({ code: "already-attached" });
      await one.ask({ do: "detach" });
      await until(() => space.holders.length === 1);
      await expect(VirtAddressSpace.attach(clone)).rejects.toMatchObject({ code: "stale-descriptor" });
      space[Symbol.dispose]();
      await expect(two.attach(late)).rejects.toMatchObject({ code: "released" });
    });

    test("that died is noticed, named where somebody waits for it, and nothing is kept for it", async () => {
      const { space, ram } = guest(5000);
      const worker = peer();
      await worker.attach(space.descriptor(), { name: "mayfly" });
      await worker.ask({ do: "batch" });
      const unmapped = space.unmap(ram);
      worker.terminate();
      await expect(unmapped).rejects.toMatchObject({ code: "holder-died", details: { holders: ["mayfly"] } });
      expect([ram.memory?.released, space.holders]).toEqual([true, ["its creator"]]);
      space[Symbol.dispose]();
      expect(space.released).toBe(true);
    });

    test("that hangs is named after the grace time, and nothing is freed under it", async () => {
      const { space, ram } = guest(60);
      const [stuck, fine] = [peer(), peer()];
      await stuck.attach(space.descriptor(), { name: "stuck" });
      await fine.attach(space.descriptor(), { name: "fine" });
      const hanging = stuck.next();
      stuck.ask({ do: "hang" }).catch(() => {});
      await hanging.catch(() => {});
      await expect(space.unmap(ram)).rejects.toMatchObject({ code: "holder-unresponsive", details: { holders: ["stuck"] } });
      expect(ram.memory?.released).toBe(false);
      stuck.terminate();
      await until(() => ram.memory?.released === true);
      space[Symbol.dispose]();
    });

    test("a descriptor that nobody takes holds nothing up", async () => {
      const { space, ram } = guest(60);
      const descriptor = space.descriptor();
      await space.unmap(ram);
      expect(ram.memory?.released).toBe(true);
      space[Symbol.dispose]();
      expect(space.released).toBe(true);
      await expect(VirtAddressSpace.attach(descriptor)).rejects.toMatchObject({ code: "released" });
    });
  });

  describe("changes from another thread", () => {
    test("an I/O window lives where it was mapped; others bring their accesses there", async () => {
      const { space } = guest();
      const [home, other] = [peer(), peer()];
      await home.attach(space.descriptor());
      await other.attach(space.descriptor());
      expect(await home.ask({ do: "io window", address: 0x10_0000 })).toEqual([2, 0x10_0000, 1]);
      expect(space.lookup(gpa(0x10_0000))?.region.name).toBe("counter");
      expect(space.readU32(gpa(0x10_0000))).toBeUndefined();
      expect(await other.ask({ do: "read", address: 0x10_0000 })).toBeUndefined();
      expect(await space.ioRead(gpa(0x10_0000), 4)).toBe(2n);
      expect(await space.ioWrite(gpa(0x10_0000), 4, 10)).toBe(true);
      expect(await space.ioRead(gpa(0x10_0000), 4)).toBe(11n);
      await home.ask({ do: "detach" });
      await until(() => space.regions.length === 1);
      expect(await space.ioRead(gpa(0x10_0000), 4)).toBeUndefined();
      space[Symbol.dispose]();
    });

    test("two threads that change at once: one is first, the other is told why it can't", async () => {
      const { space } = guest();
      const [one, two] = [peer(), peer()];
      await one.attach(space.descriptor());
      await two.attach(space.descriptor());
      const outcomes = await Promise.all([
        one.ask({ do: "propose overlap", address: 0x10_0000 }),
        two.ask({ do: "propose overlap", address: 0x10_0004 }),
      ]);
      expect(outcomes.toSorted()).toEqual(["mapped", "overlap"]);
      expect(space.regions).toHaveLength(2);
      expect(await one.ask({ do: "regions" })).toEqual(await two.ask({ do: "regions" }));
      space[Symbol.dispose]();
    });

    test("a doorbell from a worker rings for a write in any thread", async () => {
      const { space } = guest();
      const [waiting, writing] = [peer(), peer()];
      await waiting.attach(space.descriptor());
      await writing.attach(space.descriptor());
      const rung = waiting.ask({ do: "doorbell", address: 0x10_0000 });
      await until(() => space.doorbells.length === 1);
      // The commit and this request come by different ports, in any order: a write before the commit finds nothing.
      let took = false;
      for (let i = 0; i < 500 && !took; i++) took = (await writing.ask({ do: "write", address: 0x10_0000, value: 1 })) === true;
      expect(took).toBe(true);
      expect(await rung).toBe(1);
      space[Symbol.dispose]();
    });

    test("a doorbell of the owner's rings for a write in a worker: by shared memory, or by message", async () => {
      const { space } = guest();
      using local = new LocalNotifier();
      using shared = new SharedNotifier();
      space.addDoorbell({ address: gpa(0x10_0000), length: 4, notifier: local });
      space.addDoorbell({ address: gpa(0x10_0010), length: 4, notifier: shared });
      const worker = peer();
      await worker.attach(space.descriptor());
      await worker.ask({ do: "write", address: 0x10_0010, value: 1 });
      expect(shared.take()).toBe(1);
      let rung = 0;
      using _ = local.subscribe((count) => {
        rung += count;
      });
      await worker.ask({ do: "write", address: 0x10_0000, value: 1 });
      await until(() => rung === 1);
      space[Symbol.dispose]();
    });
  });

  describe("a dirty log between threads", () => {
    test("has the writes of all of them, from the moment it is ready", async () => {
      const { space } = guest();
      const worker = peer();
      await worker.attach(space.descriptor());
      using log = space.dirtyLog("client");
      await log.ready;
      await worker.ask({ do: "write", address: 0x3000, value: 1 });
      space.writeU32(gpa(0x5000), 1);
      expect(log.harvest().map(({ address }) => address)).toEqual([0x3000, 0x5000]);
      space[Symbol.dispose]();
    });

    test("reaches a thread that attaches while it runs", async () => {
      const { space } = guest();
      using log = space.dirtyLog("client");
      const worker = peer();
      await worker.attach(space.descriptor());
      await worker.ask({ do: "write", address: 0x3000, value: 1 });
      expect(log.harvest().map(({ address }) => address)).toEqual([0x3000]);
      space[Symbol.dispose]();
    });

    test("counts the windows that are open in other threads", async () => {
      const { space } = guest();
      const worker = peer();
      await worker.attach(space.descriptor());
      using log = space.dirtyLog("client");
      await log.ready;
      await worker.ask({ do: "vmap", address: 0x2800, length: PAGE });
      expect(log.harvest()).toEqual([{ address: 0x2000, length: 2 * PAGE }]);
      expect(log.harvest()).toEqual([{ address: 0x2000, length: 2 * PAGE }]);
      await worker.ask({ do: "vmap close" });
      // Told twice: a mark of another thread may be seen before the bytes that it is about.
      expect(log.harvest()).toEqual([{ address: 0x2000, length: 2 * PAGE }]);
      expect(log.harvest()).toEqual([{ address: 0x2000, length: 2 * PAGE }]);
      expect(log.harvest()).toEqual([]);
      space[Symbol.dispose]();
    });

    test("has what a worker may have written through a window before it died", async () => {
      const { space } = guest();
      const worker = peer();
      await worker.attach(space.descriptor(), { name: "mayfly" });
      using log = space.dirtyLog("client");
      await log.ready;
      await worker.ask({ do: "vmap", address: 0x2000, length: PAGE });
      for (let i = 0; i < 2; i++) log.harvest();
      worker.terminate();
      await until(() => !space.holders.includes("mayfly"));
      expect(log.harvest()).toContainEqual({ address: 0x2000, length: PAGE });
      space[Symbol.dispose]();
    });

    test("loses no page that two threads write while a third harvests", async () => {
      const { space } = guest();
      const [one, two] = [peer(), peer()];
      await one.attach(space.descriptor());
      await two.attach(space.descriptor());
      using log = space.dirtyLog("client");
      await log.ready;
      const rounds = 2000;
      let over = false;
      const writing = Promise.all([one, two].map((each) => each.ask({ do: "mark many", pages: 32, rounds }))).then(() => {
        over = true;
      });
      const last = new Map<number, number>();
      const take = (): void => {
        for (const { address, length } of log.harvest()) {
          for (let at = address as number; at < address + length; at += PAGE) last.set(at, space.readU32(gpa(at + 4)) ?? -1);
        }
      };
      while (!over) {
        take();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      await writing;
      take();
      // The copy that a harvest drives ends with the last value of every page: nothing that was written went unseen.
      expect([...last.values()]).toEqual(Array.from({ length: 32 }, () => rounds - 1));
      space[Symbol.dispose]();
    });
  });

  test("a shared notifier wakes a worker that blocks, and loses no signal", async () => {
    using notifier = new SharedNotifier();
    const worker = peer();
    const total = 20_000;
    const waited = worker.ask({ do: "wait", notifier: notifier.share().payload as SharedArrayBuffer, until: total });
    for (let i = 0; i < total; i++) {
      notifier.signal();
      if (i % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(await waited).toBe(total);
  });
}
