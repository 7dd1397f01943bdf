import "reflect-metadata";
import { guestImage } from "@virtspace/conformance/guests";
import { LearningSwitch, Loopback } from "@virtspace/network";
import { defineVbusDevice, Venet } from "@virtspace/vbus";
import { gpa, KiB, MiB, sharedMemory } from "@virtspace/virt-address-space";
import {
  ConfigBytes,
  defineDevice,
  FeatureSet,
  type QueueState,
  type VirtioDevice,
  VirtioDeviceType,
  type Virtqueue,
} from "@virtspace/virtio";
import { Container, ContainerModule, decorate, inject, injectable } from "inversify";
import { afterEach, describe, expect, test } from "vitest";
import type { DeviceRack } from "../device/device-rack.ts";
import {
  type ComposedMachine,
  compose,
  defaultMachineHost,
  defineMachine,
  injected,
  injectedVbus,
  type MachineDescription,
  type MachineSurroundings,
  multiboot,
  Service,
  v86,
  virtioNet,
} from "../index.ts";
import { token } from "./token.ts";

const hello = (changes: Partial<MachineDescription> = {}): MachineDescription =>
  defineMachine({ memory: 2 * MiB, hypervisor: v86(), boot: multiboot(guestImage("hello")), ...changes });
const parts = { type: VirtioDeviceType.Entropy, queues: [{ name: "requests", size: 8 }], start: () => {} } as const;
const plain = defineDevice({ name: "plain", ...parts });

const running: ComposedMachine[] = [];
afterEach(async () => {
  for (const machine of running.splice(0)) await machine[Symbol.asyncDispose]();
});
async function composed(description: MachineDescription, surroundings?: MachineSurroundings): Promise<ComposedMachine> {
  const machine = await compose(description, surroundings);
  running.push(machine);
  return machine;
}

describe("devices of a machine", () => {
  test("come and go while it runs, and their places are used again", async () => {
    const machine = await composed(hello({ devices: [plain] }));
    const second = await machine.add(defineDevice({ name: "second", ...parts }));
    expect(machine.devices.map((each) => each.name)).toEqual(["plain", "second"]);
    expect(machine.memory.holders).toEqual(["its creator", "v86", "plain", "second"]);
    await machine.remove(second);
    expect(machine.memory.holders).toEqual(["its creator", "v86", "plain"]);
    expect(machine.memory.regions.map((region) => region.name)).toEqual(["ram", "plain"]);
    await expect(machine.remove(second)).rejects.toMatchObject({ code: "no-device" });
    expect(await machine.add(plain)).toMatchObject({ base: gpa(0xd000_1000), irq: 10 });
  });

  test("that are added while the machine is taken down go with it", async () => {
    let [made, stopped] = [0, 0];
    const counted = {
      bus: "virtio",
      name: "counted",
      create: (surroundings: Parameters<typeof plain.create>[0]) => {
        made++;
        return Object.assign(plain.create(surroundings), { [Symbol.asyncDispose]: async () => void stopped++ });
      },
    } as const;
    const machine = await compose(hello());
    const adding = Promise.allSettled([machine.add(counted), machine.add(counted)]);
    await machine[Symbol.asyncDispose]();
    const added = (await adding).filter(({ status }) => status === "fulfilled");
    expect([machine.memory.holders, machine.memory.released, stopped]).toEqual([[], true, made]);
    expect(added).toHaveLength(made);
    await expect(machine.add(counted)).rejects.toThrow();
    expect(machine.devices).toEqual([]);
  });

  test("on the virtual bus are told of there, and want a bus", async () => {
    const adder = defineVbusDevice({
      name: "adder",
      type: "adder",
      connect: () => ({ call: (func) => func, shm: () => "ENOSYS", close: () => {} }),
    });
    const without = await composed(hello());
    await expect(without.add(adder)).rejects.toMatchObject({ code: "no-bus" });
    const machine = await composed(hello({ devices: [plain, adder] }));
    expect(machine.bus?.bus.entries.map(({ shown }) => shown.type)).toEqual(["adder"]);
    expect(machine.bus?.slot).toEqual({ base: gpa(0xd010_0000), port: gpa(0x700), irq: 15 });
    const again = await machine.add(adder);
    expect(machine.bus?.bus.entries.map(({ id }) => id)).toEqual([1, 2]);
    await machine.remove(again);
    expect(machine.bus?.bus.entries.map(({ id }) => id)).toEqual([1]);
  });

  test("that fail on the way leave nothing, and the machine as it was", async () => {
    const machine = await composed(hello({ devices: [plain] }));
    const before = [machine.memory.holders, machine.memory.regions.length, machine.container.get(Service.Slots)];
    const broken = defineDevice({
      name: "broken",
      create: (): never => {
        throw new Error("no disk");
      },
    });
    for (let i = 0; i < 20; i++)
      await expect(machine.add(broken)).rejects.toMatchObject({ code: "device-failed", message: "the plug-in broken failed: no disk" });
    const nothing = { bus: "virtio", name: "nothing", create: () => undefined as never } as const;
    await expect(machine.add(nothing)).rejects.toThrow("the plug-in nothing failed: it made no device");
    expect([machine.memory.holders, machine.memory.regions.length, machine.container.get(Service.Slots)]).toEqual(before);
  });

  test.for<[string, () => void | Promise<void>, string, string]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
      "device-failed",
      "the plug-in sticky failed: it threw in stop: no",
    ],
    ["never returns", () => new Promise<void>(() => {}), "device-stuck", "sticky did not stop within 30 ms: have its stop return"],
  ])("whose stop %s are named, and all else is taken down", async ([, stop, code, message]) => {
    const sticky = defineDevice({ name: "sticky", ...parts, stop });
    const machine = await compose(hello({ devices: [plain, sticky], stopMilliseconds: 30 }));
    await expect(machine[Symbol.asyncDispose]()).rejects.toMatchObject({ code, message });
    expect([machine.memory.released, machine.ports.released]).toEqual([true, true]);
  });
});

describe("a device made by the container", () => {
  const Colour = token<string>("test/colour");
  class Painter implements VirtioDevice {
    readonly name = "painter";
    readonly type = VirtioDeviceType.Entropy;
    readonly features = FeatureSet.none;
    readonly queues = [{ name: "requests", size: 8 }];
    readonly config = new ConfigBytes(0);
    readonly colour: string;
    readonly random: (bytes: Uint8Array) => void;
    #queue: Virtqueue | undefined;

    constructor(colour: string, random: (bytes: Uint8Array) => void) {
      this.colour = colour;
      this.random = random;
    }

    startQueue(_index: number, queue: Virtqueue): void {
      this.#queue = queue;
    }

    stopQueue(): QueueState {
      return (this.#queue as Virtqueue).stop();
    }

    reset(): void {}
  }
  // As @injectable() and @inject(token) do: Node runs TypeScript, but no decorators.
  decorate(injectable(), Painter);
  decorate(inject(Colour), Painter, 0);
  decorate(inject(Service.Random), Painter, 1);

  test("has what it asks for: of the machine's own, and of the container above", async () => {
    const container = new Container();
    container.bind(Colour).toConstantValue("red");
    const random = (bytes: Uint8Array): void => void bytes.fill(9);
    const modules = [new ContainerModule(({ rebind }) => void rebind(Service.Random).toConstantValue(random))];
    const machine = await composed(hello({ devices: [injected("painter", Painter)], modules }), { container });
    const [attached] = machine.devices;
    expect(attached?.device).toMatchObject({ colour: "red", random });
    expect(machine.memory.holders).toContain("painter");
  });

  test("is on the bus where it makes a device for that", async () => {
    class Card extends Venet {}
    decorate(injectable(), Card);
    const Options = Symbol.for("test/options");
    decorate(inject(Options), Card, 0);
    const container = new Container();
    container.bind(Options).toConstantValue({ backend: new Loopback(), mac: "52:54:00:00:00:07", name: "its card" });
    const machine = await composed(hello({ devices: [injectedVbus("card", Card)] }), { container });
    expect(machine.devices).toMatchObject([{ bus: "vbus", name: "card" }]);
    expect(`${machine.bus?.admin}`).toContain("52:54:00:00:00:07");
    await machine.remove(machine.devices[0] as (typeof machine.devices)[0]);
    expect(machine.bus?.bus.devices ?? []).toHaveLength(0);
    await expect(compose(hello({ devices: [injectedVbus("card", Card)] }))).rejects.toMatchObject({
      code: "device-failed",
      message: expect.stringMatching(/^the plug-in card failed: .*"test\/options"/),
    });
  });

  test("that asks for what nobody bound is named in a line", async () => {
    await expect(compose(hello({ devices: [injected("painter", Painter)] }))).rejects.toMatchObject({
      code: "device-failed",
      message: expect.stringMatching(/^the plug-in painter failed: .*"test\/colour".*: bind it in a module of the description/),
    });
  });
});

describe("parts that are replaced by bindings", () => {
  test("clock, log and notifier are those that were bound", async () => {
    let timers = 0;
    const messages: string[] = [];
    const host = {
      ...defaultMachineHost,
      after: (milliseconds: number, task: () => void) => {
        timers++;
        return defaultMachineHost.after(milliseconds, task);
      },
    };
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (message: string) => void messages.push(message) };
    const modules = [
      new ContainerModule(({ rebind }) => {
        rebind(Service.Host).toConstantValue(host);
        rebind(Service.Log).toConstantValue(log);
      }),
    ];
    const machine = await compose(hello({ devices: [plain], modules }));
    machine.bus?.bus.guard("x", () => {
      throw new Error("no");
    });
    await machine[Symbol.asyncDispose]();
    expect(timers).toBeGreaterThan(0);
    expect(machine.container.get(Service.Log)).toBe(log);
  });

  test("a binding that is missing is named, and nothing is left", async () => {
    const modules = [new ContainerModule(({ unbind }) => unbind(Service.Clock))];
    await expect(compose(hello({ modules }))).rejects.toMatchObject({
      code: "bad-binding",
      message:
        "the machine's parts don't fit: No bindings found for service: \"clock\": bind it in a module of the description, or in the container above",
    });
  });

  test("a circle is named", async () => {
    const modules = [
      new ContainerModule(({ rebind }) => {
        rebind(Service.Ports).toResolvedValue((rack: DeviceRack) => rack as never, [Service.Devices]);
      }),
    ];
    await expect(compose(hello({ vbus: true, modules }))).rejects.toMatchObject({
      code: "bad-binding",
      message: expect.stringMatching(/Circular dependency found: ports -> devices -> machine -> ports: break the circle/),
    });
  });

  test("two regions that overlap are named, and nothing is left", async () => {
    const regions = [{ name: "second ram", base: gpa(MiB), memory: sharedMemory(4 * KiB) }];
    await expect(compose(hello({ regions }))).rejects.toThrow(/region "second ram" at 0x100000 overlaps "ram" at 0x0: move one of them/);
  });
});

test("many machines live in one process, each in a container of its own", async () => {
  const network = new LearningSwitch();
  const machines = await Promise.all(
    Array.from({ length: 4 }, (_, i) =>
      composed(hello({ name: `guest ${i}`, devices: [virtioNet({ backend: network, mac: 2 * i + 2 })] })),
    ),
  );
  expect(new Set(machines.map(({ container }) => container.get(Service.Devices))).size).toBe(4);
  for (const machine of machines) machine.machine.run();
  expect(await Promise.all(machines.map(({ outcome }) => outcome))).toEqual(machines.map(() => ({ reason: "left", status: 0 })));
});
