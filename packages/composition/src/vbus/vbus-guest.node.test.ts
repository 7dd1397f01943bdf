/** A guest on a virtual bus, by its driver in C: calls, rings and events by interrupts, beside a virtio-net card, on each engine. */
import { guestImage } from "@virtspace/conformance/guests";
import {
  BytesFrame,
  Gateway,
  LearningSwitch,
  macAddress,
  type NetworkBackend,
  type NetworkEndpoint,
  NO_OFFLOAD_SUPPORT,
  writeHeader,
  writeMac,
} from "@virtspace/network";
import { BridgeWindows, Vbus, VbusBridge, VbusMemctx, Venet } from "@virtspace/vbus";
import { gpa, MiB } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { kvmRefusal } from "../../../../.config/kvm/kvm-here.ts";
import { type ComposedMachine, compose, type HypervisorChoice, kvm, type MachineDevice, multiboot, v86, virtioNet } from "../index.ts";

const PLACE = { mmio: gpa(0xd010_0000), port: gpa(0x700) };
const IRQ = 10;
const BRIDGE = `vbus.bridge=64@0x${PLACE.mmio.toString(16)}:0x${PLACE.port.toString(16)}:${IRQ}`;
const VENET = "52:54:00:12:34:56";
const VIRTIO = "52:54:00:12:34:57";
const GATEWAY = "52:55:0a:00:02:02";

interface BoxOptions {
  readonly hypervisor: HypervisorChoice;
  readonly commandLine: string;
  readonly devices?: readonly MachineDevice[];
}

/** Takes no frames of what is plugged in while it is held. */
class HeldNetwork implements NetworkBackend {
  readonly name = "held";
  readonly #network: NetworkBackend;
  #held = false;
  #room: () => void = () => {};

  constructor(network: NetworkBackend) {
    this.#network = network;
  }

  set held(held: boolean) {
    this.#held = held;
    if (!held) this.#room();
  }

  plug(endpoint: NetworkEndpoint): ReturnType<NetworkBackend["plug"]> {
    const port = this.#network.plug(endpoint);
    return {
      get accepts() {
        return port.accepts;
      },
      counters: port.counters,
      send: (frame) => !this.#held && port.send(frame),
      flush: () => port.flush(),
      roomAgain: () => port.roomAgain(),
      onRoom: (callback) => {
        this.#room = callback;
        port.onRoom(callback);
      },
      [Symbol.dispose]: () => port[Symbol.dispose](),
    };
  }
}

/** Asks for an address, so many times, and counts what comes back. */
class Asker {
  answers = 0;
  #left: number;

  constructor(network: NetworkBackend, count: number, address: readonly number[]) {
    this.#left = count;
    const mac = 0x5254_0000_0099;
    const frame = new Uint8Array(42);
    writeHeader(frame, macAddress(VENET), mac, 0x0806);
    frame.set([0, 1, 8, 0, 6, 4, 0, 1], 14);
    writeMac(frame, 22, mac);
    frame.set([10, 0, 2, 99], 28);
    frame.set(address, 38);
    const request = new BytesFrame(frame);
    const receive = (): boolean => ++this.answers > 0;
    const port = network.plug({ name: "asker", accepts: NO_OFFLOAD_SUPPORT, receive, flush: () => {} });
    const ask = (): void => {
      while (this.#left > 0 && port.send(request)) this.#left--;
      port.flush();
    };
    port.onRoom(ask);
    ask();
  }

  /** Requests that nobody took yet. */
  get left(): number {
    return this.#left;
  }
}

/** A machine with a bridge, on a network of its own. */
class Box implements AsyncDisposable {
  readonly network = new LearningSwitch({ whenFull: "wait" });
  readonly held = new HeldNetwork(this.network);
  readonly gateway = new Gateway(this.network, { address: "10.0.2.2" });
  readonly bus = new Vbus({ name: "bus" });
  readonly venet = new Venet({ backend: this.held, mac: VENET });
  text = "";
  #machine: ComposedMachine | undefined;
  #bridge: VbusBridge | undefined;
  readonly #stack = new AsyncDisposableStack();

  /** Its guest runs, and finds the card on the bus, if nobody takes it off before. */
  async run({ hypervisor, commandLine, devices = [] }: BoxOptions): Promise<void> {
    const stack = this.#stack;
    stack.use(this.gateway);
    const onConsole = (byte: number): void => {
      this.text += String.fromCharCode(byte);
    };
    const description = { memory: 4 * MiB, hypervisor, devices, boot: multiboot(guestImage("net"), { commandLine }) };
    const machine = stack.use(await compose(description, { onConsole }));
    const { memory, ports } = machine;
    // An edge: the bridge has no register that says what has been seen, so nobody could let a level down. None is lost: while the guest
    // looks, its queue is pending, and no other edge comes; once it isn't, the next event gives one.
    const line = stack.use(machine.machine.line(IRQ));
    const bridge = stack.use(new VbusBridge({ bus: this.bus, memctx: new VbusMemctx(memory), interrupt: () => line.pulse() }));
    stack.use(new BridgeWindows({ bridge, memory, ports, ...PLACE }));
    [this.#machine, this.#bridge] = [machine, bridge];
    machine.machine.run();
  }

  get machine(): ComposedMachine {
    return this.#machine as ComposedMachine;
  }

  get bridge(): VbusBridge {
    return this.#bridge as VbusBridge;
  }

  get lines(): readonly string[] {
    return this.text.split("\n");
  }

  /** Until the guest has said a line. */
  async said(line: string): Promise<void> {
    await expect.poll(() => this.lines, { timeout: 20_000 }).toContain(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const pings = (count: number, prefix = ""): string[] => Array.from({ length: count }, (_, i) => `${prefix}ping ${i + 1}: answered`);
const LEFT = { reason: "left", status: 0 };

describe.each([
  { hypervisor: v86(), why: undefined },
  { hypervisor: kvm(), why: kvmRefusal },
])("on $hypervisor.name", ({ hypervisor, why }) => {
  const run = test.skipIf(why !== undefined);
  const reason = why === undefined ? "" : `, not run: ${why}`;

  run.each([
    ["whole frames, and calls by a port", "", "", 3],
    ["frames in pieces", "pieces", "frames in pieces, ", 3],
    // Two to set the bridge up, and the six of the card: open, capabilities, two rings, address, link.
    ["calls by the window alone", "slow", "", 2 + 6],
  ])(`venet alone, with %s${reason}`, async (_, option, shown, bridgecalls) => {
    await using box = new Box();
    box.bus.connect(box.venet.device);
    await box.run({ hypervisor, commandLine: `net ${BRIDGE} ping=3 udp=20 exit ${option}` });
    expect(await box.machine.outcome).toEqual(LEFT);
    expect(box.lines).toEqual([
      `venet at 0xd0100000, line 10, ${shown}${VENET}`,
      "venet: lease: 10.0.2.15, gateway 10.0.2.2",
      `venet: gateway is at ${GATEWAY}`,
      ...pings(3, "venet: "),
      "venet: 20 datagrams came back",
      "",
    ]);
    const { gateway, venet, bridge, machine } = box;
    expect([gateway.counters.echo, gateway.counters.udpEcho, gateway.counters.dhcp]).toEqual([3, 20, 2]);
    expect([venet.counters.rxFrames, venet.counters.txFrames, venet.counters.drops]).toEqual([26, 26, {}]);
    const { events, qnotify, notify, inject, bridgecalls: called, buscalls } = bridge.counters;
    expect([called, buscalls]).toEqual([bridgecalls, 6]);
    // An engine in this thread stands still while the card works: each exchange is a signal of the guest's, one of the card's, and an
    // event by an interrupt. A vCPU on a processor of its own may find the answer before anybody calls.
    const least = hypervisor.name === "v86" ? 26 : 1;
    for (const count of [inject, notify, qnotify, machine.machine.counters.interrupts]) expect(count).toBeGreaterThanOrEqual(least);
    expect(events).toBe(notify + 1);
    expect(qnotify).toBeLessThanOrEqual(events);
  });

  run(`beside a virtio-net card, each with a lease of its own${reason}`, async () => {
    await using box = new Box();
    box.bus.connect(box.venet.device);
    const devices = [virtioNet({ backend: box.network, mac: VIRTIO })];
    await box.run({ hypervisor, devices, commandLine: `net ${BRIDGE} ping=2 udp=3 exit` });
    expect(await box.machine.outcome).toEqual(LEFT);
    expect(box.lines).toEqual([
      `virtio-net at 0xd0000000, line 5, split rings, ${VIRTIO}`,
      `venet at 0xd0100000, line 10, ${VENET}`,
      "lease: 10.0.2.15, gateway 10.0.2.2",
      `gateway is at ${GATEWAY}`,
      ...pings(2),
      "3 datagrams came back",
      "venet: lease: 10.0.2.16, gateway 10.0.2.2",
      `venet: gateway is at ${GATEWAY}`,
      ...pings(2, "venet: "),
      "venet: 3 datagrams came back",
      "",
    ]);
    expect([box.gateway.counters.echo, box.gateway.counters.udpEcho]).toEqual([4, 6]);
  });

  run(`a card that comes later is found, and one that goes is missed${reason}`, async () => {
    await using box = new Box();
    await box.run({ hypervisor, commandLine: `net ${BRIDGE} ping=1` });
    await expect.poll(() => box.bridge.counters.bridgecalls).toBe(3);
    expect(box.text).toBe("");
    box.bus.connect(box.venet.device);
    await box.said("answering");
    box.bus.disconnect(box.venet.device);
    expect(await box.machine.outcome).toEqual({ reason: "left", status: 3 });
    expect(box.lines.slice(-2)).toEqual(["venet: it was taken off the bus", ""]);
  });

  run(`a guest whose ring is full waits until there is room, and loses nothing${reason}`, async () => {
    await using box = new Box();
    box.bus.connect(box.venet.device);
    await box.run({ hypervisor, commandLine: `net ${BRIDGE} ping=1` });
    await box.said("answering");
    const { inject } = box.bridge.counters;
    box.held.held = true;
    const asker = new Asker(box.network, 100, [10, 0, 2, 15]);
    // Its answers fill the ring of 16 that goes out. It waits with one more in hand, and the other ring fills up with it.
    await expect.poll(() => asker.left).toBe(100 - 2 * 16);
    expect(asker.answers).toBe(0);
    box.held.held = false;
    await expect.poll(() => asker.answers).toBe(100);
    expect([asker.left, box.venet.counters.drops]).toEqual([0, {}]);
    expect(box.bridge.counters.inject).toBeGreaterThan(inject);
  });

  run(`a bridge that isn't there is missed${reason}`, async () => {
    await using box = new Box();
    await box.run({ hypervisor, commandLine: "net vbus.bridge=64@0xd0200000:0x800:11 exit" });
    expect(await box.machine.outcome).toEqual({ reason: "left", status: 1 });
    expect(box.text).toBe("there is no vbus bridge at 0xd0200000\n");
  });
});
