/** What every hypervisor must do for a composer. @module */
import { type Hypervisor, HypervisorError, type InterruptLine, type MachineEnd } from "@virtspace/hypervisor";
import { AcpiPower, ExitPort, loadFlat, loadMultiboot, PIT_IRQ, Pit, POWER, Uart } from "@virtspace/pc-platform";
import {
  AsyncDisposableStack,
  arrayBufferMemory,
  gpa,
  LocalNotifier,
  type MemoryProvider,
  type Notifier,
  VirtAddressSpace,
} from "@virtspace/virt-address-space";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GuestName, guestImage } from "../guest/guest-image.ts";
import { type AccessSize, GuestCode } from "./guest-code.ts";
import { Place, TrialMachine } from "./trial-machine.ts";

/** A hypervisor to be tested. */
export interface HypervisorSuiteOptions {
  /** For the tests' names. */
  readonly name: string;
  /** Opens it. */
  open(): Promise<Hypervisor>;
  /** Why it can't be tested here: the tests are skipped then, and their name says so. */
  readonly skip?: string | undefined;
  /** A notifier of the kind that it serves best: a local one unless given. */
  readonly notifier?: () => Notifier;
  /** Makes memory that guests can have besides their own: in an ArrayBuffer unless given. */
  readonly extraMemory?: (size: number) => MemoryProvider;
  /** An instruction that it can't run, if there is one. */
  readonly notEmulated?: Uint8Array;
  /** How many interrupts are counted; 100,000 unless given. */
  readonly interrupts?: number;
}

const SIZES: readonly AccessSize[] = [1, 2, 4];
const DONE = 0x500;
const ACKNOWLEDGE = 0x510;
const BUSY = 0x520;
const READY = 0x530;
const LINE = 5;
const WINDOW = 0xd000_0000;

/** The suite runs wherever vitest does: what Node and browsers have under the same names. */
const { performance, setTimeout, structuredClone } = globalThis as unknown as {
  readonly performance: { now(): number };
  setTimeout(task: () => void, milliseconds: number): void;
  structuredClone<T>(value: T): T;
};
const soon = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Declares the tests. */
export function hypervisorSuite({
  name,
  open,
  skip,
  notifier = () => new LocalNotifier(),
  extraMemory = arrayBufferMemory,
  notEmulated,
  interrupts = 100_000,
}: HypervisorSuiteOptions): void {
  // The reason is in the name: it shows where the tests were not run.
  describe.skipIf(skip !== undefined)(`the hypervisor ${name}${skip === undefined ? "" : `, not run: ${skip}`}`, () => {
    let hypervisor: Hypervisor;
    beforeAll(async () => {
      hypervisor = await open();
    });
    afterAll(() => (hypervisor as Partial<Disposable> | undefined)?.[Symbol.dispose]?.());

    const trial = (): Promise<TrialMachine> => TrialMachine.create(hypervisor);

    describe("accesses", () => {
      test.each(SIZES)("of %i bytes reach a port window, and read it", async (size) => {
        await using box = await trial();
        const seen: number[][] = [];
        box.port(0x600, 4, {
          read: (...access) => {
            seen.push(access);
            return 0x8765_4321;
          },
          write: (...access) => void seen.push(access),
        });
        const done = box.reported(DONE);
        await box.load((code) => code.write(0x600, 0x1234_5678, size).in(0x600, size).out(DONE).haltForGood());
        box.machine.run();
        const mask = 2 ** (8 * size) - 1;
        expect(await done).toBe(size === 4 ? 0x8765_4321 : 0x8765_4321 & mask);
        expect(seen).toEqual([
          [0, size, size === 4 ? 0x1234_5678 : 0x1234_5678 & mask],
          [0, size],
        ]);
        expect(box.machine.counters.portAccesses).toBeGreaterThanOrEqual(3);
      });

      test.each(SIZES)("of %i bytes reach a memory window, and read it", async (size) => {
        await using box = await trial();
        const bytes = new DataView(new ArrayBuffer(16));
        const read = (offset: number, length: number): number =>
          length === 1 ? bytes.getUint8(offset) : length === 2 ? bytes.getUint16(offset, true) : bytes.getUint32(offset, true);
        const write = (offset: number, length: number, value: number): void => {
          for (let i = 0; i < length; i++) bytes.setUint8(offset + i, (value >>> (8 * i)) & 0xff);
        };
        box.memory.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler: { read, write } });
        const done = box.reported(DONE);
        await box.load((code) =>
          code
            .eax(0x1234_5678)
            .store(WINDOW + 4, size)
            .load(WINDOW + 4, 4)
            .out(DONE)
            .haltForGood(),
        );
        box.machine.run();
        expect(await done).toBe(size === 4 ? 0x1234_5678 : 0x1234_5678 & (2 ** (8 * size) - 1));
        expect(box.machine.counters.memoryAccesses).toBeGreaterThanOrEqual(2);
      });

      test("to nothing read as ones, and are lost", async () => {
        await using box = await trial();
        const done = box.reported(DONE);
        await box.load((code) => code.write(0x700, 1).eax(1).store(WINDOW).in(0x700).out(DONE).load(WINDOW).out(DONE).haltForGood());
        box.machine.run();
        expect(await done).toBe(0xffff_ffff);
      });

      test("to memory that is not the engine's own are those of the space", async () => {
        await using box = await trial();
        box.memory.map({ name: "elsewhere", base: gpa(WINDOW), memory: arrayBufferMemory(4096) });
        box.memory.writeU32(gpa(WINDOW + 8), 77);
        const done = box.reported(DONE);
        await box.load((code) =>
          code
            .eax(42)
            .store(WINDOW)
            .load(WINDOW + 8)
            .out(DONE)
            .haltForGood(),
        );
        box.machine.run();
        expect([await done, box.memory.readU32(gpa(WINDOW))]).toEqual([77, 42]);
      });

      test("of a guest to ROM change nothing", async () => {
        await using box = await trial();
        const rom = extraMemory(4096);
        rom.bytes().fill(0xf4);
        box.memory.map({ kind: "rom", name: "rom", base: gpa(WINDOW), memory: rom });
        const done = box.reported(DONE);
        await box.load((code) => code.eax(1).store(WINDOW).load(WINDOW).out(DONE).haltForGood());
        box.machine.run();
        expect([await done, box.memory.readU32(gpa(WINDOW))]).toEqual([0xf4f4_f4f4, 0xf4f4_f4f4]);
      });

      test.each([
        ["a port", 0x600],
        ["memory", WINDOW],
      ])("to a doorbell at %s ring it, and reach nobody else", async (_what, address) => {
        await using box = await trial();
        using bell = notifier();
        const space = address === 0x600 ? box.ports : box.memory;
        let missed = 0;
        space.map({ kind: "io", name: "behind", base: gpa(address), size: 4, handler: { read: () => 0, write: () => void missed++ } });
        let rings = 0;
        bell.subscribe((count) => {
          rings += count;
        });
        space.addDoorbell({ address: gpa(address), length: 4, datamatch: 7, notifier: bell });
        const done = box.reported(DONE);
        await box.load((code) => {
          const ring = (value: number): unknown => (address === 0x600 ? code.write(address, value) : code.eax(value).store(address));
          ring(7);
          ring(8);
          code.ecx(1000);
          const again = code.here;
          ring(7);
          code.loop(again).out(DONE).haltForGood();
        });
        box.machine.run();
        await done;
        await soon(20);
        expect([rings, missed]).toEqual([1001, 1]);
      });
    });

    describe("interrupts", () => {
      const acknowledging = {
        [LINE]: (code: GuestCode) => code.enterHandler().increment(Place.counter).write(ACKNOWLEDGE, 1).leaveHandler(),
      };

      test.each([
        ["edges", (line: InterruptLine) => line.pulse()],
        [
          "levels, each of which stays until it is let down",
          (line: InterruptLine) => {
            line.setLevel(false);
            line.setLevel(true);
          },
        ],
      ])(`as %s: none of ${interrupts} is lost under load, and none comes twice`, { timeout: 60_000 }, async (what, raise) => {
        await using box = await trial();
        using line = box.machine.line(LINE);
        let left = interrupts;
        const all = Promise.withResolvers<void>();
        box.port(ACKNOWLEDGE, 4, {
          write: () => {
            if (--left > 0) return raise(line);
            line.setLevel(false);
            all.resolve();
          },
        });
        box.port(BUSY, 4, {});
        await box.load((code) => {
          code
            .setUpPic([LINE], what === "edges" ? [] : [LINE])
            .write(READY, 1)
            .enableInterrupts();
          const again = code.here;
          code.ecx(50);
          const spin = code.here;
          code.loop(spin).write(BUSY, 1).jump(again);
        }, acknowledging);
        const ready = box.reported(READY);
        box.machine.run();
        await ready;
        raise(line);
        await all.promise;
        await soon(20);
        await box.machine.pause();
        expect(box.counter).toBe(interrupts);
      });

      test("wake a guest that waits, from a later turn and by a notifier", async () => {
        await using box = await trial();
        using line = box.machine.line(LINE);
        using bell = notifier();
        using _following = line.follow(bell);
        let acknowledged = Promise.withResolvers<void>();
        box.port(ACKNOWLEDGE, 4, { write: () => acknowledged.resolve() });
        await box.load((code) => {
          code.setUpPic([LINE]).write(READY, 1);
          const again = code.here;
          code.waitForInterrupt().jump(again);
        }, acknowledging);
        const ready = box.reported(READY);
        box.machine.run();
        await ready;
        for (let i = 1; i <= 50; i++) {
          await soon(i % 10 === 0 ? 5 : 0);
          if (i % 2 === 0) bell.signal();
          else line.pulse();
          await acknowledged.promise;
          expect(box.counter).toBe(i);
          acknowledged = Promise.withResolvers();
        }
      });

      test("on a line that two devices share stay until both let it down", async () => {
        await using box = await trial();
        const lines = [box.machine.line(LINE), box.machine.line(LINE)] as const;
        let acknowledged = 0;
        box.port(ACKNOWLEDGE, 4, { write: () => void lines[acknowledged++ === 0 ? 0 : 1].setLevel(false) });
        await box.load((code) => {
          code.setUpPic([LINE], [LINE]).write(READY, 1);
          const again = code.here;
          code.waitForInterrupt().jump(again);
        }, acknowledging);
        const ready = box.reported(READY);
        box.machine.run();
        await ready;
        for (const line of lines) line.setLevel(true);
        await expect.poll(() => acknowledged).toBe(2);
        await soon(20);
        expect(acknowledged).toBe(2);
        for (const line of lines) line[Symbol.dispose]();
      });

      test("of the timer come at its rate", async () => {
        await using box = await trial();
        using line = box.machine.line(PIT_IRQ);
        using _pit = hypervisor.features.pit ? undefined : new Pit({ ports: box.ports, interrupt: () => line.pulse() });
        const [begun, done] = [box.reported(READY), box.reported(DONE)];
        await box.load(
          (code) => {
            code.setUpPic([PIT_IRQ]).write(0x43, 0x34, 1);
            // 1193182 steps a second, 100 times a second.
            code
              .write(0x40, 11_932 & 0xff, 1)
              .write(0x40, 11_932 >> 8, 1)
              .write(READY, 1);
            const again = code.here;
            code
              .waitForInterrupt()
              .load(Place.counter)
              .jumpIfEax(20, again + 40)
              .jump(again);
            while (code.here < again + 40) code.raw(0x90);
            code.write(DONE, 1).haltForGood();
          },
          { [PIT_IRQ]: (code) => code.enterHandler().increment(Place.counter).leaveHandler() },
        );
        box.machine.run();
        await begun;
        const start = performance.now();
        await done;
        // A busy host is late, and the rate is what a guest sees then.
        expect(performance.now() - start).toBeGreaterThan(150);
        expect(performance.now() - start).toBeLessThan(2000);
      });

      test("on lines that are not there are refused", async () => {
        await using box = await trial();
        for (const irq of [-1, 2, 99, 1.5]) {
          expect(() => box.machine.line(irq)).toThrow(expect.objectContaining({ name: "HypervisorError", code: "invalid-argument" }));
        }
      });
    });

    describe("stopping", () => {
      const counting = (box: TrialMachine): Promise<void> =>
        box.load((code) => {
          const again = code.here;
          code.increment(Place.counter).jump(again);
        });

      test("a guest that spins with interrupts off: it pauses and goes on 1000 times", { timeout: 60_000 }, async () => {
        await using box = await trial();
        await counting(box);
        let moved = 0;
        for (let i = 0; i < 1000; i++) {
          const before = box.counter;
          box.machine.run();
          // Now and then it is seen to go on, however late a busy host gives its processor a turn.
          for (const end = performance.now() + 1000; i % 100 === 0 && box.counter === before && performance.now() < end; ) await soon(3);
          await box.machine.pause();
          const at = box.counter;
          if (i % 100 === 0) {
            await soon(3);
            expect(box.counter).toBe(at);
          }
          if (at > before) moved++;
        }
        expect(moved).toBeGreaterThanOrEqual(10);
        expect(box.machine.status).toBe("stopped");
      });

      test("a guest that floods a doorbell: whoever made the machine has his turns, and stops it", async () => {
        await using box = await trial();
        using bell = notifier();
        let [rings, calls] = [0, 0];
        bell.subscribe((count) => {
          rings += count;
          calls++;
        });
        box.memory.addDoorbell({ address: gpa(WINDOW), length: 4, notifier: bell });
        await box.load((code) => {
          const again = code.eax(1).here;
          code.store(WINDOW).increment(Place.counter).jump(again);
        });
        box.machine.run();
        await expect.poll(() => rings, { timeout: 5000 }).toBeGreaterThan(0);
        let longest = 0;
        for (const end = performance.now() + 500; performance.now() < end; ) {
          const before = performance.now();
          await soon(1);
          longest = Math.max(longest, performance.now() - before);
        }
        await box.machine.pause();
        await soon(20);
        // Many rings come as one call, and none is lost.
        expect([rings > 1000, calls < rings, longest < 250]).toEqual([true, true, true]);
        expect(rings - box.counter).toBeGreaterThanOrEqual(0);
        expect(rings - box.counter).toBeLessThanOrEqual(1);
      });

      test("is not overtaken by what was said before: run, pause and run again at once, and then a pause that holds", async () => {
        await using box = await trial();
        await counting(box);
        for (let i = 0; i < 20; i++) {
          box.machine.run();
          void box.machine.pause();
          box.machine.run();
          await soon(i % 4);
          await box.machine.pause();
          const at = box.counter;
          await soon(5);
          expect(box.counter).toBe(at);
        }
        expect(box.counter).toBeGreaterThan(0);
      });

      test("a guest that halts for good", async () => {
        await using box = await trial();
        const done = box.reported(DONE);
        await box.load((code) => code.write(DONE, 1).haltForGood());
        box.machine.run();
        await done;
        await soon(10);
        await box.machine.pause();
        const rip = (await box.machine.vcpus[0]?.registers())?.rip ?? 0n;
        expect(Number(rip)).toBeGreaterThan(Place.code);
        expect(Number(rip)).toBeLessThan(Place.code + 40);
      });

      test("from within an access of the guest's", async () => {
        await using box = await trial();
        const paused = Promise.withResolvers<void>();
        box.port(DONE, 4, { write: () => void box.machine.pause().then(paused.resolve) });
        await box.load((code) => code.write(DONE, 1).haltForGood());
        box.machine.run();
        await paused.promise;
        expect(box.machine.status).toBe("stopped");
      });

      test("the registers that were set are those that are read", async () => {
        await using box = await trial();
        await counting(box);
        const [vcpu] = box.machine.vcpus;
        await vcpu?.setRegisters({ rax: 0x1234_5678n, rdi: 0x9abc_def0n, rflags: 0x46n });
        const registers = await vcpu?.registers();
        expect(registers).toMatchObject({
          rax: 0x1234_5678n,
          rdi: 0x9abc_def0n,
          rflags: 0x46n,
          rip: BigInt(Place.code),
          rsp: BigInt(Place.stack),
        });
        expect(registers?.cs).toMatchObject({ selector: 8, base: 0, limit: 0xffff_ffff, db: true, long: false, dpl: 0 });
        expect(registers?.idt).toEqual({ base: Place.idt, limit: 383 });
      });

      test("what a machine in another state can't do is refused", async () => {
        const box = await trial();
        await counting(box);
        box.machine.run();
        await expect(box.machine.save()).rejects.toMatchObject({ code: "running" });
        await expect(box.machine.vcpus[0]?.registers()).rejects.toMatchObject({ code: "running" });
        await box.machine[Symbol.asyncDispose]();
        await box.machine[Symbol.asyncDispose]();
        expect(await box.machine.ended).toEqual({ reason: "disposed" } satisfies MachineEnd);
        expect(box.machine.status).toBe("closed");
        expect(() => box.machine.run()).toThrow(HypervisorError);
        await expect(box.machine.save()).rejects.toMatchObject({ code: "closed" });
        expect(() => box.machine.line(LINE)).toThrow(HypervisorError);
        await box[Symbol.asyncDispose]();
      });
    });

    describe("ends", () => {
      test("a guest that turns its machine off, by ACPI, is heard; it goes no further once it is paused", async () => {
        await using box = await trial();
        using line = box.machine.line(POWER.irq);
        const off = Promise.withResolvers<void>();
        using _power = new AcpiPower({ ports: box.ports, interrupt: (up) => line.setLevel(up), onPowerOff: () => off.resolve() });
        // PM1_CNT, the third of the registers: sleep type 5, and sleep.
        await box.load((code) =>
          code
            .write(POWER.base + 4, 0x3401, 2)
            .increment(Place.counter)
            .haltForGood(),
        );
        box.machine.run();
        await off.promise;
        await box.machine.pause();
        const reached = box.counter;
        await soon(10);
        expect([box.counter, box.machine.status]).toEqual([reached, "stopped"]);
      });

      test("a fault without a handler", async () => {
        await using box = await trial();
        await box.load((code) => code.raw(0x0f, 0x0b));
        await box.machine.vcpus[0]?.setRegisters({ idt: { base: 0, limit: 0 } });
        box.machine.run();
        expect(await box.machine.ended).toEqual({ reason: "triple-fault", vcpu: 0 } satisfies MachineEnd);
        expect(box.machine.status).toBe("ended");
        expect(() => box.machine.run()).toThrow(expect.objectContaining({ code: "ended" }));
      });

      const all = notEmulated === undefined ? ", not run: this one says of no instruction that it can't run it" : "";
      test.skipIf(notEmulated === undefined)(`an instruction that it can't run, with its address and bytes${all}`, async () => {
        await using box = await trial();
        await box.load((code) => code.raw(0x90, ...(notEmulated as Uint8Array)).haltForGood());
        box.machine.run();
        const end = await box.machine.ended;
        expect(end).toMatchObject({ reason: "emulation-failed", vcpu: 0, address: Place.code + 1 });
        expect(end.reason === "emulation-failed" && [...end.bytes.subarray(0, notEmulated?.length)]).toEqual([
          ...(notEmulated as Uint8Array),
        ]);
      });

      test("a guest that jumps into an I/O window: the host goes on", async () => {
        await using box = await trial();
        box.memory.map({ kind: "io", name: "window", base: gpa(WINDOW), size: 4096, handler: { read: () => 0xf4, write: () => {} } });
        await box.load((code) => code.jump(WINDOW));
        box.machine.run();
        await Promise.race([box.machine.ended, soon(100)]);
        await box.machine[Symbol.asyncDispose]();
        expect(["emulation-failed", "triple-fault", "engine-failed", "disposed"]).toContain((await box.machine.ended).reason);
      });
    });

    describe("memory", () => {
      test("that is unmapped under a running guest is gone for it, and released", async () => {
        await using box = await trial();
        const extra = extraMemory(4096);
        const region = box.memory.map({ name: "extra", base: gpa(WINDOW), memory: extra });
        box.memory.writeU32(gpa(WINDOW), 5);
        const done = box.reported(DONE);
        await box.load((code) => {
          const again = code.here;
          code.load(WINDOW).jumpIfEax(5, again).out(DONE).haltForGood();
        });
        box.machine.run();
        await soon(10);
        await box.memory.unmap(region);
        expect(extra.released).toBe(true);
        expect(await done).toBe(0xffff_ffff);
      });

      test("that is mapped under a running guest is there", async () => {
        await using box = await trial();
        const done = box.reported(DONE);
        await box.load((code) => {
          const again = code.here;
          code.load(WINDOW).jumpIfEax(-1, again).out(DONE).haltForGood();
        });
        box.machine.run();
        await soon(10);
        const extra = extraMemory(4096);
        extra.bytes()[0] = 9;
        box.memory.map({ name: "extra", base: gpa(WINDOW), memory: extra });
        expect(await done).toBe(9);
      });

      test("code that the host writes is what the guest runs", async () => {
        await using box = await trial();
        box.port(ACKNOWLEDGE, 4, {});
        await box.load((code) => {
          const again = code.here;
          code.ecx(200_000);
          const spin = code.here;
          code.loop(spin).write(ACKNOWLEDGE, 1).jump(again);
        });
        box.machine.run();
        await soon(50);
        const done = box.reported(DONE);
        await box.machine.pause();
        box.put(Place.code, (code) => code.write(DONE, 3).haltForGood());
        await box.machine.vcpus[0]?.setRegisters({ rip: BigInt(Place.code) });
        box.machine.run();
        expect(await done).toBe(3);
      });

      test("that the guest wrote is in the dirty log, and what it read is not", async () => {
        await using box = await trial();
        const ready = box.reported(READY);
        await box.load((code) => {
          // Once before: KVM counts a page with the mapping that a first access makes, whatever that was.
          code.load(0x12_0000).write(READY, 1);
          code.jump(code.here);
        });
        box.machine.run();
        await ready;
        await box.machine.pause();
        using log = box.memory.dirtyLog("trial");
        log.harvest();
        box.put(Place.code, (code) => code.load(0x12_0000).eax(1).store(0x14_0010).store(0x16_0000).write(DONE, 2).haltForGood());
        await box.machine.vcpus[0]?.setRegisters({ rip: BigInt(Place.code) });
        const done = box.reported(DONE);
        box.machine.run();
        await done;
        await box.machine.pause();
        const pages = log.harvest().flatMap(({ address, length }) => Array.from({ length: length / 4096 }, (_, i) => address + 4096 * i));
        expect(pages.filter((page) => page >= 0x12_0000)).toEqual([0x14_0000, 0x16_0000]);
      });

      test("goes to another machine when the first is gone: nothing is copied", async () => {
        const box = await trial();
        const done = box.reported(DONE);
        await box.load((code) => code.increment(Place.counter).load(Place.counter).out(DONE).haltForGood());
        const registers = await box.machine.vcpus[0]?.registers();
        box.machine.run();
        expect(await done).toBe(1);
        await box.machine[Symbol.asyncDispose]();
        await using next = await TrialMachine.over(hypervisor, box.memory, VirtAddressSpace.create({ name: "others", size: 0x1_0000 }));
        const again = next.reported(DONE);
        await next.machine.vcpus[0]?.setRegisters(registers ?? {});
        next.machine.run();
        expect(await again).toBe(2);
        box.ports[Symbol.dispose]();
      });

      test("that the engine can't use is refused", async () => {
        using memory = VirtAddressSpace.create({ name: "empty" });
        using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
        await expect(hypervisor.createMachine({ memory, ports, vcpus: 0 })).rejects.toBeInstanceOf(HypervisorError);
        await expect(hypervisor.createMemory(1000)).rejects.toMatchObject({ code: "invalid-argument" });
        expect([memory.holders.length, ports.holders.length]).toEqual([1, 1]);
      });
    });

    describe("state", () => {
      test("saved in mid-run goes on in a second machine, with its interrupts", async () => {
        await using box = await trial();
        using line = box.machine.line(LINE);
        box.port(ACKNOWLEDGE, 4, {});
        await box.load(
          (code) => {
            code.setUpPic([LINE]).enableInterrupts();
            const again = code.here;
            code.increment(Place.counter).jump(again);
          },
          { [LINE]: (code) => code.enterHandler().write(ACKNOWLEDGE, 1).leaveHandler() },
        );
        box.machine.run();
        await expect.poll(() => box.counter).toBeGreaterThan(0);
        await box.machine.pause();
        // One that came and was not taken yet.
        line.pulse();
        const state = structuredClone(await box.machine.save());
        const ram = await hypervisor.createMemory(box.memory.regions[0]?.size as number);
        const memory = await VirtAddressSpace.restore([...box.memory.save()], { memory: () => ram });
        const reached = box.counter;
        await using next = await TrialMachine.over(hypervisor, memory, VirtAddressSpace.create({ name: "others", size: 0x1_0000 }));
        let taken = 0;
        next.port(ACKNOWLEDGE, 4, { write: () => void taken++ });
        await next.machine.restore(state);
        expect(next.counter).toBe(reached);
        next.machine.run();
        await expect.poll(() => next.counter).toBeGreaterThan(reached);
        await expect.poll(() => taken).toBe(1);
        // The first one goes on by itself.
        box.machine.run();
        await expect.poll(() => box.counter).toBeGreaterThan(reached);
      });

      test("that is another's, or was cut, is refused, and changes nothing", async () => {
        await using box = await trial();
        await box.load((code) => code.haltForGood());
        const before = await box.machine.vcpus[0]?.registers();
        const state = await box.machine.save();
        const wrong = [
          { ...state, hypervisor: "another" },
          { ...state, version: 99 },
          { ...state, payload: undefined },
          { ...state, payload: { ...(state.payload as object), vcpus: [], cpu: new Uint8Array(3) } },
        ];
        for (const each of wrong) await expect(box.machine.restore(each)).rejects.toMatchObject({ code: "foreign-state" });
        expect(await box.machine.vcpus[0]?.registers()).toEqual(before);
      });
    });

    describe("boots", () => {
      /** Boots an image of the project's own. @returns what it said, and with which status it left */
      const booted = async (box: TrialMachine, name: GuestName, commandLine: string): Promise<[text: string, status: number]> => {
        let text = "";
        const left = Promise.withResolvers<number>();
        using _uart = new Uart({ ports: box.ports, onByte: (byte) => (text += String.fromCharCode(byte)) });
        using _exit = new ExitPort({ ports: box.ports, onExit: left.resolve });
        await box.machine.vcpus[0]?.setRegisters(loadMultiboot(box.memory, guestImage(name), { commandLine }));
        box.machine.run();
        const status = await left.promise;
        return [text, status];
      };

      test("a flat image", async () => {
        await using box = await trial();
        const done = box.reported(DONE);
        const code = new GuestCode(0x3_0000).write(DONE, 11).haltForGood().bytes;
        await box.machine.vcpus[0]?.setRegisters(loadFlat(box.memory, code, { address: 0x3_0000 }));
        box.machine.run();
        expect(await done).toBe(11);
      });

      test("a multiboot image", async () => {
        await using box = await trial();
        expect(await booted(box, "hello", "hello")).toEqual(["hello from the guest\n", 0]);
      });

      test("an image that counts interrupts", async () => {
        await using box = await trial();
        using line = box.machine.line(LINE);
        // It writes the count so far: the next edge may come.
        box.port(ACKNOWLEDGE, 4, { write: () => line.pulse() });
        expect(await booted(box, "count", "count interrupts=1000")).toEqual(["1000 interrupts\n", 0]);
      });
    });

    test("several machines run at once", async () => {
      await using stack = new AsyncDisposableStack();
      const boxes = await Promise.all(Array.from({ length: 3 }, async () => stack.use(await trial())));
      const done = boxes.map((box) => box.reported(DONE));
      for (const [i, box] of boxes.entries()) {
        await box.load((code) => {
          code.ecx(50_000 * (i + 1));
          const again = code.here;
          code.loop(again).write(DONE, i).haltForGood();
        });
      }
      for (const box of boxes) box.machine.run();
      expect(await Promise.all(done)).toEqual([0, 1, 2]);
    });
  });
}
