/** What changes under traffic: the driver, the memory, the guest, the back-end, the machine that the guest is on. */
import { expect, test } from "vitest";
import { Guest } from "../../../../.config/guest/guest.ts";
import { address, card, pinged, Served, Sockets } from "./served-scenarios.ts";

const DEVICE = "$(basename $(readlink -f /sys/class/net/eth0/device))";

test("the driver is unbound and bound twenty times, and the card works each time", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
  await guest.check(address(1));
  const script = [
    `device=${DEVICE}`,
    "for i in $(seq 20); do",
    "  echo $device >/sys/bus/virtio/drivers/virtio_net/unbind || exit 1",
    "  echo $device >/sys/bus/virtio/drivers/virtio_net/bind || exit 2",
    `  ${address(1)} || exit 3`,
    "  ping -c 1 -W 2 10.0.0.254 >/dev/null || exit 4",
    "done",
  ].join("\n");
  await guest.check(script, { timeout: 60_000 });
  expect(served.count("leave")).toBe(0);
});

test("memory is added and removed under traffic, and no packet is lost", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ hotplugMiB: 512, nics: [card(sockets.at("net"), 1)] });
  await guest.check(address(1));
  await guest.check("ping -c 1 -W 2 10.0.0.254");
  await guest.check("(ping -c 400 -i 0.02 10.0.0.254 >/tmp/ping 2>&1; echo done >>/tmp/ping) &");
  const before = served.resources.mappings;
  for (let i = 0; i < 2; i++) {
    await guest.addMemory("more", 128, "movable");
    expect(served.resources.mappings).toBeGreaterThan(before);
    await guest.removeMemory("more");
  }
  await guest.addMemory("drivers", 128, "kernel");
  const output = await guest.check("while ! grep -q done /tmp/ping; do sleep 0.1; done; cat /tmp/ping", { timeout: 60_000 });
  expect(pinged(output)).toEqual({ sent: 400, received: 400 });
});

test("a guest that restarts has its card again", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  await using guest = await Guest.start({ reboot: true, nics: [card(sockets.at("net"), 1)] });
  for (let i = 0; i < 2; i++) {
    await guest.check(address(1));
    expect(pinged(await guest.check("ping -c 3 -i 0.1 10.0.0.254")).received).toBe(3);
    if (i === 0) await guest.reboot();
  }
  expect(served.count("join")).toBeGreaterThan(0);
});

// QEMU (7.2) keeps no position of a packed ring: that one goes on by what the first back-end wrote down.
test.each([
  ["killed", "SIGKILL", "split"],
  ["killed", "SIGKILL", "packed"],
  ["stopped", "SIGTERM", "packed"],
] as const)(
  "a back-end that is %s (%s) under traffic on %s rings and comes again goes on, and nothing is delivered twice",
  async (_, signal, layout) => {
    const packed = layout === "packed";
    using sockets = new Sockets();
    const arguments_ = ["--socket", sockets.at("net")];
    const first = await Served.start(...arguments_);
    await using one = await Guest.start({ nics: [card(sockets.at("net"), 1, { packed })] });
    await using two = await Guest.start({ nics: [card(sockets.at("net"), 2, { packed })] });
    await one.check(address(1));
    await two.check(address(2));
    await one.check("ping -c 1 -W 2 10.0.0.2");
    await two.check("nc -l -p 7 -e sha256sum >/tmp/nc 2>&1 & sleep 0.3");
    await one.check("head -c 40000000 /dev/urandom >/tmp/f; (nc 10.0.0.2 7 </tmp/f >/tmp/sum; echo done >>/tmp/sum) &");
    await one.check("(ping -c 300 -i 0.02 10.0.0.2 >/tmp/ping 2>&1; echo done >>/tmp/ping) &");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await first.end(signal);
    await using second = await Served.start(...arguments_);
    await second.until("both guests to come again", () => second.count("join") === 2);
    const sums = await one.check("while ! grep -q done /tmp/sum; do sleep 0.1; done; cat /tmp/sum; sha256sum </tmp/f", { timeout: 60_000 });
    const [theirs, own] = sums.match(/[0-9a-f]{64}/g) ?? [];
    expect([theirs === own, theirs?.length]).toEqual([true, 64]);
    const ping = await one.check("while ! grep -q done /tmp/ping; do sleep 0.1; done; cat /tmp/ping", { timeout: 30_000 });
    const { sent, received } = pinged(ping);
    expect([sent, received > 100, ping.includes("DUP!")]).toEqual([300, true, false]);
  },
);

test("a guest moves to another QEMU, with another back-end, while it streams: the stream goes on, whole", async () => {
  using sockets = new Sockets();
  // The two back-ends are two switches with a cable between them.
  await using far = await Served.start("--socket", sockets.at("far"), "--backend", `dgram:${sockets.at("b")}:${sockets.at("a")}`);
  await using near = await Served.start("--socket", sockets.at("near"), "--backend", `dgram:${sockets.at("a")}:${sockets.at("b")}`);
  await using still = await Guest.start({ nics: [card(sockets.at("near"), 2)] });
  await using before = await Guest.start({ nics: [card(sockets.at("near"), 1)] });
  await using after = await Guest.start({ nics: [card(sockets.at("far"), 1)], incoming: true });
  await before.check(address(1));
  await still.check(address(2));
  await before.check("for i in $(seq 10); do ping -c 1 -W 1 10.0.0.2 && break; done");
  await still.check("nc -l -p 7 -e sha256sum >/tmp/nc 2>&1 & sleep 0.3");
  await before.check(
    "head -c 1000000 /dev/urandom >/tmp/f; (for i in $(seq 60); do cat /tmp/f; sleep 0.15; done | nc 10.0.0.2 7 >/tmp/sum; echo done >>/tmp/sum) &",
  );
  await before.check("(ping -c 200 -i 0.05 10.0.0.2 >/tmp/ping 2>&1; echo done >>/tmp/ping) &");
  await before.migrateTo(after, { timeout: 60_000 });
  expect([near.count("join"), far.count("join")]).toEqual([2, 1]);
  const own = /[0-9a-f]{64}/.exec(await after.check("for i in $(seq 60); do cat /tmp/f; done | sha256sum", { timeout: 60_000 }))?.[0];
  const theirs = await after.check("while ! grep -q done /tmp/sum; do sleep 0.1; done; cat /tmp/sum", { timeout: 90_000 });
  expect(/[0-9a-f]{64}/.exec(theirs)?.[0]).toBe(own);
  const ping = await after.check("while ! grep -q done /tmp/ping; do sleep 0.1; done; cat /tmp/ping", { timeout: 30_000 });
  expect([pinged(ping).received > 150, ping.includes("DUP!")]).toEqual([true, false]);
});

test("a QEMU that is killed under traffic leaves nothing behind, and the next guest is served", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.0.254");
  const idle = served.resources;
  for (let i = 1; i <= 3; i++) {
    await using guest = await Guest.start({ machine: "microvm", nics: [card(sockets.at("net"), i, { packed: i === 2 })] });
    await guest.check(address(i));
    await guest.check("ping -c 2 -i 0.1 10.0.0.254");
    await guest.check("ping -i 0.001 10.0.0.254 >/dev/null 2>&1 &");
    expect(served.resources.mappings).toBeGreaterThan(idle.mappings);
    await guest.kill();
    await served.until("it to leave", () => served.count("leave") === i);
    expect(served.resources).toEqual(idle);
  }
});
