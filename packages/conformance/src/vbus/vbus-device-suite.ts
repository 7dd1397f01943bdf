/**
 * What every device of a bus must do, as vitest tests: opened by a program in the same process and by a guest across the bridge, an honest
 * one and one that means harm.
 *
 * @module
 */
import { type CallResult, Errno, isErrno, NO_SIGNAL, SHM_SIGNAL_SIZE, ShmSignal, type VbusPlugin, type VbusShm } from "@virtspace/vbus";
import { type GuestAddress, gpa } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { turns } from "../device/event-loop.ts";
import { HOLE, type OpenedBy, RAM, ROM, VbusDeviceTrial, WINDOW } from "./vbus-device-trial.ts";

/** A call that makes sense to a device. */
export interface VbusDeviceCall {
  /** Which. */
  readonly func: number;
  /** Its parameters; none unless given. */
  readonly data?: Uint8Array;
  /** What the device answers; anything that is no refusal unless given. */
  readonly result?: CallResult;
  /** Checks, with vitest's `expect`, what became of the parameters. */
  readonly answer?: (data: Uint8Array) => void;
}

/** How the suite is run. */
export interface VbusDeviceSuiteOptions {
  /** For the report; the plug-in's name unless given. */
  readonly name?: string;
  /** What is tested; a function makes one for each test, and what it needs around it. */
  readonly plugin: VbusPlugin | (() => VbusPlugin);
  /** The version of the ABI that it speaks; 1 unless given. */
  readonly version?: number;
  /** Calls that make sense to it, in an order that does. The suite has others that make none. */
  readonly calls?: readonly VbusDeviceCall[];
  /** Fills bytes with numbers that nobody can foretell; ones that all can, unless given. */
  readonly random?: (bytes: Uint8Array) => void;
  /** Whether something is left of it: a file, a timer, a place in a table. Asked when it has left its bus. */
  readonly held?: () => boolean;
}

const FUNCTIONS: readonly number[] = [...Array.from({ length: 16 }, (_, i) => i), 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const IDS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 0x7fff_ffff, 0xffff_ffff];

/** Places that are no memory for parameters, and lengths that don't fit. */
const PLACES: readonly (readonly [what: string, address: number, length: number])[] = [
  ["none at all", 0, 0],
  ["in a hole", HOLE, 16],
  ["none, in a hole", HOLE, 0],
  ["over the end of memory", RAM - 4, 64],
  ["of 4 GiB", 0x2000, 0xffff_ffff],
  ["in an I/O window", WINDOW, 16],
  ["in memory that is only read", ROM, 64],
  ["at an address that no guest has", 2 ** 52, 16],
  ["at an address that wraps", 2 ** 53 - 2, 0xffff_ffff],
];

/** Memory that can't be shared, and what a guest reads then. */
const NO_MEMORY: readonly (readonly [what: string, address: number, length: number])[] = [
  ["in a hole", HOLE, 4096],
  ["of no bytes", 0x2000, 0],
  ["over the end of memory", RAM - 64, 4096],
  ["of 4 GiB", 0, 0xffff_ffff],
  ["in an I/O window", WINDOW, 64],
  ["that is only read", ROM, 4096],
  ["at an address that no guest has", 2 ** 52, 64],
];

/** What a guest may have written there, sense to no device. */
const CONTENTS: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["nothing", new Uint8Array(0)],
  ["ones", new Uint8Array(512).fill(0xff)],
  ["numbers", Uint8Array.from({ length: 512 }, (_, i) => (i * 89) & 0xff)],
];

/**
 * Registers the suite with vitest.
 *
 * @example
 * ```ts
 * import { vbusDeviceSuite } from "@virtspace/conformance";
 * import adder from "./device.ts";
 *
 * vbusDeviceSuite({ plugin: adder, calls: [{ func: 1, data: Uint8Array.of(2, 3), result: 5 }] });
 * ```
 */
export function vbusDeviceSuite(options: VbusDeviceSuiteOptions): void {
  const { plugin, version = 1, calls = [], random = (bytes) => bytes.fill(7), held } = options;
  const make = typeof plugin === "function" ? plugin : () => plugin;
  const name = options.name ?? (typeof plugin === "function" ? "made for each test" : plugin.name);
  const trialOf = (): VbusDeviceTrial => new VbusDeviceTrial(make(), random);
  const wrongVersions = [version + 1, version + 0x1_0000, 0xffff_ffff, ...(version === 0 ? [] : [0])];

  function expectWorking(by: OpenedBy): void {
    for (const { func, data = new Uint8Array(0), result, answer } of calls) {
      const given = data.slice();
      const said = by.call(func, given);
      if (result === undefined) expect(isErrno(said), `call ${func} was refused: ${said}`).toBe(false);
      else expect(said, `what call ${func} answers`).toBe(result);
      answer?.(given);
    }
  }

  const expectAnswer = (result: CallResult): void => {
    if (typeof result === "number") expect(Number.isInteger(result) && result >= 0, `the result ${result}`).toBe(true);
    else expect(Object.keys(Errno)).toContain(result);
  };

  /** Nothing was thrown, and nothing written where nothing should. */
  const expectUnhurt = ({ faults, canaryLives }: VbusDeviceTrial): void => expect([faults, canaryLives]).toEqual([[], true]);

  /** All that was shared was let go. */
  const expectWindows = ({ openWindows }: VbusDeviceTrial, before: number): void =>
    expect(openWindows - before, "windows on the guest's memory that are open still").toBe(0);

  describe(`device of a bus: ${name}`, () => {
    test("shows an interface, which has a name and a type", () => {
      using trial = trialOf();
      expect(trial.bus.entries.length).toBeGreaterThan(0);
      for (const { shown } of trial.bus.entries) {
        expect(shown.name).not.toBe("");
        // The bridge's event has 128 bytes for it, with a zero at the end.
        expect(shown.type).toMatch(/^[\x21-\x7e]{1,127}$/);
      }
    });

    describe.each(["a program in this process", "a guest across the bridge"])("opened by %s", (who) => {
      const connect = async (trial: VbusDeviceTrial): Promise<OpenedBy> =>
        who === "a program in this process" ? trial.program() : trial.driver();

      test("refuses versions that it does not speak, and keeps nothing of them", async () => {
        using trial = trialOf();
        const by = await connect(trial);
        for (const wrong of wrongVersions) expect(isErrno(by.open(wrong)), `version ${wrong} is refused`).toBe(true);
        expect(trial.bridge.openHandles).toBe(0);
        expect(by.open(version)).toBe(0);
        expectWorking(by);
        expect(by.close()).toBe(0);
        expectUnhurt(trial);
      });

      test("closes once, and is opened again", async () => {
        using trial = trialOf();
        const by = await connect(trial);
        for (let round = 0; round < 5; round++) {
          expect(by.open(version)).toBe(0);
          expectWorking(by);
          expect([by.close(), by.close(), by.call(0, new Uint8Array(4))]).toEqual([0, "ENOENT", "ENOENT"]);
          expect(by.share(0, 64, new Uint8Array(0))).toBe("ENOENT");
        }
        expectUnhurt(trial);
      });

      test("answers calls that nobody knows, with anything", async () => {
        using trial = trialOf();
        const by = await connect(trial);
        expect(by.open(version)).toBe(0);
        for (const func of FUNCTIONS) {
          for (const length of [0, 1, 4, 64, 4096]) {
            for (const byte of [0, 0xff]) expectAnswer(by.call(func, new Uint8Array(length).fill(byte)));
          }
        }
        await turns(3);
        expectUnhurt(trial);
        expect(by.close()).toBe(0);
        expect(by.open(version)).toBe(0);
        expectWorking(by);
      });

      test.each(CONTENTS)("takes or refuses memory full of %s, and lets go of it when it is closed", async (_what, bytes) => {
        using trial = trialOf();
        const by = await connect(trial);
        const before = trial.openWindows;
        expect(by.open(version)).toBe(0);
        for (const id of IDS) for (const length of [512, 4096, 4097]) expectAnswer(by.share(id, length, bytes));
        await turns(3);
        expect(by.close()).toBe(0);
        await turns(3);
        expectWindows(trial, before);
        expectUnhurt(trial);
      });

      test("that leaves its bus is gone for who has it open", async () => {
        using trial = trialOf();
        const by = await connect(trial);
        expect(by.open(version)).toBe(0);
        trial.stop();
        expect([by.call(0, new Uint8Array(4)), by.share(0, 64, new Uint8Array(0)), by.close(), by.close()]).toEqual([
          "ENODEV",
          "ENODEV",
          0,
          "ENOENT",
        ]);
        expect(trial.bus.entries).toEqual([]);
        expectUnhurt(trial);
      });
    });

    describe("given what a guest must not give", () => {
      test.each(PLACES)("answers calls with parameters %s", async (_what, address, length) => {
        using trial = trialOf();
        const proxy = await trial.startGuest();
        expect(proxy.open(version)).toBe(0);
        for (const func of FUNCTIONS)
          for (const flags of [0, 0xffff_ffff]) expectAnswer(proxy.call(func, address as GuestAddress, length, flags));
        await turns(3);
        expectUnhurt(trial);
        expect([proxy.close(), proxy.close()]).toEqual([0, "ENOENT"]);
      });

      test.each(NO_MEMORY)("gets no memory %s", async (_what, address, length) => {
        using trial = trialOf();
        const proxy = await trial.startGuest();
        expect(proxy.open(version)).toBe(0);
        const [handles, before] = [trial.bridge.openHandles, trial.openWindows];
        for (const id of IDS) expect(isErrno(proxy.share(id, address as GuestAddress, length)), `memory ${id} is refused`).toBe(true);
        expect(trial.bridge.openHandles).toBe(handles);
        expectWindows(trial, before);
        expect(proxy.close()).toBe(0);
        expectUnhurt(trial);
      });

      test("gets no signal that is none, and survives one that is raised for nothing", async () => {
        using trial = trialOf();
        const proxy = await trial.startGuest();
        expect(proxy.open(version)).toBe(0);
        const at = trial.heap.take(4096);
        const before = trial.openWindows;
        for (const id of IDS) {
          for (const offset of [0, 1, 4096 - 8, 4096, NO_SIGNAL - 1])
            expect(isErrno(proxy.shm(id, at, 4096, { offset, prio: 0 }))).toBe(true);
        }
        for (const id of IDS) {
          const shm = trial.guest.memctx.shm(at, 4096) as VbusShm;
          ShmSignal.format(shm, 0);
          shm.put();
          const signal = proxy.shm(id, at, 4096, { offset: 0, prio: 7 }, 0xffff_ffff);
          if (isErrno(signal)) continue;
          trial.space.fill(gpa(at + SHM_SIGNAL_SIZE), 4096 - SHM_SIGNAL_SIZE, 0xff);
          for (let i = 0; i < 3; i++) {
            signal.inject();
            await turns(1);
          }
        }
        expectUnhurt(trial);
        expect(proxy.close()).toBe(0);
        await turns(3);
        expectWindows(trial, before);
      });
    });

    test("a guest that boots anew finds it closed, and opens it", async () => {
      using trial = trialOf();
      for (let round = 0; round < 3; round++) {
        const by = await trial.driver();
        expect(trial.bridge.openHandles).toBe(0);
        const before = trial.openWindows;
        expect(by.open(version)).toBe(0);
        expectWorking(by);
        for (const id of IDS) by.share(id, 4096, new Uint8Array(0));
        trial.bridge.reset();
        await turns(3);
        // The bridge's own are gone as well.
        expect(trial.openWindows).toBeLessThanOrEqual(before);
        trial.guest = trial.newGuest();
      }
      expectUnhurt(trial);
    });

    test.each(["closed", "open"])("%s, it leaves nothing", async (how) => {
      const trial = trialOf();
      const [one, two] = [trial.program(), await trial.driver()];
      const before = trial.openWindows;
      for (const by of [one, two]) {
        if (isErrno(by.open(version))) continue;
        for (const id of IDS) by.share(id, 4096, new Uint8Array(0));
        if (how === "closed") expect(by.close()).toBe(0);
      }
      if (how === "closed") {
        await turns(3);
        expect(trial.bridge.openHandles).toBe(0);
        expectWindows(trial, before);
      }
      trial.end();
      await turns(3);
      expect([trial.bus.entries, trial.bus.devices, held?.() ?? false]).toEqual([[], [], false]);
      expect(trial.openWindows).toBeLessThanOrEqual(before);
      trial[Symbol.dispose]();
      expect([trial.memory.released, trial.faults]).toEqual([true, []]);
    });
  });
}
