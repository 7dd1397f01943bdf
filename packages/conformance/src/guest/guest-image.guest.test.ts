/** The project's own guests under QEMU: the same bytes that run on our engines. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureProgram } from "../../../../.config/guest/debian.ts";
import { HelperProgram, spawnBound } from "../../../../.config/guest/helper-program.ts";
import { type GuestName, guestImage } from "./guest-image.ts";

const LIFETIME = 30_000;

let folder: string;
beforeAll(async () => {
  await ensureProgram("qemu-system-x86_64", "qemu-system-x86");
  folder = mkdtempSync(join(tmpdir(), "guests-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Boots an image. @returns what it said, and QEMU's status */
async function boot(name: GuestName, commandLine: string, ...devices: string[]): Promise<[text: string, status: number | null]> {
  const image = join(folder, name);
  writeFileSync(image, guestImage(name));
  // Without a firmware nobody lets the PIC through the local APIC: the processor has none.
  const machine = ["-M", "microvm,acpi=off,ioapic2=off,isa-serial=on,pic=on,pit=on,rtc=on,auto-kernel-cmdline=off", "-cpu", "qemu32,-apic"];
  const words = ["qemu-system-x86_64", ...machine, "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"];
  const exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"];
  const qemu = spawnBound([...words, "-kernel", image, "-append", commandLine, ...exit, ...devices], LIFETIME);
  let text = "";
  qemu.stdout?.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const status = await new Promise<number | null>((resolve) => void qemu.once("close", resolve));
  return [text.replaceAll("\r", ""), status];
}

const COMMAND = join(import.meta.dirname, "../../../cli/src/main.ts");
const MMIO = ["-global", "virtio-mmio.force-legacy=false"];
/** Where a microvm has its first card, as the kernel would be told. */
const PLACE = "virtio_mmio.device=512@0xfeb00e00:12";

/** What isa-debug-exit makes of a 0. */
const LEFT = 1;

test("hello says its line", async () => {
  expect(await boot("hello", "")).toEqual(["hello from the guest\n", LEFT]);
});

test("count counts the timer's interrupts, as often as it comes", async () => {
  const before = performance.now();
  // Nobody is at its port. The timer runs from the start, 18.2 times a second; the first interrupt may have waited for the guest.
  expect(await boot("count", "line=0 interrupts=20")).toEqual(["20 interrupts\n", LEFT]);
  expect(performance.now() - before).toBeGreaterThan(1000 * (18 / 18.2));
});

test.each(["split", "packed"])("net gets a lease of QEMU's own network, and pings its gateway, with %s rings", async (rings) => {
  const card = [...MMIO, "-netdev", "user,id=n0", "-device", "virtio-net-device,netdev=n0,packed=on"];
  const [text, status] = await boot("net", `${PLACE} ping=3 exit ${rings}`, ...card);
  expect(text.split("\n")).toEqual([
    `virtio-net at 0xfeb00e00, line 12, ${rings} rings, 52:54:00:12:34:56`,
    "lease: 10.0.2.15, gateway 10.0.2.2",
    "gateway is at 52:55:0a:00:02:02",
    ...[1, 2, 3].map((n) => `ping ${n}: answered`),
    "",
  ]);
  expect(status).toBe(LEFT);
});

// QEMU's own network hands datagrams to the echo port on to the host, which has none.
test.each(["split", "packed"])(
  "net on a card that the command serves has datagrams echoed by its gateway, with %s rings",
  async (rings) => {
    const socket = join(folder, `${rings}.sock`);
    const words = [process.execPath, COMMAND, "serve", "net", "--socket", socket, "--gateway", "10.0.2.2"];
    await using _served = await HelperProgram.start(words, LIFETIME, (said) => said.includes("listening at"));
    const memory = ["-m", "128", "-object", "memory-backend-memfd,id=ram,size=128M,share=on", "-machine", "memory-backend=ram"];
    const card = ["-chardev", `socket,id=c0,path=${socket}`, "-netdev", "vhost-user,id=n0,chardev=c0"];
    const device = ["-device", "virtio-net-device,netdev=n0,packed=on"];
    const [text, status] = await boot("net", `${PLACE} ping=1 udp=100 exit ${rings}`, ...memory, ...MMIO, ...card, ...device);
    expect(text.split("\n").slice(-3)).toEqual(["ping 1: answered", "100 datagrams came back", ""]);
    expect([text.includes(`${rings} rings`), status]).toEqual([true, LEFT]);
  },
);
