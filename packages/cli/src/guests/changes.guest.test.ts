/** What changes under traffic: the driver, the memory, the guest, the back-end, the machine that the guest is on. */
import { expect, test } from "vitest";
import { Guest } from "../../../../.config/guest/guest.ts";
import { address, card, pinged, rings, Served, Sockets } from "./served-scenarios.ts";
import { Pings, Stream } from "./under-way-scenarios.ts";

const DEVICE = "$(basename $(readlink -f /sys/class/net/eth0/device))";

test.each([
  ["split", 20],
  ["packed", 5],
] as const)("the driver of %s rings is unbound and bound %i times, and the card works each time", async (layout, times) => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ nics: [card(sockets.at("net"), 1, { packed: layout === "packed" })] });
  await guest.check(address(1));
  expect(await rings(guest)).toBe(layout);
  const script = [
    `device=${DEVICE}`,
    `for i in $(seq ${times}); do`,
    "  echo $device >/sys/bus/virtio/drivers/virtio_net/unbind || exit 1",
    "  echo $device >/sys/bus/virtio/drivers/virtio_net/bind || exit 2",
    `  ${address(1)} || exit 3`,
    "  ping -c 1 -W 2 10.0.0.254 >/dev/null || exit 4",
    "done",
  ].join("\n");
  await guest.check(script, { timeout: 60_000 });
  expect(served.count("leave")).toBe(0);
});

test.each([
  ["split", 2],
  ["packed", 1],
] as const)("memory is added and removed under traffic on %s rings, and no packet is lost", async (layout, times) => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ hotplugMiB: 512, nics: [card(sockets.at("net"), 1, { packed: layout === "packed" })] });
  await guest.check(address(1));
  await guest.check("ping -c 1 -W 2 10.0.0.254");
  expect(await rings(guest)).toBe(layout);
  const pings = await Pings.start(guest, "10.0.0.254", 0.02);
  const before = served.resources.mappings;
  for (let i = 0; i < times; i++) {
    await pings.during(() => guest.addMemory("more", 128, "movable"));
    expect(served.resources.mappings).toBeGreaterThan(before);
    await pings.during(() => guest.removeMemory("more"));
  }
  await pings.during(() => guest.addMemory("drivers", 128, "kernel"));
  expect(await pings.end()).toMatchObject({ lost: 0, again: 0 });
});

test.each(["split", "packed"])("a guest with %s rings that restarts has its card again", async (layout) => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ reboot: true, nics: [card(sockets.at("net"), 1, { packed: layout === "packed" })] });
  for (let i = 0; i < 2; i++) {
    await guest.check(address(1));
    expect(await rings(guest)).toBe(layout);
    expect(pinged(await guest.check("ping -c 3 -i 0.1 10.0.0.254")).received).toBe(3);
    if (i === 0) await guest.reboot();
  }
  expect(served.count("join")).toBeGreaterThan(0);
});

// QEMU (7.2) keeps no position of a packed ring: that one goes on by what the first back-end wrote down.
test.each([
  ["killed", "SIGKILL", 5, "split"],
  ["killed", "SIGKILL", 5, "packed"],
  ["stopped", "SIGTERM", 1, "packed"],
] as const)(
  "a back-end that is %s (%s) %i times under traffic on %s rings and comes again goes on, and nothing is delivered twice",
  async (_, signal, times, layout) => {
    const packed = layout === "packed";
    using sockets = new Sockets();
    const arguments_ = ["--socket", sockets.at("net")];
    await using ends = new AsyncDisposableStack();
    let served = ends.use(await Served.start(...arguments_));
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1, { packed })] });
    await using two = await Guest.start({ nics: [card(sockets.at("net"), 2, { packed })] });
    await one.check(address(1));
    await two.check(address(2));
    await one.check("ping -c 1 -W 2 10.0.0.2");
    expect(await rings(one)).toBe(layout);
    const stream = await Stream.start(one, two, "10.0.0.2");
    const pings = await Pings.start(one, "10.0.0.2", 0.02);
    for (let i = 0; i < times; i++) {
      served = await stream.during(async () => {
        await served.end(signal);
        const next = ends.use(await Served.start(...arguments_));
        await next.until("both guests to come again", () => next.count("join") === 2);
        return next;
      });
    }
    await stream.end(one);
    await pings.flow();
    expect(await pings.end()).toMatchObject({ again: 0 });
    expect([served.count("leave"), served.count("log")]).toEqual([0, 0]);
  },
);

test.each(["split", "packed"])(
  "a guest moves to another QEMU, with another back-end, while it streams by %s rings: the stream goes on, whole",
  async (layout) => {
    const packed = layout === "packed";
    using sockets = new Sockets();
    // The two back-ends are two switches with a cable between them.
    await using far = await Served.start("--socket", sockets.at("far"), "--backend", `dgram:${sockets.at("b")}:${sockets.at("a")}`);
    await using near = await Served.start("--socket", sockets.at("near"), "--backend", `dgram:${sockets.at("a")}:${sockets.at("b")}`);
    await using still = await Guest.start({ nics: [card(sockets.at("near"), 2, { packed })] });
    await using before = await Guest.start({ nics: [card(sockets.at("near"), 1, { packed })] });
    await using after = await Guest.start({ nics: [card(sockets.at("far"), 1, { packed })], incoming: true });
    await before.check(address(1));
    await still.check(address(2));
    await before.check("for i in $(seq 10); do ping -c 1 -W 1 10.0.0.2 && break; done");
    expect(await rings(before)).toBe(layout);
    const stream = await Stream.start(before, still, "10.0.0.2", 0.15);
    const pings = await Pings.start(before, "10.0.0.2", 0.05);
    await stream.during(() => before.migrateTo(after));
    expect([near.count("join"), far.count("join")]).toEqual([2, 1]);
    await stream.end(after);
    const { received, lost, again } = await pings.end(after);
    expect([received > lost, again]).toEqual([true, 0]);
  },
);

test("a QEMU that is killed under traffic leaves nothing behind, and the next guest is served", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  const idle = served.resources;
  for (let i = 1; i <= 3; i++) {
    await using guest = await Guest.start({ machine: "microvm", nics: [card(sockets.at("net"), i, { packed: i === 2 })] });
    await guest.check(address(i));
    await guest.check("ping -c 2 -i 0.1 10.0.0.254");
    const pings = await Pings.start(guest, "10.0.0.254", 0.001);
    expect(served.resources.mappings).toBeGreaterThan(idle.mappings);
    await pings.flow();
    await guest.kill();
    await served.until("it to leave", () => served.count("leave") === i);
    expect(served.resources).toEqual(idle);
  }
});
