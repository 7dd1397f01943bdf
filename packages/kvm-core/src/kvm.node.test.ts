/** How KVM is opened, and that nothing of a machine stays behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flat32 } from "@virtspace/hypervisor";
import { gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { kvmRefusal } from "../../../.config/kvm/kvm-here.ts";
import { KvmError, openKvm } from "./index.ts";

const why = kvmRefusal === undefined ? "" : `, not run: ${kvmRefusal}`;

describe("what can't be had", () => {
  test.each([
    ["/dev/there/is/none", "not-present", "kvm_intel"],
    ["/dev/null", "not-kvm", "/dev/null"],
    ["/", "call-failed", "EISDIR"],
  ])("%s is %s, and the error says what to do", async (path, code, remedy) => {
    const error: unknown = await openKvm({ path }).catch((reason: unknown) => reason);
    expect([KvmError.is(error) && error.code, String(error).includes(remedy)]).toEqual([code, true]);
  });
});

test("a device that is another user's is not-permitted, and the error says what to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kvm-"));
  const path = join(folder, "device");
  writeFileSync(path, "", { mode: 0o000 });
  // Root may open anything: for the moment of the call it is nobody.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chmodSync(folder, 0o755);
  if (isRoot) process.seteuid?.(65_534);
  const opened = openKvm({ path });
  if (isRoot) process.seteuid?.(0);
  const error: unknown = await opened.catch((reason: unknown) => reason);
  rmSync(folder, { recursive: true });
  expect([KvmError.is(error) && error.code, String(error).includes("group kvm")]).toEqual(["not-permitted", true]);
});

describe.skipIf(kvmRefusal !== undefined)(`lifetimes${why}`, () => {
  const held = (): { fds: number; mappings: number; threads: number } => ({
    fds: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter((line) => /kvm|memfd/.test(line)).length,
    threads: readdirSync("/proc/self/task").length,
  });

  const cycle = async (runs: boolean): Promise<void> => {
    using kvm = await openKvm();
    using memory = VirtAddressSpace.create({ name: "guest" });
    memory.map({ name: "ram", base: gpa(0), memory: await kvm.createMemory(MiB) });
    using ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
    await using machine = await kvm.createMachine({ memory, ports });
    if (!runs) return;
    memory.copyTo(gpa(0x1000), Uint8Array.of(0xeb, 0xfe));
    await machine.vcpus[0]?.setRegisters(flat32(0x1000));
    machine.run();
  };

  test("1000 machines that are made and disposed leave nothing", { timeout: 60_000 }, async () => {
    await cycle(false);
    const before = held();
    for (let i = 0; i < 1000; i++) await cycle(false);
    expect(held()).toEqual(before);
  });

  test("20 machines that run leave nothing", { timeout: 60_000 }, async () => {
    await cycle(true);
    const before = held();
    for (let i = 0; i < 20; i++) await cycle(true);
    expect(held()).toEqual(before);
  });

  test("a space that refuses leaves nothing of the machine", async () => {
    using kvm = await openKvm();
    using memory = VirtAddressSpace.create({ name: "guest" });
    memory.map({ name: "ram", base: gpa(0), memory: await kvm.createMemory(MiB) });
    const ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000 });
    ports[Symbol.dispose]();
    const before = held();
    await expect(kvm.createMachine({ memory, ports })).rejects.toThrow("let go");
    expect([held(), memory.holders]).toEqual([before, ["its creator"]]);
  });
});

test.skipIf(kvmRefusal !== undefined)(`guests tell which modes it runs${why}`, async () => {
  using kvm = await openKvm();
  // Whatever a KVM can't do, the project's own guests run on it.
  expect(await kvm.probeModes()).toMatchObject({
    real: expect.any(Boolean),
    protected32: true,
    paging32: expect.any(Boolean),
    long: expect.any(Boolean),
  });
});

describe.skipIf(kvmRefusal !== undefined)(`a process that ends while a guest spins${why}`, () => {
  test.each([
    ["process.exit(3)", 3, null],
    ["throw new Error('on purpose')", 1, null],
    ["process.kill(process.pid, 'SIGTERM')", null, "SIGTERM"],
    ["process.kill(process.pid, 'SIGINT')", null, "SIGINT"],
  ])("by %s does so within a second", async (how, code, signal) => {
    const program = `
      import { flat32 } from "@virtspace/hypervisor";
      import { gpa, VirtAddressSpace } from "@virtspace/virt-address-space";
      import { openKvm } from ${JSON.stringify(join(import.meta.dirname, "index.ts"))};
      const kvm = await openKvm();
      const memory = VirtAddressSpace.create({ name: "guest" });
      memory.map({ name: "ram", base: gpa(0), memory: await kvm.createMemory(1 << 20) });
      const ports = VirtAddressSpace.create({ name: "ports", size: 65536 });
      const machine = await kvm.createMachine({ memory, ports });
      memory.copyTo(gpa(0x1000), Uint8Array.of(0xfa, 0xff, 0x05, 0, 0x20, 0, 0, 0xeb, 0xf8));
      await machine.vcpus[0].setRegisters(flat32(0x1000));
      machine.run();
      while (memory.readU32(gpa(0x2000)) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      console.log("runs");
      setTimeout(() => { ${how}; }, 50);
    `;
    const args = ["--input-type=module", "-e", program];
    const child = spawn(process.execPath, args, {
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
