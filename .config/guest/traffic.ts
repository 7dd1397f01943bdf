/**
 * Traffic between two guests over one of their interfaces, and how much of it comes through: what counts is what the receiving
 * kernel counted in a time that it measured itself, never what the sender says.
 */
import type { Guest } from "./guest.ts";

/** Two guests that reach each other by the interface of a number, which is eth0 for 0. */
export interface GuestLink {
  readonly from: Guest;
  readonly to: Guest;
  readonly number: number;
}

const SECONDS = 1.5;
/** Ethernet, IPv4, and TCP with its time stamps. */
const TCP_HEADERS = 14 + 20 + 32;

/** Gives both ends an address, and waits until they have found each other. */
export async function linkUp({ from, to, number }: GuestLink): Promise<void> {
  const configured = (end: number): string => `ip link set eth${number} up && ip addr add 10.0.${number}.${end}/24 dev eth${number}`;
  await from.check(configured(1));
  await to.check(configured(2));
  await from.check(`for i in $(seq 10); do ping -c 1 -W 1 10.0.${number}.2 >/dev/null && exit; done; false`);
}

/** Milliseconds of a ping's way there and back, the median of as many as fit into a second, one after the other. */
export async function roundTrip({ from, number }: GuestLink): Promise<number> {
  // First a file, then the rest: a program behind a pipe would have its turns between the pings.
  const script = [
    `ping -A -c 10000 -w 1 10.0.${number}.2 >/tmp/ping`,
    "sed -n 's/.*time=\\([0-9.]*\\) ms/\\1/p' /tmp/ping | sort -n >/tmp/times",
    'sed -n "$((($(wc -l </tmp/times) + 1) / 2))p" /tmp/times',
  ];
  return Number(await from.check(script.join("\n")));
}

/**
 * Frames of 60 bytes a second that arrive while the sender's kernel sends as many as it can. Nobody has their IP address, so that the
 * receiver's kernel throws them away without an answer.
 */
export async function frames({ from, to, number }: GuestLink): Promise<number> {
  const mac = await to.check(`cat /sys/class/net/eth${number}/address`);
  const settings = ["count 0", "pkt_size 60", "dst 10.0.255.1", `dst_mac ${mac}`];
  await from.check(
    [
      "modprobe pktgen && cd /proc/net/pktgen",
      `echo rem_device_all >kpktgend_0 && echo add_device eth${number} >kpktgend_0`,
      ...settings.map((setting) => `echo ${setting} >eth${number}`),
    ].join("\n"),
  );
  await from.check("sh -c 'echo start >/proc/net/pktgen/pgctrl' >/dev/null 2>&1 & echo $! >/tmp/job");
  const received = await receivedBy(to, number);
  // Gone before the next command comes: a line that the guest's shell is reading is lost when an orphan of it ends meanwhile.
  await from.check("job=$(cat /tmp/job); kill $job; while kill -0 $job 2>/dev/null; do sleep 0.1; done");
  return received.frames;
}

/** Bytes a second that arrive over one TCP connection, without headers. */
export async function stream({ from, to, number }: GuestLink): Promise<number> {
  const sent = from.run(`sleep 0.3; nc 10.0.${number}.2 7 -e dd if=/dev/zero bs=64k >/dev/null 2>&1`);
  const received = await receivedBy(to, number, "nc -l -p 7 -e dd of=/dev/null bs=64k");
  // It ends because the other end did.
  await sent;
  return received.bytes - received.frames * TCP_HEADERS;
}

/** What a guest's card relieves its kernel of when it sends, as the kernel says. */
export async function offloads({ from, number }: GuestLink): Promise<string> {
  const features = await from.check(`ethtool -k eth${number}`);
  const names = { "tx-checksumming": "checksums", "tcp-segmentation-offload": "TCP segments" };
  const on = Object.entries(names).filter(([feature]) => features.includes(`${feature}: on`));
  return on.map(([, name]) => name).join(", ") || "none";
}

/** What an interface receives in a second, under way, while its guest runs a program. */
async function receivedBy(guest: Guest, number: number, program = "true"): Promise<{ readonly frames: number; readonly bytes: number }> {
  const counters = "cat rx_packets rx_bytes /proc/uptime";
  const script = [
    `cd /sys/class/net/eth${number}/statistics`,
    `${program} >/dev/null 2>&1 &`,
    `sleep 0.8; ${counters}; sleep ${SECONDS}; ${counters}`,
    "kill $! 2>/dev/null; wait",
  ];
  const numbers = (await guest.check(script.join("\n"))).split("\n").map(Number.parseFloat);
  const [frames, bytes, seconds] = [0, 1, 2].map((i) => (numbers[i + 3] as number) - (numbers[i] as number)) as [number, number, number];
  return { frames: frames / seconds, bytes: bytes / seconds };
}
