/**
 * Frames of 1500 bytes from one guest's memory to another's through the switch, on one core: what venet's side costs, and what
 * virtio-net's does. Drivers post a whole ring lap after lap; their part is not counted.
 */
import { SplitDriver, type VbusDeviceProxy, VenetNic } from "@virtspace/conformance";
import { LearningSwitch, Loopback, writeHeader } from "@virtspace/network";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, openVirtqueue, silentLogger, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import { report } from "../../../../.config/bench/measure.ts";
import { BridgedMachine } from "../bridge/bridge-scenarios.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { Venet } from "./venet.ts";
import { VenetCall } from "./venet-abi.ts";

const SIZE = 256;
const LENGTH = 1500;
const LAPS = 3000;
const WARM = 1000;
const HEADER = 12;
const STRIDE = 2048;
const FEATURES = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx);
const macOf = (guest: number): number => 0x5254_0000_0000 + guest;

function frame(to: number, from: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH).fill(7);
  writeHeader(bytes, to, from, 0x88b5);
  return bytes;
}

/** One lap: what is not counted before it, what is, and what is not after it. @returns whether all arrived */
interface Track {
  readonly before: () => void;
  readonly timed: () => void;
  readonly after: () => void;
  readonly arrived: () => number;
}

async function venetTrack(): Promise<Track> {
  const network = new LearningSwitch();
  const card = async (number: number) => {
    const machine = new BridgedMachine({ events: 64 });
    machine.bus.connect(new Venet({ backend: network, mac: macOf(number), host: machine.turns }).device);
    machine.guest.start();
    await machine.settle();
    const nic = new VenetNic(machine.guest.devices.get(1n) as VbusDeviceProxy, { size: SIZE, capabilities: { events: 0 } });
    if (nic.open() !== 0 || nic.call(VenetCall.linkUp) !== 0) throw new Error("the card doesn't open");
    await machine.settle();
    machine.guest.interrupt = () => {};
    return { machine, nic };
  };
  const [one, two] = [await card(1), await card(2)];
  two.nic.send(frame(0xffff_ffff_ffff, macOf(2)));
  two.machine.turns.settle();
  one.nic.poll();
  one.machine.turns.settle();
  const bytes = frame(macOf(2), macOf(1));
  return {
    before: () => {
      for (let i = 0; i < SIZE; i++) if (!one.nic.send(bytes)) throw new Error("the ring is full");
    },
    timed: () => one.machine.turns.settle(),
    after: () => {
      two.nic.poll();
      one.nic.poll();
      two.machine.turns.settle();
    },
    arrived: () => two.nic.received,
  };
}

function virtioTrack(): Track {
  const network = new LearningSwitch();
  const turns = new Turns();
  const card = (number: number) => {
    const space = VirtAddressSpace.create({ name: `guest ${number}` });
    space.map({ name: "ram", base: gpa(0), memory: sharedMemory(4 * MiB) });
    const net = new VirtioNet({ backend: network, mac: macOf(number) });
    net.start({ space, features: FEATURES, log: silentLogger, now: () => 0, configChanged: () => {} });
    const queues = [0, 1].map((index) => {
      const driver = new SplitDriver(space, { base: gpa(0x1_0000 * (index + 1)), size: SIZE, features: FEATURES });
      driver.wantInterrupts(false);
      const host = { defer: (task: () => void) => turns.defer(task), after: () => ({ [Symbol.dispose]: () => {} }), now: () => 0 };
      const queue = openVirtqueue(driver.config(index), { space, interrupt: () => {}, host });
      if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
      net.startQueue(index, queue);
      for (let i = 0; i < SIZE; i++) {
        const address = 0x10_0000 + (index * SIZE + i) * STRIDE;
        driver.describe(i, { address, length: index === 0 ? STRIDE : HEADER + LENGTH, flags: index === 0 ? 2 : 0 });
        driver.offer(i, i);
      }
      return { driver, queue, index: 0 };
    });
    const show = (queue: number): void => {
      const each = queues[queue] as (typeof queues)[number];
      each.index += SIZE;
      each.driver.setIndex(each.index);
    };
    const write = (bytes: Uint8Array): void => {
      for (let i = 0; i < SIZE; i++) space.copyTo(gpa(0x10_0000 + (SIZE + i) * STRIDE + HEADER), bytes);
    };
    return { net, show, write, kick: () => queues[1]?.queue.kick() };
  };
  const [one, two] = [card(1), card(2)];
  two.write(frame(0xffff_ffff_ffff, macOf(2)));
  two.show(1);
  two.kick();
  turns.settle();
  one.write(frame(macOf(2), macOf(1)));
  return {
    before: () => {
      two.show(0);
      one.show(1);
    },
    timed: () => {
      one.kick();
      turns.settle();
    },
    after: () => {},
    arrived: () => two.net.counters[0]?.frames as number,
  };
}

const tracks = { venet: await venetTrack(), virtio: virtioTrack() };
const taken: Record<keyof typeof tracks, number[]> = { venet: [], virtio: [] };
for (let lap = 0; lap < LAPS; lap++) {
  for (const [name, { before, timed, after }] of Object.entries(tracks) as [keyof typeof tracks, Track][]) {
    before();
    const start = performance.now();
    timed();
    if (lap >= WARM) taken[name].push((performance.now() - start) / SIZE);
    after();
  }
}
for (const [name, { arrived }] of Object.entries(tracks))
  if (arrived() < LAPS * SIZE) throw new Error(`${name}: only ${arrived()} of ${LAPS * SIZE} frames arrived`);

/** One guest with many cards, each of which hears its own frames; interrupts and all. @returns what was called how often */
async function underLoad(): Promise<{ readonly signalsPerFrame: number; readonly eventsPerInterrupt: number }> {
  const [cards, laps] = [8, 200] as const;
  const machine = new BridgedMachine({ events: 64 });
  for (let i = 1; i <= cards; i++)
    machine.bus.connect(new Venet({ backend: new Loopback(), mac: macOf(i), host: machine.turns, name: `card ${i}` }).device);
  machine.guest.start();
  await machine.settle();
  const nics = [...machine.guest.devices.values()].map((device) => new VenetNic(device, { size: 64, capabilities: { events: 0 } }));
  for (const nic of nics) if (nic.open() !== 0 || nic.call(VenetCall.linkUp) !== 0) throw new Error("a card doesn't open");
  await machine.settle();
  const before = { ...machine.bridge.counters };
  const bytes = frame(0xffff_ffff_ffff, macOf(1));
  for (let lap = 0; lap < laps; lap++) {
    for (const nic of nics) for (let i = 0; i < 64 && nic.send(bytes); i++);
    await machine.settle();
  }
  const frames = nics.reduce((sum, { received }) => sum + received, 0);
  if (frames !== laps * cards * 64) throw new Error(`${frames} frames came of ${laps * cards * 64}`);
  const { notify, inject, events, qnotify } = machine.bridge.counters;
  return {
    signalsPerFrame: (notify - before.notify + inject - before.inject) / (2 * frames),
    eventsPerInterrupt: (events - before.events) / (qnotify - before.qnotify),
  };
}

const rate = (samples: number[]): number => 1000 / (samples.sort((a, b) => a - b)[samples.length >> 1] as number);
const [venet, virtio] = [rate(taken.venet), rate(taken.virtio)];
const millions = (value: number): string => `${(value / 1e6).toFixed(2)} M/s`;
const share = venet / virtio;
report("venet, beside virtio-net on the same switch", [
  { what: "virtio-net, frames of 1500 bytes, one core", median: millions(virtio) },
  {
    what: "venet, the same",
    median: millions(venet),
    ratio: `${share.toFixed(2)}x`,
    target: "at least 0.7x",
    met: share >= 0.7 ? "yes" : "NO",
  },
]);
const { signalsPerFrame, eventsPerInterrupt } = await underLoad();
report("venet, eight cards of one guest at full load", [
  {
    what: "signals, either way, for a frame",
    median: signalsPerFrame.toFixed(3),
    target: "under 0.2",
    met: signalsPerFrame < 0.2 ? "yes" : "NO",
  },
  { what: "events for an interrupt of the bridge (coalescing)", median: eventsPerInterrupt.toFixed(2) },
]);
