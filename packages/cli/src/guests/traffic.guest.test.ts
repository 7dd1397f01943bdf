/** Debian guests under QEMU with our cards: ping, bulk data both ways, a blast of packets, several queues, every layout and machine. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Guest } from "../../../../.config/guest/guest.ts";
import { address, bulk, card, pinged, rings, Served, Sockets } from "./served-scenarios.ts";

describe.each([
  ["q35, split", "microvm, packed", { machine: "q35" }, { machine: "microvm", packed: true }],
  ["q35, packed", "microvm, split", { machine: "q35", packed: true }, { machine: "microvm" }],
] as const)("%s and %s", (_, __, left, right) => {
  test("ping each other through the switch, and send each other what arrives as it was sent", async () => {
    using sockets = new Sockets();
    await using served = await Served.start("--socket", sockets.at("net"));
    await using one = await Guest.start({ machine: left.machine, nics: [card(sockets.at("net"), 1, { packed: "packed" in left })] });
    await using two = await Guest.start({ machine: right.machine, nics: [card(sockets.at("net"), 2, { packed: "packed" in right })] });
    await one.check(address(1));
    await two.check(address(2));
    expect(pinged(await one.check("ping -c 10 -i 0.1 10.0.0.2"))).toEqual({ sent: 10, received: 10 });
    expect(pinged(await two.check("ping -c 10 -i 0.1 -s 1400 10.0.0.1"))).toEqual({ sent: 10, received: 10 });
    await bulk(one, two, "10.0.0.2");
    await bulk(two, one, "10.0.0.1");
    expect(served.count("leave")).toBe(0);
  });
});

test("a blast of packets arrives, counted on both sides, and the guest is as lively as before", async () => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"));
  await using one = await Guest.start({ nics: [card(sockets.at("net"), 1)] });
  await using two = await Guest.start({ nics: [card(sockets.at("net"), 2)] });
  await one.check(address(1, "modprobe pktgen"));
  await two.check(address(2));
  expect(pinged(await one.check("ping -c 2 -i 0.1 10.0.0.2")).received).toBe(2);
  const packets = 200_000;
  const script = [
    "echo add_device eth0 >/proc/net/pktgen/kpktgend_0",
    `printf 'count ${packets}\\n' >/proc/net/pktgen/eth0`,
    "printf 'pkt_size 60\\n' >/proc/net/pktgen/eth0",
    "printf 'dst 10.0.0.2\\n' >/proc/net/pktgen/eth0",
    "printf 'dst_mac 52:54:00:00:00:02\\n' >/proc/net/pktgen/eth0",
    "echo start >/proc/net/pktgen/pgctrl",
    "grep -o 'pkts-sofar: [0-9]*' /proc/net/pktgen/eth0",
  ].join("\n");
  expect(await one.check(script, { timeout: 60_000 })).toContain(`pkts-sofar: ${packets}`);
  const counters = (name: string) =>
    served.said.findLast(({ event }) => event === "counters")?.guests?.find(({ guest }) => guest === name) ?? {
      sent: 0,
      received: 0,
      drops: 0,
    };
  await served.until("the frames to be counted", () => counters("guest 1").sent >= packets);
  // What the other one had no room for is counted as well.
  await served.until("all to be accounted for", () => counters("guest 2").received + counters("guest 2").drops >= packets);
  expect(pinged(await one.check("ping -c 3 -i 0.1 10.0.0.2")).received).toBe(3);
});

test.each(["split", "packed"])("two pairs of queues with %s rings carry traffic, and a driver may use fewer", async (layout) => {
  using sockets = new Sockets();
  await using served = await Served.start("--socket", sockets.at("net"), "--queues", "2");
  const start = (number: number): Promise<Guest> =>
    Guest.start({ processors: 2, nics: [card(sockets.at("net"), number, { queues: 2, packed: layout === "packed" })] });
  await using one = await start(1);
  await using two = await start(2);
  await one.check(address(1, "ethtool -L eth0 combined 2"));
  await two.check(address(2, "ethtool -L eth0 combined 2"));
  expect(await rings(one)).toBe(layout);
  await two.check("for port in 11 12 13 14; do nc -l -p $port -e sha256sum >/tmp/nc 2>&1 & done; sleep 0.3");
  const flows = [11, 12, 13, 14].map((port) => `taskset ${port % 2 === 0 ? 1 : 2} nc 10.0.0.2 ${port} </tmp/f >/tmp/sum${port} &`);
  await one.check(`head -c 4000000 /dev/urandom >/tmp/f\n${flows.join("\n")}\nwait`, { timeout: 40_000 });
  expect((await one.check("sort -u /tmp/sum1?; sha256sum </tmp/f")).match(/[0-9a-f]{64}/g)).toHaveLength(2);
  // What a processor sends goes through its own pair.
  for (const mask of [1, 2]) expect(pinged(await one.check(`taskset ${mask} ping -c 50 -i 0.01 10.0.0.2`)).received).toBe(50);
  await one.check("ethtool -L eth0 combined 1");
  expect(pinged(await one.check("ping -c 3 -i 0.1 10.0.0.2")).received).toBe(3);
  await one.quit();
  await served.until("it to leave", () => served.count("leave") === 1);
  const counters = served.said.find(({ event }) => event === "leave")?.counters ?? [];
  const frames = (name: string): number => counters.find((each) => each.name === name)?.frames ?? 0;
  const used = ["transmit 0", "transmit 1"].map((name) => frames(name) >= 25);
  expect([used, frames("receive 0") + frames("receive 1") >= 100]).toEqual([[true, true], true]);
});

test("a gateway leases an address, answers a ping, and tcpdump reads all of it in the capture", async () => {
  using sockets = new Sockets();
  const capture = sockets.at("net.pcapng");
  await using served = await Served.start("--socket", sockets.at("net"), "--gateway", "10.0.2.2", "--mtu", "9000", "--pcap", capture);
  // QEMU tells the second card's back-end of a smaller one (NET_SET_MTU).
  const second = { ...card(sockets.at("net"), 2), properties: { host_mtu: 1400 } };
  await using guest = await Guest.start({ machine: "microvm", nics: [card(sockets.at("net"), 1), second] });
  expect(await guest.check("cat /sys/class/net/eth0/mtu /sys/class/net/eth1/mtu")).toBe("1500\n1400");
  const lease = await guest.check("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/true 2>&1");
  const [, own] = /lease of (10\.0\.2\.\d+) obtained/.exec(lease) ?? [];
  await guest.check(`ip addr add ${own}/24 dev eth0`);
  expect(pinged(await guest.check("ping -c 3 -i 0.1 10.0.2.2")).received).toBe(3);
  // The other card is another interface of the capture.
  await guest.check("ip link set eth1 up && udhcpc -i eth1 -n -q -s /bin/true 2>&1");
  await guest.quit();
  await served.until("its cards to leave", () => served.count("leave") === 2);
  expect(await served.end("SIGTERM")).toBe(0);

  const { stdout } = await promisify(execFile)("tcpdump", ["-n", "-tt", "-r", capture], { timeout: 20_000 });
  const lines = stdout.trimEnd().split("\n");
  const counters = served.said.filter(({ event }) => event === "leave").flatMap((left) => left.counters ?? []);
  expect(lines).toHaveLength(counters.reduce((sum, { frames }) => sum + frames, 0));
  for (const [from, to, what] of [
    [own, "10.0.2.2", "request"],
    ["10.0.2.2", own, "reply"],
  ]) {
    expect(lines.filter((line) => line.includes(`IP ${from} > ${to}: ICMP echo ${what}, `))).toHaveLength(3);
  }
  for (const mac of ["52:54:00:00:00:01", "52:54:00:00:00:02"]) expect(stdout).toContain(`BOOTP/DHCP, Request from ${mac}`);
});
