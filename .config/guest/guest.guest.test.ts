/** The harness alone, with QEMU's own network devices and nothing of ours behind them. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Guest, type GuestOptions, type Machine, type NicBackend } from "./guest.ts";

const MACHINES = ["q35", "microvm"] as const;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "guest-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The two ends of a cable, of both of QEMU's kinds. The first end has the socket `first`. */
const CABLES: Readonly<Record<Machine, (first: string, second: string) => readonly [NicBackend, NicBackend]>> = {
  q35: (first, second) => [
    { kind: "dgram", local: first, remote: second },
    { kind: "dgram", local: second, remote: first },
  ],
  microvm: (first) => [
    { kind: "stream", path: first, listens: true },
    { kind: "stream", path: first, listens: false },
  ],
};

describe.each(MACHINES)("on a %s", (machine) => {
  test("two guests ping each other and copy bytes", async () => {
    const socket = join(folder, machine);
    const [here, there] = CABLES[machine](socket, `${socket}-2`);
    const first = Guest.start({ machine, nics: [{ backend: here, mac: "52:54:00:00:00:01" }] });
    // A stream's other end must find its listener: QEMU says nothing of it if not, and is without a link.
    await expect.poll(() => existsSync(socket), { timeout: 10_000 }).toBe(true);
    const second = Guest.start({ machine, nics: [{ backend: there, mac: "52:54:00:00:00:02" }] });
    await using a = await first;
    await using b = await second;
    await a.check("ip link set eth0 up; ip addr add 10.0.0.1/24 dev eth0");
    await b.check("ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0");
    expect(await b.check("ping -c 3 -i 0.2 10.0.0.1")).toContain("3 packets received");
    expect(await a.check("ping -c 3 -i 0.2 10.0.0.2")).toContain("3 packets received");

    // The far end answers with the checksum of what it got.
    await b.check("nc -l -p 7 -e sha256sum >/tmp/error 2>&1 & sleep 0.2");
    await a.check("head -c 2000000 /dev/urandom >/tmp/bytes");
    expect(await a.check("nc 10.0.0.2 7 </tmp/bytes")).toBe(await a.check("sha256sum </tmp/bytes"));
  });

  test("commands come back whole, the clock is right, and a restart is survived", async () => {
    await using guest = await Guest.start({ machine, reboot: true });
    expect(await guest.run("echo out; echo error >&2; printf '\\n\\\\n'; exit 3")).toEqual({ status: 3, output: "out\nerror\n\n\\n" });
    expect(await guest.check('for i in 1 2\ndo\n  echo "<$i>"\ndone')).toBe("<1>\n<2>");
    expect(await guest.check(`printf %s ${"z".repeat(10_000)} | wc -c`)).toBe("10000");
    expect(await Promise.all(["1", "2", "3"].map((word) => guest.check(`echo ${word}`)))).toEqual(["1", "2", "3"]);
    await expect(guest.check("echo why; false")).rejects.toThrow(/status 1: echo why; false\nwhy/);
    expect(await guest.check("modprobe pktgen && ls /proc/net/pktgen; ethtool --version")).toMatch(/kpktgend_0.*\nethtool version/);

    const uptime = async (): Promise<number> => Number((await guest.check("cat /proc/uptime")).split(" ")[0]) * 1000;
    const [inside, outside] = [await uptime(), performance.now()];
    await sleep(1000);
    const ratio = ((await uptime()) - inside) / (performance.now() - outside);
    expect(Math.abs(ratio - 1)).toBeLessThan(0.2);

    expect(await guest.qmp("query-status")).toMatchObject({ running: true });
    await expect(guest.qmp("no-such-command")).rejects.toThrow("QEMU refused no-such-command");
    await guest.check("touch /tmp/before");
    await guest.reboot();
    await guest.waitQmpEvent("RESET");
    expect(await guest.run("ls /tmp")).toEqual({ status: 0, output: "" });
  });

  test("a guest migrates with a command under way", async () => {
    const options: GuestOptions = { machine };
    await using source = await Guest.start(options);
    await using destination = await Guest.start({ ...options, incoming: true });
    const counted = source.check("for i in $(seq 60); do echo $i; sleep 0.05; done");
    const after = source.check("echo after");
    await source.migrateTo(destination);
    expect(await counted).toBe(Array.from({ length: 60 }, (_, i) => `${i + 1}`).join("\n"));
    expect(await after).toBe("after");
    expect(await destination.check("echo there")).toBe("there");
    await expect(source.run("echo here")).rejects.toThrow("migrated");
  });
});

test("memory is plugged in and taken away while a guest runs", async () => {
  await using guest = await Guest.start({ hotplugMiB: 512 });
  const total = async (): Promise<number> => Number(await guest.check("awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo"));
  const before = await total();
  await guest.addMemory("more", 256);
  expect(await total()).toBe(before + 256);
  await guest.removeMemory("more");
  expect(await total()).toBe(before);
  await guest.addMemory("again", 128, "kernel");
  expect(await total()).toBe(before + 128);
  // The kernel's own data can't be moved elsewhere.
  await guest.check("for i in $(seq 500); do mkdir /tmp/$i; done");
  await expect(guest.removeMemory("again")).rejects.toThrow("the guest keeps again");
  await expect(guest.addMemory("odd", 100)).rejects.toThrow("multiple of 128");
});

test("a guest whose QEMU ends fails what waits for it, and says what the kernel said", async () => {
  await using guest = await Guest.start();
  const [command, event] = [guest.run("sleep 100"), guest.waitQmpEvent("NEVER")];
  await Promise.all([
    expect(command).rejects.toThrow("QEMU has ended (0)"),
    expect(event).rejects.toThrow("QEMU has ended (0)"),
    guest.run("echo c >/proc/sysrq-trigger").catch(() => {}),
    guest.qmp("quit"),
  ]);
  await expect(guest.run("true")).rejects.toThrow("QEMU has ended (0)");

  await using panicking = await Guest.start();
  await expect(panicking.run("echo c >/proc/sysrq-trigger")).rejects.toThrow(
    /has ended \(0\)\n.*Kernel panic - not syncing: sysrq triggered crash/s,
  );
});

test("QEMU ends with its time, and with the process that started it", async () => {
  await using guest = await Guest.start({ incoming: true, lifetime: 1000 });
  await guest.ended;
  await expect(guest.qmp("query-status")).rejects.toThrow("QEMU lived for 1000 ms");

  const script = `
    const { Guest } = await import(${JSON.stringify(join(import.meta.dirname, "guest.ts"))});
    const guest = await Guest.start({ incoming: true });
    console.log(guest.pid);
    process.kill(process.pid, "SIGKILL");`;
  const pid = await new Promise<string>((resolve) => {
    execFile(process.execPath, ["--input-type=module", "--eval", script], (_, stdout) => resolve(stdout.trim()));
  });
  expect(pid).toMatch(/^\d+$/);
  // A zombie, where nobody buries orphans, is as good.
  const lives = (): boolean => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  await expect.poll(lives).toBe(false);
});
