/** A running machine goes from place to place: its guest streams through a virtio-net and a venet, and no datagram is lost or comes twice. */
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { kvmRefusal } from "../../../../.config/kvm/kvm-here.ts";
import {
  boot,
  type ComposedMachine,
  compose,
  defineMachine,
  type HypervisorChoice,
  kvm,
  type MachineDescription,
  multiboot,
  v86,
  venet,
  virtioNet,
} from "../index.ts";

const DATAGRAMS = 400;
class World implements Disposable {
  readonly network = new LearningSwitch({ whenFull: "wait" });
  readonly gateway = new Gateway(this.network, { address: "10.0.2.2" });
  text = "";
  readonly onConsole = (byte: number): void => {
    this.text += String.fromCharCode(byte);
  };

  describe(hypervisor: HypervisorChoice, commandLine: string, bus = true): MachineDescription {
    const cards = [virtioNet({ backend: this.network, mac: "52:54:00:12:34:57" })];
    return defineMachine({
      ...{ memory: 4 * MiB, hypervisor },
      devices: bus ? [...cards, venet({ backend: this.network, mac: "52:54:00:12:34:56" })] : cards,
      boot: multiboot(guestImage("net"), { commandLine }),
    });
  }

  [Symbol.dispose](): void {
    this.gateway[Symbol.dispose]();
  }
}

describe.each([
  { hypervisor: v86(), why: undefined },
  { hypervisor: kvm(), why: kvmRefusal },
])("on $hypervisor.name", ({ hypervisor, why }) => {
  test.for(["split", "packed", "pieces"])("a guest that streams is moved again and again (%s)", async (option, { skip }) => {
    if (why !== undefined) skip(why);
    using world = new World();
    // #region move
    const description = world.describe(hypervisor, `net ping=2 udp=${DATAGRAMS} exit ${option}`);
    let machine: ComposedMachine = await boot(description, { onConsole: world.onConsole });
    let moves = 0;
    const { gateway } = world;
    for (const reached of [1, 50, 200, DATAGRAMS + 1, DATAGRAMS + 150]) {
      await expect.poll(() => gateway.counters.udpEcho, { interval: 1, timeout: 20_000 }).toBeGreaterThanOrEqual(reached);
      const snapshot = structuredClone(await machine.save());
      await machine[Symbol.asyncDispose]();
      machine = await compose(description, { onConsole: world.onConsole, from: snapshot });
      machine.machine.run();
      moves++;
    }
    expect([await machine.outcome, moves]).toEqual([{ reason: "left", status: 0 }, 5]);
    expect(world.text).toContain(`\n${DATAGRAMS} datagrams came back`);
    expect(world.text).toContain(`venet: ${DATAGRAMS} datagrams came back`);
    expect([gateway.counters.udpEcho, gateway.counters.echo]).toEqual([2 * DATAGRAMS, 4]);
    // #endregion move
    await machine[Symbol.asyncDispose]();
  });
});

test("a machine with other devices doesn't take what was saved, and is taken down", async () => {
  using world = new World();
  const machine = await boot(world.describe(v86(), "net ping=1"), { onConsole: world.onConsole });
  const snapshot = await machine.save();
  await machine[Symbol.asyncDispose]();
  const bare = { ...world.describe(v86(), "net"), devices: [] };
  await expect(compose(bare, { from: snapshot })).rejects.toMatchObject({
    code: "bad-snapshot",
    message: "the machine that was saved had net, this one has none: describe the same devices",
  });
  await expect(compose(world.describe(v86(), "net", false), { from: snapshot })).rejects.toMatchObject({ code: "bad-snapshot" });
});
