import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { flat32, type MachineEnd, type VirtualMachine } from "@virtspace/hypervisor";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { openV86 } from "./index.ts";

const CODE = 0x1_0000;

async function machineWith(code: number[]): Promise<{ memory: VirtAddressSpace; ports: VirtAddressSpace; machine: VirtualMachine }> {
  const v86 = await openV86();
  const memory = VirtAddressSpace.create({ name: "guest" });
  memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(4 * MiB) });
  memory.copyTo(gpa(CODE), Uint8Array.from(code));
  const ports = VirtAddressSpace.create({ name: "ports", size: 0x10000 });
  const machine = await v86.createMachine({ memory, ports });
  await machine.vcpus[0]?.setRegisters(flat32(CODE));
  return { memory, ports, machine };
}

test("a guest's port accesses reach the space", async () => {
  const { ports, machine } = await machineWith([0xb0, 0x41, 0xe6, 0x80, 0xf4, 0xeb, 0xfd]);
  const written = Promise.withResolvers<number[]>();
  ports.map({
    kind: "io",
    name: "port",
    base: gpa(0x80),
    size: 4,
    handler: { read: () => 0, write: (...access) => written.resolve(access) },
  });
  machine.run();
  expect(await written.promise).toEqual([0, 1, 0x41]);
  await machine.pause();
  expect(machine.counters.portAccesses).toBe(1);
  expect((await machine.vcpus[0]?.registers())?.rip).toBe(BigInt(CODE + 5));
  await machine[Symbol.asyncDispose]();
  expect(await machine.ended).toEqual({ reason: "disposed" } satisfies MachineEnd);
});

test("a guest without a handler for its fault ends", async () => {
  const { machine } = await machineWith([0x0f, 0x0b]);
  machine.run();
  expect(await machine.ended).toEqual({ reason: "triple-fault", vcpu: 0 } satisfies MachineEnd);
  await machine[Symbol.asyncDispose]();
});

test("a guest runs in a worker", async () => {
  const worker = new Worker(new URL("./v86.worker.ts", import.meta.url));
  expect(await once(worker, "message")).toEqual([["hello from the guest\n", 0]]);
  // Nothing of it keeps the thread.
  expect(await once(worker, "exit")).toEqual([0]);
});

describe("an engine of another version is refused", () => {
  const file = readFileSync(new URL(import.meta.resolve("v86/build/v86.wasm")));
  const renamed = (from: string, to: string): Uint8Array => {
    const bytes = Uint8Array.from(file);
    bytes.set(new TextEncoder().encode(to), file.indexOf(`${String.fromCharCode(from.length)}${from}`) + 1);
    return bytes;
  };

  test.each([
    ["no WebAssembly", Uint8Array.of(1, 2, 3), "is no WebAssembly"],
    ["an import that nobody knows", renamed("microtick", "macrotick"), "it imports macrotick; it does not import microtick"],
    ["another export", renamed("jit_dirty_page", "jit_mirky_page"), "it exports other functions"],
  ])("%s", async (_what, wasm, text) => {
    await expect(openV86({ wasm })).rejects.toMatchObject({
      name: "HypervisorError",
      code: "unavailable",
      message: expect.stringContaining(text),
    });
  });

  test("the one that is known is taken as bytes, as a buffer, and as a promise", async () => {
    for (const wasm of [file, Uint8Array.from(file).buffer, Promise.resolve(file)])
      expect((await openV86({ wasm })).version).toBe("0.5.462");
  });
});

test("memory that an engine can't have is refused", async () => {
  const v86 = await openV86();
  for (const size of [0, 4096, MiB + 1, 2048 * MiB])
    await expect(v86.createMemory(size)).rejects.toMatchObject({ code: "invalid-argument" });
  const memory = VirtAddressSpace.create({ name: "guest" });
  const ports = VirtAddressSpace.create({ name: "ports", size: 0x10000 });
  await expect(v86.createMachine({ memory, ports })).rejects.toMatchObject({ code: "unsuitable-memory" });
  const ram = await v86.createMemory(MiB);
  const region = memory.map({ name: "ram", base: gpa(MiB), memory: ram });
  await expect(v86.createMachine({ memory, ports })).rejects.toMatchObject({ code: "unsuitable-memory" });
  memory.move(region, gpa(0));
  await expect(v86.createMachine({ memory, ports, vcpus: 2 })).rejects.toMatchObject({ code: "unsupported" });
  const machine = await v86.createMachine({ memory, ports });
  await expect(v86.createMachine({ memory, ports })).rejects.toMatchObject({ code: "unsuitable-memory" });
  await machine[Symbol.asyncDispose]();
  await (await v86.createMachine({ memory, ports }))[Symbol.asyncDispose]();
  expect(memory.holders).toEqual(["its creator"]);
});

describe("a process that ends while a guest spins with interrupts off", () => {
  test.each([
    ["process.exit(3)", 3, null],
    ["throw new Error('on purpose')", 1, null],
    ["process.kill(process.pid, 'SIGTERM')", null, "SIGTERM"],
    ["process.kill(process.pid, 'SIGINT')", null, "SIGINT"],
  ])("by %s does so within a second", async (how, code, signal) => {
    const program = `
      import { flat32 } from "@virtspace/hypervisor";
      import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";
      import { openV86 } from ${JSON.stringify(join(import.meta.dirname, "index.ts"))};
      const v86 = await openV86();
      const memory = VirtAddressSpace.create({ name: "guest" });
      memory.map({ name: "ram", base: gpa(0), memory: await v86.createMemory(1 << 20) });
      const ports = VirtAddressSpace.create({ name: "ports", size: 65536 });
      const machine = await v86.createMachine({ memory, ports });
      memory.copyTo(gpa(${CODE}), Uint8Array.of(0xfa, 0xeb, 0xfe));
      await machine.vcpus[0].setRegisters(flat32(${CODE}));
      machine.run();
      setTimeout(() => { console.log("runs"); setTimeout(() => { ${how}; }, 50); }, 20);
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd: import.meta.dirname,
      timeout: 25_000,
      killSignal: "SIGKILL",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const closed = once(child, "close");
    await Promise.race([once(child.stdout, "data"), closed]);
    const start = performance.now();
    expect(await closed).toEqual([code, signal]);
    expect(performance.now() - start).toBeLessThan(1050);
  });
});

test("1000 machines that are made, run and disposed leave nothing", { timeout: 60_000 }, async () => {
  const v86 = await openV86();
  const made: WeakRef<object>[] = [];
  const cycle = async (): Promise<void> => {
    using memory = VirtAddressSpace.create({ name: "guest" });
    const ram = await v86.createMemory(MiB);
    memory.map({ name: "ram", base: gpa(0), memory: ram });
    memory.copyTo(gpa(CODE), Uint8Array.of(0xeb, 0xfe));
    using ports = VirtAddressSpace.create({ name: "ports", size: 0x10000 });
    await using machine = await v86.createMachine({ memory, ports });
    await machine.vcpus[0]?.setRegisters(flat32(CODE));
    machine.run();
    made.push(new WeakRef(machine), new WeakRef(ram));
  };
  for (let i = 0; i < 50; i++) await cycle();
  const before = await collected();
  for (let i = 0; i < 1000; i++) await cycle();
  const after = await collected();
  expect(made.filter((each) => each.deref() !== undefined)).toEqual([]);
  expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(8 * MiB);
  // More than 2 GiB went through. What the allocator keeps of that comes to a stand at some 200 MiB.
  expect(after.rss - before.rss).toBeLessThan(512 * MiB);
  expect(process.getActiveResourcesInfo()).not.toContain("Immediate");
});

/** Collects garbage. @returns what the process has then */
async function collected(): Promise<NodeJS.MemoryUsage> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // Buffers go a turn after what they belong to.
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  return process.memoryUsage();
}
