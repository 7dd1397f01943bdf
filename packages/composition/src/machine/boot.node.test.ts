import { guestImage } from "@virtspace/conformance/guests";
import { HypervisorError } from "@virtspace/hypervisor";
import { Gateway, LearningSwitch, type NetworkBackend } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { defineDevice } from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import {
  boot,
  type CompositionError,
  compose,
  defineMachine,
  flat,
  kvm,
  type MachineDescription,
  multiboot,
  v86,
  virtioNet,
} from "../index.ts";

const SPIN = flat(Uint8Array.of(0xeb, 0xfe), { address: 0x1000 });
const hello = (changes: Partial<MachineDescription> = {}): MachineDescription =>
  defineMachine({ memory: 2 * MiB, hypervisor: v86(), boot: multiboot(guestImage("hello")), ...changes });

class Console {
  text = "";
  readonly onConsole = (byte: number): void => {
    this.text += String.fromCharCode(byte);
  };
}

test("a guest says its line and leaves", async () => {
  const console = new Console();
  await using machine = await boot(hello(), { onConsole: console.onConsole });
  expect([await machine.outcome, console.text]).toEqual([{ reason: "left", status: 0 }, "hello from the guest\n"]);
});

test("two cards on a switch: each guest has a place of its own, and is told where it is", async () => {
  const network = new LearningSwitch();
  using gateway = new Gateway(network, { address: "10.0.2.2" });
  const plugged: NetworkBackend[] = [];
  const machines = ["one", "two"].map((name, i) =>
    hello({
      name,
      devices: [virtioNet({ backend: network, mac: 0x5254_0000_0001 + i, name: `${name}'s card` })],
      boot: multiboot(guestImage("net"), { commandLine: `net ping=2 exit${i === 0 ? "" : " packed"}` }),
    }),
  );
  const consoles = machines.map(() => new Console());
  await using stack = new AsyncDisposableStack();
  const booted = await Promise.all(
    machines.map(async (machine, i) => {
      const { onConsole } = consoles[i] as Console;
      const plug = (backend: NetworkBackend): NetworkBackend => {
        plugged.push(backend);
        return backend;
      };
      return stack.use(await boot(machine, { onConsole, network: plug }));
    }),
  );
  expect(booted.map(({ memory }) => memory.holders)).toEqual([
    ["its creator", "v86", "one's card"],
    ["its creator", "v86", "two's card"],
  ]);
  expect(await Promise.all(booted.map(({ outcome }) => outcome))).toEqual([
    { reason: "left", status: 0 },
    { reason: "left", status: 0 },
  ]);
  expect(consoles[1]?.text).toContain("packed rings");
  expect([gateway.counters.echo, plugged]).toEqual([4, [network, network]]);
});

describe("what can't be made is taken down", () => {
  const failing = (open: () => Promise<never>): MachineDescription => hello({ hypervisor: { name: "none", open } });

  test("a hypervisor that isn't there says so", async () => {
    await expect(boot(failing(() => Promise.reject(new HypervisorError("unavailable", "install it"))))).rejects.toThrow("install it");
    await expect(boot(hello({ hypervisor: kvm({ path: "/dev/none" }) }))).rejects.toMatchObject({ code: "not-present" });
  });

  test("a device that throws", async () => {
    const made: string[] = [];
    const broken = defineDevice({
      name: "second",
      create: (): never => {
        made.push("second");
        throw new Error("it broke");
      },
    });
    const network = new LearningSwitch();
    const card = virtioNet({ backend: network, mac: 1 });
    await expect(boot(hello({ devices: [card, broken] }))).rejects.toMatchObject({
      code: "device-failed",
      message: "the plug-in second failed: it broke",
    });
    expect(made).toEqual(["second"]);
  });

  test("a guest without room for its image", async () => {
    await expect(boot(hello({ memory: MiB }))).rejects.toMatchObject({ name: "PcPlatformError", code: "no-room" });
  });

  test("more devices than there are lines", async () => {
    const network = new LearningSwitch();
    const devices = Array.from({ length: 10 }, (_, i) => virtioNet({ backend: network, mac: i + 1 }));
    await expect(compose(hello({ devices }))).rejects.toMatchObject({ code: "no-line" } satisfies Partial<CompositionError>);
  });
});

test("a machine that is disposed while it runs is gone, and says so", async () => {
  const machine = await boot(hello({ boot: SPIN }));
  const { memory, ports } = machine;
  await machine[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
  expect([await machine.outcome, memory.released, ports.released]).toEqual([{ reason: "disposed" }, true, true]);
});

test.each([
  [undefined, "no object"],
  [{}, "its memory is missing: give 64 * MiB"],
  [{ ...hello(), memory: "64 MB" }, "its memory is of another kind"],
  [{ ...hello(), hypervisor: {} }, "its hypervisor can't be opened: give v86() or kvm()"],
  [{ ...hello(), boot: {} }, "its boot loads nothing: give multiboot(image)"],
  [{ ...hello(), devices: {} }, "its devices are no list"],
  [{ ...hello(), devices: [undefined] }, "device 0 is none: give what defineDevice"],
  [{ ...hello(), memroy: 1 }, 'nobody knows its "memroy"'],
])("the description %j is refused: %s", (description, why) => {
  expect(() => defineMachine(description as MachineDescription)).toThrow(
    expect.objectContaining({ code: "bad-description", message: expect.stringContaining(why) }),
  );
});
