/** The samples of "Compose a machine". */

// #region describe
import { boot, compose, defineMachine, injected, multiboot, Service, v86, virtioNet } from "@virtspace/composition";
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";

const network = new LearningSwitch({ whenFull: "wait" });
const gateway = new Gateway(network, { address: "10.0.2.2" });

const description = defineMachine({
  name: "guest",
  memory: 16 * MiB,
  hypervisor: v86(), // or kvm()
  devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:56" })],
  boot: multiboot(guestImage("net"), { commandLine: "net ping=4 udp=200 exit" }),
});

// #endregion describe
// #region injected
import { ConfigBytes, FeatureSet, type QueueState, type VirtioDevice, VirtioDeviceType, type Virtqueue } from "@virtspace/virtio";
import { Container, ContainerModule, decorate, inject, injectable } from "inversify";

const Seed = Symbol.for("example/seed");

class SeededEntropy implements VirtioDevice {
  readonly name = "entropy";
  readonly type = VirtioDeviceType.Entropy;
  readonly features = FeatureSet.none;
  readonly queues = [{ name: "requests", size: 64 }];
  readonly config = new ConfigBytes(0);
  readonly seed: number;
  readonly #random: (bytes: Uint8Array) => void;
  #queue: Virtqueue | undefined;

  constructor(seed: number, random: (bytes: Uint8Array) => void) {
    this.seed = seed;
    this.#random = random;
  }

  startQueue(_index: number, queue: Virtqueue): void {
    this.#queue = queue;
    queue.serve((chain) => chain.fill(this.#random));
  }

  stopQueue(): QueueState {
    return (this.#queue as Virtqueue).stop();
  }

  reset(): void {}
}

// What @injectable(), @inject(Seed) and @inject(Service.Random) do, where the compiler makes decorators.
decorate(injectable(), SeededEntropy);
decorate(inject(Seed), SeededEntropy, 0);
decorate(inject(Service.Random), SeededEntropy, 1);

const seeded = injected("entropy", SeededEntropy);
// #endregion injected

test("a machine is booted, watched and taken down", async () => {
  // #region boot
  const said: number[] = [];
  const machine = await boot(description, { onConsole: (byte) => said.push(byte) });
  const holders = machine.memory.holders;
  const outcome = await machine.outcome;
  await machine[Symbol.asyncDispose]();

  expect(holders).toEqual(["its creator", "v86", "net"]);
  expect(outcome).toEqual({ reason: "left", status: 0 });
  expect(String.fromCharCode(...said)).toContain("lease: 10.0.2.15, gateway 10.0.2.2");
  expect(gateway.counters.echo).toBe(4);
  expect(machine.memory.released).toBe(true);
  // #endregion boot
});

test("a device comes and goes while the guest runs", async () => {
  await using machine = await boot(description);
  // #region add
  const second = await machine.add(virtioNet({ backend: network, mac: "52:54:00:12:34:57", name: "second" }));
  expect(machine.devices.map(({ name }) => name)).toEqual(["net", "second"]);
  await machine.remove(second);
  expect(machine.memory.holders).toEqual(["its creator", "v86", "net"]);
  // #endregion add
});

test("a part is replaced by a binding, and a class has it injected", async () => {
  // #region rebind
  const chance = (bytes: Uint8Array): void => void bytes.fill(4);
  const container = new Container(); // the machine's own container is a child of it
  container.bind(Seed).toConstantValue(42);
  await using machine = await compose(
    {
      ...description,
      devices: [seeded],
      modules: [new ContainerModule(({ rebind }) => void rebind(Service.Random).toConstantValue(chance))],
    },
    { container },
  );
  expect(machine.devices[0]?.device).toMatchObject({ name: "entropy", seed: 42 });
  expect(machine.container.get(Service.Random)).toBe(chance);
  // #endregion rebind
});

test("a machine is saved in mid-run, and goes on elsewhere", async () => {
  // #region move
  const echoed = gateway.counters.udpEcho;
  const here = await boot(description);
  await expect.poll(() => gateway.counters.udpEcho - echoed, { interval: 1 }).toBeGreaterThan(20);
  const snapshot = structuredClone(await here.save()); // a plain value: send it, or keep it
  await here[Symbol.asyncDispose]();

  const there = await compose(description, { from: snapshot });
  there.machine.run();
  expect(await there.outcome).toEqual({ reason: "left", status: 0 });
  expect(gateway.counters.udpEcho - echoed).toBe(200); // none lost, none twice
  await there[Symbol.asyncDispose]();
  // #endregion move
});

test("what doesn't fit is told in a line, and nothing is left", async () => {
  // #region mistakes
  await expect(compose({ ...description, devices: [seeded] })).rejects.toThrow(
    "the plug-in entropy failed: the machine's parts don't fit: No bindings found for service: \"example/seed\": bind it in a module",
  );
  expect(() => defineMachine({ ...description, memory: undefined as never })).toThrow(
    "this is no machine: its memory is missing: give 64 * MiB",
  );
  // #endregion mistakes
});
