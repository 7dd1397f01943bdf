/**
 * The same work of the same Debian guests over our switch and over QEMU's own network card on datagram sockets, one after the other in
 * one run. It needs what `test:guest` does; without it, it says so.
 */

import { type Row, report } from "../../../../.config/bench/measure.ts";
import { Guest } from "../../../../.config/guest/guest.ts";
import { guestImage } from "../../../../.config/guest/guest-image.ts";
import type { Nic } from "../../../../.config/guest/nic.ts";
import { address, card, Served, Sockets } from "./served-scenarios.ts";

const PACKETS = 150_000;
const BYTES = 60_000_000;
const PINGS = 300;

interface Outcome {
  /** Packets a second that a guest sends. */
  readonly packets: number;
  /** Bytes a second over TCP. */
  readonly throughput: number;
  /** Milliseconds there and back, the average of a quick ping. */
  readonly roundTrip: number;
}

async function measure(nics: readonly [Nic, Nic]): Promise<Outcome> {
  await using one = await Guest.start({ nics: [nics[0]] });
  await using two = await Guest.start({ nics: [nics[1]] });
  await one.check(address(1));
  await two.check(address(2));
  await one.check("for i in $(seq 10); do ping -c 1 -W 1 10.0.0.2 >/dev/null && break; done");
  const ping = await one.check(`ping -c ${PINGS} -i 0.005 10.0.0.2`, { timeout: 60_000 });
  const roundTrip = Number(/min\/avg\/max = [\d.]+\/([\d.]+)/.exec(ping)?.[1]);
  await two.check("nc -l -p 7 >/dev/null 2>&1 & sleep 0.3");
  const start = performance.now();
  await one.check(`head -c ${BYTES} /dev/zero | nc 10.0.0.2 7`, { timeout: 100_000 });
  const throughput = BYTES / ((performance.now() - start) / 1000);
  const blast = [
    "test -d /proc/net/pktgen || insmod /lib/modules/pktgen.ko",
    "echo add_device eth0 >/proc/net/pktgen/kpktgend_0",
    `printf 'count ${PACKETS}\\npkt_size 60\\ndst 10.0.0.2\\ndst_mac 52:54:00:00:00:02\\n' | while read line; do echo "$line" >/proc/net/pktgen/eth0; done`,
    "echo start >/proc/net/pktgen/pgctrl",
    "grep -o '[0-9]*pps' /proc/net/pktgen/eth0",
  ].join("\n");
  const packets = Number.parseInt(await one.check(blast, { timeout: 100_000 }), 10);
  return { packets, throughput, roundTrip };
}

async function ours(): Promise<Outcome> {
  using sockets = new Sockets();
  await using _ = await Served.start("--socket", sockets.at("net"));
  return await measure([card(sockets.at("net"), 1), card(sockets.at("net"), 2)]);
}

async function qemus(): Promise<Outcome> {
  using sockets = new Sockets();
  const nic = (number: number, local: string, remote: string): Nic => ({
    backend: { kind: "dgram", local: sockets.at(local), remote: sockets.at(remote) },
    mac: `52:54:00:00:00:0${number}`,
  });
  return await measure([nic(1, "a", "b"), nic(2, "b", "a")]);
}

const reason = await guestImage().then(
  () => undefined,
  (error: Error) => error.message,
);
if (reason !== undefined) {
  console.log(`\n### Linux guests under QEMU\n\nNot measured: ${reason}`);
} else {
  const own = await ours();
  const theirs = await qemus();
  const row = (what: string, value: string, ratio: number, target: string, met: boolean): Row => ({
    what,
    median: value,
    ratio: `${ratio.toFixed(2)}x`,
    target,
    met: met ? "yes" : "NO",
  });
  const [packets, throughput, roundTrip] = [
    own.packets / theirs.packets,
    own.throughput / theirs.throughput,
    own.roundTrip / theirs.roundTrip,
  ];
  report("Linux guests under QEMU, beside QEMU's own card on datagrams", [
    row("packets of 60 bytes sent", `${(own.packets / 1000).toFixed(0)} k/s`, packets, "at least 3x", packets >= 3),
    row("TCP from guest to guest", `${(own.throughput / 1e6).toFixed(0)} MB/s`, throughput, "at least 3x", throughput >= 3),
    row("round trip of a ping", `${own.roundTrip.toFixed(2)} ms`, roundTrip, "no worse", roundTrip <= 1.05),
  ]);
}
