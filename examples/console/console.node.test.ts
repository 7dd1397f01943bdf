/** The console without a hypervisor: a driver that knows one console, and one that knows of ports. */
import { type Duplex, duplexPair } from "node:stream";
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { type GuestAddress, gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, silentLogger, VirtioFeature, VirtioMmio } from "@virtspace/virtio";
import { afterEach, describe, expect, test } from "vitest";
import { virtioConsole } from "./console.ts";
import { CONTROL_BYTES, decode, Event, encode, Feature } from "./format.ts";
import type { PortOptions, PortStream } from "./port.ts";

const REGISTERS = gpa(0xd000_0000);
const CONFIG = gpa(0xd000_0100);
const RINGS = gpa(0x10_0000);
const BUFFERS = gpa(0x20_0000);

const open: { [Symbol.dispose](): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0).reverse()) each[Symbol.dispose]();
});

/** A machine with a console, and its driver. */
class ConsoleDriver implements Disposable {
  readonly space = VirtAddressSpace.create({ name: "guest" });
  readonly mmio: VirtioMmio;
  readonly registers: MmioDriver;
  readonly #device: Partial<Disposable>;
  /** Where buffers are, by queue and id. */
  readonly #buffers = new Map<string, GuestAddress>();
  #rings: RingDriver[] = [];
  #next = BUFFERS;

  constructor(ports: readonly PortOptions[]) {
    this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(8 * MiB) });
    const device = virtioConsole({ ports: () => ports }).create({ machine: "guest", random: () => {}, log: silentLogger });
    this.#device = device as Partial<Disposable>;
    this.mmio = new VirtioMmio({ space: this.space, base: REGISTERS, device, interrupt: () => {} });
    this.registers = new MmioDriver(this.space, REGISTERS);
    open.push(this);
  }

  start(...features: number[]): void {
    this.registers.negotiate(FeatureSet.of(VirtioFeature.Version1, ...features));
    this.#rings = this.mmio.runner.device.queues.map((_, i) => this.registers.startQueue(i, gpa(RINGS + i * 0x1_0000)));
    this.registers.ready();
  }

  /** Offers a buffer to be read. */
  write(queue: number, data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    this.space.copyTo(this.#next, bytes);
    this.#offer(queue, bytes.length, "read");
  }

  /** Offers a buffer to be written. */
  ask(queue: number, length = 64): void {
    this.#offer(queue, length, "written");
  }

  /** What the device gave back, if it did. */
  async answer(queue: number): Promise<Uint8Array | undefined> {
    await turns();
    const used = (this.#rings[queue] as RingDriver).used();
    if (used === undefined) return undefined;
    const bytes = new Uint8Array(used.written);
    this.space.copyFrom(this.#buffers.get(`${queue} ${used.id}`) as GuestAddress, bytes);
    return bytes;
  }

  /** Reads a text. */
  async read(queue: number, length?: number): Promise<string> {
    this.ask(queue, length);
    return new TextDecoder().decode(await this.answer(queue));
  }

  /** All that the device has to say of its ports. */
  async heard(): Promise<{ port: number; event: number; value: number; more: string }[]> {
    const heard = [];
    for (;;) {
      this.ask(2);
      const bytes = await this.answer(2);
      if (bytes === undefined) break;
      heard.push({ ...decode(bytes), more: Buffer.from(bytes.subarray(CONTROL_BYTES)).toString("latin1") });
    }
    return heard;
  }

  #offer(queue: number, length: number, toBe: "read" | "written"): void {
    const ring = this.#rings[queue] as RingDriver;
    const range = [{ address: this.#next, length }];
    const id = toBe === "read" ? ring.add(range, []) : ring.add([], range);
    this.#buffers.set(`${queue} ${id}`, this.#next);
    this.#next = gpa(this.#next + length);
    ring.publish();
    this.registers.notify(queue);
  }

  [Symbol.dispose](): void {
    this.mmio[Symbol.dispose]();
    this.#device[Symbol.dispose]?.();
    this.space[Symbol.dispose]();
  }
}

const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** Two ends of a cable. What is read of the host's is a text. */
function cable(): { device: PortStream; host: Duplex } {
  const [device, host] = duplexPair();
  return { device, host: host.setEncoding("utf8") };
}

describe("a driver that knows one console", () => {
  test("has what is typed, and what it writes is seen, on either kind of ring", async () => {
    for (const layout of [[], [VirtioFeature.RingPacked]]) {
      const { device, host } = cable();
      const driver = new ConsoleDriver([{ stream: device, console: true }]);
      driver.start(...layout);
      driver.write(1, "login: ");
      await turns();
      expect(host.read()).toBe("login: ");
      driver.ask(0);
      expect(await driver.answer(0)).toBeUndefined();
      host.write("root\n");
      expect(Buffer.from((await driver.answer(0)) ?? []).toString()).toBe("root\n");
    }
  });

  test("has what was typed before it was there, as much as its buffers hold", async () => {
    const { device, host } = cable();
    const driver = new ConsoleDriver([{ stream: device, console: true }]);
    host.write("abcdefgh");
    driver.start();
    expect([await driver.read(0, 3), await driver.read(0, 3), await driver.read(0, 3)]).toEqual(["abc", "def", "gh"]);
  });

  test("is told the size of a terminal, and of another one", async () => {
    const { device } = cable();
    const terminal = Object.assign(device, { columns: 80, rows: 25 });
    const driver = new ConsoleDriver([{ stream: terminal, console: true }]);
    driver.start(Feature.Size);
    const size = (): unknown => [driver.space.readU16(CONFIG), driver.space.readU16(gpa(CONFIG + 2))];
    expect(size()).toEqual([80, 25]);
    Object.assign(terminal, { columns: 132 }).emit("resize");
    expect([size(), driver.registers.acknowledge() & 2]).toEqual([[132, 25], 2]);
  });

  test("waits while nobody reads what it writes, and loses nothing of it", async () => {
    const { device, host } = cable();
    const driver = new ConsoleDriver([{ stream: device, console: true }]);
    driver.start();
    const text = "x".repeat(60_000);
    const written: number[] = [];
    for (let i = 0; i < 8; i++) {
      driver.write(1, text);
      if ((await driver.answer(1)) === undefined) break;
      written.push(i);
    }
    expect(written.length).toBeLessThan(4);
    let seen = 0;
    host.on("data", (some: string) => {
      seen += some.length;
    });
    await expect.poll(() => seen).toBe((written.length + 1) * text.length);
    expect((await driver.answer(1))?.length).toBe(0);
  });

  test("goes on without a stream that has failed", async () => {
    const { device } = cable();
    const driver = new ConsoleDriver([{ stream: device, console: true }]);
    driver.start();
    device.destroy(new Error("unplugged"));
    await turns();
    driver.write(1, "to nobody");
    expect(await driver.answer(1)).toEqual(new Uint8Array(0));
    expect(driver.mmio.runner.queue(1)?.fault).toBeUndefined();
  });
});

describe("a driver that knows of ports", () => {
  const ready = encode({ port: 0xffff_ffff, event: Event.DeviceReady, value: 1 });

  function twoPorts(): { driver: ConsoleDriver; hosts: Duplex[]; devices: PortStream[] } {
    const cables = [cable(), cable()];
    const [first, second] = cables.map(({ device }) => device) as [PortStream, PortStream];
    const driver = new ConsoleDriver([
      { stream: Object.assign(first, { columns: 80, rows: 25 }), console: true },
      { stream: second, name: "org.example.agent" },
    ]);
    driver.start(Feature.Multiport);
    return { driver, hosts: cables.map(({ host }) => host), devices: [first, second] };
  }

  test("is told of each, and what it is", async () => {
    const { driver } = twoPorts();
    expect(driver.space.readU32(gpa(CONFIG + 4))).toBe(2);
    driver.write(3, ready);
    const added = [0, 1].map((port) => ({ port, event: Event.PortAdd, value: 1, more: "" }));
    expect(await driver.heard()).toEqual(added);
    for (const port of [0, 1]) driver.write(3, encode({ port, event: Event.PortReady, value: 1 }));
    expect(await driver.heard()).toEqual([
      { port: 0, event: Event.ConsolePort, value: 1, more: "" },
      { port: 0, event: Event.Resize, value: 0, more: "\x50\0\x19\0" },
      { port: 0, event: Event.PortOpen, value: 1, more: "" },
      { port: 1, event: Event.PortName, value: 1, more: "org.example.agent" },
      { port: 1, event: Event.PortOpen, value: 1, more: "" },
    ]);
  });

  test("has what is for a port when it opens it, and hears that the other end is gone", async () => {
    const { driver, hosts, devices } = twoPorts();
    (hosts[1] as Duplex).write("early");
    driver.ask(4);
    expect(await driver.answer(4)).toBeUndefined();
    driver.write(3, encode({ port: 1, event: Event.PortOpen, value: 1 }));
    expect(Buffer.from((await driver.answer(4)) ?? []).toString()).toBe("early");
    driver.write(5, "answer");
    await turns();
    expect((hosts[1] as Duplex).read()).toBe("answer");
    (devices[1] as Duplex).destroy();
    expect(await driver.heard()).toEqual([{ port: 1, event: Event.PortOpen, value: 0, more: "" }]);
  });

  test("that talks nonsense gets no answer, and makes nothing grow", async () => {
    const { driver } = twoPorts();
    driver.write(3, new Uint8Array(3));
    for (const event of [Event.PortReady, Event.PortOpen, Event.PortName, 99]) driver.write(3, encode({ port: 7, event, value: 1 }));
    driver.write(3, encode({ port: 1, event: Event.PortReady, value: 0 }));
    for (let i = 0; i < 40; i++) driver.write(3, ready);
    await turns();
    expect(await driver.heard()).toHaveLength(2);
    for (const queue of [0, 1, 2, 3]) expect(driver.mmio.runner.queue(queue)?.fault).toBeUndefined();
  });

  test("that begins anew begins with closed ports, and no listener is left of the one before", () => {
    const { driver, devices } = twoPorts();
    const [{ stream }] = [{ stream: devices[0] as Duplex }];
    const listeners = (): number[] => ["readable", "drain", "close", "resize"].map((event) => stream.listenerCount(event));
    const before = listeners();
    for (let i = 0; i < 3; i++) driver.start(Feature.Multiport);
    expect(listeners()).toEqual(before);
    driver[Symbol.dispose]();
    expect(stream.destroyed).toBe(true);
  });
});

test("a console without a port is none", () => {
  expect(() => new ConsoleDriver([])).toThrow("give one");
});
