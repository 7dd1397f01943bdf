/** What the command's switch is connected to: a QEMU with a network of its own, passt, a tap device. Each is the real one. */
import { spawnSync } from "node:child_process";
import { describe, expect, type TestContext, test } from "vitest";
import { Guest, type NicBackend } from "../../../../.config/guest/guest.ts";
import { Passt, startEcho, startPasst } from "./beside-scenarios.ts";
import { address, bulk, card, pinged, Served, Sockets } from "./served-scenarios.ts";

/** A guest on a network of QEMU's own, which knows nothing of us. */
const stranger = (backend: NicBackend): Promise<Guest> => Guest.start({ nics: [{ backend, mac: "52:54:00:00:00:02" }] });

/** Pings as soon as somebody answers. */
const reach = (target: string): string => `for i in $(seq 20); do ping -c 1 -W 1 ${target} >/dev/null && exit 0; done; exit 1`;

/** Has a server send back what a guest posts to it, and compares. Busybox posts text alone. */
async function echoed(guest: Guest, target: string, port: number): Promise<void> {
  const post = `wget -qO- --post-file=/tmp/f http://${target}:${port}/ | sha256sum`;
  const sums = await guest.check(`head -c 15000000 /dev/urandom | base64 >/tmp/f; sha256sum </tmp/f; ${post}`, { timeout: 60_000 });
  expect(sums).toMatch(/^([0-9a-f]{64}) {2}-\n\1 {2}-$/);
}

function notRun({ skip }: TestContext, what: string, why: string): never {
  console.warn(`Not run: the test with ${what}. Here ${why}`);
  return skip(why);
}

async function reachEachOther(one: Guest, two: Guest): Promise<void> {
  await one.check(address(1));
  await two.check(address(2));
  await one.check(reach("10.0.0.2"));
  expect(pinged(await one.check("ping -c 10 -i 0.1 10.0.0.2"))).toEqual({ sent: 10, received: 10 });
  expect(pinged(await two.check("ping -c 10 -i 0.1 -s 1400 10.0.0.1"))).toEqual({ sent: 10, received: 10 });
  await bulk(one, two, "10.0.0.2");
  await bulk(two, one, "10.0.0.1");
}

describe("QEMU's -netdev stream, which listens", () => {
  test("its guest and ours ping each other, and send each other what arrives as it was sent", async () => {
    using sockets = new Sockets();
    await using two = await stranger({ kind: "stream", path: sockets.at("qemu"), listens: true });
    await using served = await Served.start("--socket", sockets.at("net"), "--backend", `stream:${sockets.at("qemu")}`);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
    await reachEachOther(one, two);
    expect([served.count("gone"), served.count("leave")]).toEqual([0, 0]);
  });

  test("it takes a second command after the first was killed, and where QEMU goes, that is said and the guests stay", async () => {
    using sockets = new Sockets();
    await using two = await stranger({ kind: "stream", path: sockets.at("qemu"), listens: true });
    const arguments_ = ["--socket", sockets.at("net"), "--backend", `stream:${sockets.at("qemu")}`, "--gateway", "10.0.0.254"];
    const first = await Served.start(...arguments_);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
    await one.check(address(1));
    await two.check(address(2));
    await one.check(reach("10.0.0.2"));
    await first.end("SIGKILL");
    await using second = await Served.start(...arguments_);
    await two.check(reach("10.0.0.1"));
    await two.kill();
    await second.until("it to be told of", () => second.count("gone") === 1);
    expect(pinged(await one.check("ping -c 3 -i 0.1 10.0.0.254")).received).toBe(3);
    expect(second.count("leave")).toBe(0);
  });
});

describe("QEMU's -netdev stream, which connects", () => {
  test("two of them and ours ping each other; one that goes is told of, and one that comes is taken", async () => {
    using sockets = new Sockets();
    await using served = await Served.start("--socket", sockets.at("net"), "--backend", `listen:${sockets.at("qemu")}`);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
    const two = await stranger({ kind: "stream", path: sockets.at("qemu"), listens: false });
    await reachEachOther(one, two);
    await two.kill();
    await served.until("it to be told of", () => served.count("gone") === 1);
    await using three = await stranger({ kind: "stream", path: sockets.at("qemu"), listens: false });
    await three.check(address(2));
    await one.check(reach("10.0.0.2"));
    expect([served.count("gone"), served.count("leave")]).toEqual([1, 0]);
  });
});

describe("QEMU's -netdev dgram", () => {
  test("its guest and ours ping each other, and send each other what arrives as it was sent", async () => {
    using sockets = new Sockets();
    const dgram = `dgram:${sockets.at("ours")}:${sockets.at("qemu")}`;
    await using served = await Served.start("--socket", sockets.at("net"), "--backend", dgram);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
    await using two = await stranger({ kind: "dgram", local: sockets.at("qemu"), remote: sockets.at("ours") });
    await reachEachOther(one, two);
    expect([served.count("gone"), served.count("leave")]).toEqual([0, 0]);
  });

  test("either side may be killed and started again", async () => {
    using sockets = new Sockets();
    const arguments_ = ["--socket", sockets.at("net"), "--backend", `dgram:${sockets.at("ours")}:${sockets.at("qemu")}`];
    const first = await Served.start(...arguments_);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
    const qemu = { kind: "dgram", local: sockets.at("qemu"), remote: sockets.at("ours") } as const;
    await using two = await stranger(qemu);
    await one.check(address(1));
    await two.check(address(2));
    await one.check(reach("10.0.0.2"));
    await first.end("SIGKILL");
    await using _second = await Served.start(...arguments_);
    await two.check(reach("10.0.0.1"));
    await two.kill();
    await using three = await stranger(qemu);
    await three.check(address(2));
    await one.check(reach("10.0.0.2"));
  });
});

test("passt leases an address, and a guest reaches a server on the host's loopback through it", async (context) => {
  using sockets = new Sockets();
  await using _passt = await startPasst(sockets.at("passt")).catch((error: Error) => notRun(context, "passt", error.message));
  await using echo = await startEcho("127.0.0.1");
  await using served = await Served.start("--socket", sockets.at("net"), "--backend", `stream:${sockets.at("passt")}`);
  await using guest = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
  const lease = await guest.check("udhcpc -i eth0 -n -q -O mtu && ip route && cat /sys/class/net/eth0/mtu");
  expect(lease).toContain(`lease of ${Passt.guest} obtained`);
  expect(lease).toContain(`default via ${Passt.gateway}`);
  expect(lease).toMatch(new RegExp(`^${Passt.mtu}$`, "m"));
  // passt takes the gateway's address for the host's loopback.
  await echoed(guest, Passt.gateway, echo.port);
  await guest.check("ip link set eth0 mtu 1500");
  await echoed(guest, Passt.gateway, echo.port);
  expect(served.count("gone")).toBe(0);
});

test("a tap leads into the host's network stack, with checksums and large segments left undone both ways", async (context) => {
  const own = "ip tuntap add vst0 mode tap && ip addr add 10.0.0.254/24 dev vst0 && ip link set vst0 up";
  const { status, stderr, error } = spawnSync("unshare", ["-n", "sh", "-c", own], { encoding: "utf8" });
  if (status !== 0) notRun(context, "a tap device", `none can be made: ${error?.message ?? stderr.trim()}`);
  using sockets = new Sockets();
  const within = ["unshare", "-n", "sh", "-c", `${own} && exec "$@"`, "sh"];
  await using served = await Served.startWithin(within, "--socket", sockets.at("net"), "--backend", "tap:vst0");
  await using echo = await startEcho("10.0.0.254", ["nsenter", "-t", `${served.pid}`, "-n"]);
  await using guest = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
  await guest.check(address(1));
  await guest.check(reach("10.0.0.254"));
  expect(pinged(await guest.check("ping -c 10 -i 0.1 10.0.0.254"))).toEqual({ sent: 10, received: 10 });
  await echoed(guest, "10.0.0.254", echo.port);
  expect(served.count("gone")).toBe(0);
});
