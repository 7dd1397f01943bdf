/** A venet guest and a virtio-net guest on one switch: neither knows what the other has. */
import { SplitDriver, type VbusDeviceProxy, VenetNic } from "@virtspace/conformance";
import { LearningSwitch, writeHeader } from "@virtspace/network";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, openVirtqueue, silentLogger, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import { expect, test } from "vitest";
import { BridgedMachine } from "../bridge/bridge-scenarios.ts";
import { Venet } from "./venet.ts";
import { VenetCall } from "./venet-abi.ts";

const [VENET, VIRTIO] = [0x5254_0000_0001, 0x5254_0000_0002] as const;
const HEADER = 12;
const SIZE = 16;
const [RX, TX] = [0, 1] as const;
const FEATURES = FeatureSet.of(VirtioFeature.Version1);

function frame(to: number, from: number, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i);
  writeHeader(bytes, to, from, 0x88b5);
  return bytes;
}

test("frames go from the one to the other, and back", async () => {
  const network = new LearningSwitch();
  using machine = new BridgedMachine();
  const venet = new Venet({ backend: network, mac: VENET, host: machine.turns });
  machine.bus.connect(venet.device);
  machine.guest.start();
  await machine.settle();
  const came: Uint8Array[] = [];
  const nic = new VenetNic(machine.guest.devices.get(1n) as VbusDeviceProxy, { size: SIZE, onFrame: (each) => void came.push(each) });
  expect([nic.open(), nic.call(VenetCall.linkUp)]).toEqual([0, 0]);

  const space = VirtAddressSpace.create({ name: "the virtio guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const net = new VirtioNet({ backend: network, mac: VIRTIO });
  net.start({ space, features: FEATURES, log: silentLogger, now: () => 0, configChanged: () => {} });
  const [rx, tx] = [RX, TX].map((index) => {
    const driver = new SplitDriver(space, { base: gpa(0x1_0000 * (index + 1)), size: SIZE, features: FEATURES });
    const host = { defer: (task: () => void) => machine.turns.defer(task), after: () => ({ [Symbol.dispose]: () => {} }), now: () => 0 };
    const queue = openVirtqueue(driver.config(index), { space, interrupt: () => {}, host });
    if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
    net.startQueue(index, queue);
    return { driver, queue };
  }) as [{ driver: SplitDriver; queue: Virtqueue }, { driver: SplitDriver; queue: Virtqueue }];

  const buffer = 0x8_0000;
  rx.driver.describe(0, { address: buffer, length: 2048, flags: 2 });
  rx.driver.offer(0, 0);
  rx.driver.setIndex(1);
  const there = frame(VENET, VIRTIO, 900);
  space.copyTo(gpa(buffer + 0x1000 + HEADER), there);
  tx.driver.describe(0, { address: buffer + 0x1000, length: HEADER + there.length, flags: 0 });
  tx.driver.offer(0, 0);
  tx.driver.setIndex(1);
  tx.queue.kick();
  await machine.settle();
  expect(came).toEqual([there]);

  const back = frame(VIRTIO, VENET, 1514);
  expect(nic.send(back, { pieces: 3 })).toBe(true);
  await machine.settle();
  const got = new Uint8Array(back.length);
  space.copyFrom(gpa(buffer + HEADER), got);
  expect([got, net.counters[RX]?.frames, venet.counters.drops]).toEqual([back, 1, {}]);
});
