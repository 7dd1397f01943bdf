/**
 * The tap tests' other half, in a network namespace of its own: a tap device between the kernel's stack and a device that plays
 * the machine 10.9.0.2. Says on its standard output what came of each step.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { macAddress, NO_OFFLOAD_SUPPORT, type Offload, writeHeader } from "@virtspace/network";
import { openFds, Tool, until } from "../host-scenarios.ts";
import { EventLoopPoller, Tap, TapBackend } from "../index.ts";
import { type Got, Station } from "./station-scenarios.ts";

const ip = (...args: string[]): unknown => execFileSync(Tool.ip, args, { stdio: ["ignore", "ignore", "inherit"] });
const KERNEL = [10, 9, 0, 1];
const MINE = [10, 9, 0, 2];
const MAC = macAddress("52:54:00:00:00:02");
const TCP = 6;
const UDP = 17;
const TRANSPORT = 34;
const report: Record<string, unknown> = {};

const poller = new EventLoopPoller();
using warm = Tap.open("warm%d");
report["anyName"] = warm.device;
warm[Symbol.dispose]();
const before = openFds();

let gone = 0;
const station = new Station(new TapBackend("vst0", { poller, onGone: () => gone++ }));
station.accepts = { checksum: true, segmentation: ["tcp4", "tcp6"], ecn: true };
try {
  new TapBackend("vst0").plug(station);
} catch (error) {
  report["second"] = { code: (error as { code: string }).code, errno: (error as { errno: string }).errno };
}
ip("link", "set", "lo", "up");
ip("addr", "add", "10.9.0.1/24", "dev", "vst0");
station.send(new Uint8Array(60));
report["down"] = { ...station.port.counters.drops };
ip("link", "set", "vst0", "up");

const u16 = ({ bytes }: Got, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const u32 = (got: Got, at: number): number => u16(got, at) * 65536 + u16(got, at + 2);
const isIp = (got: Got, protocol: number): boolean => u16(got, 12) === 0x800 && got.bytes[23] === protocol;

async function next(what: string, wanted: (got: Got) => boolean): Promise<Got> {
  let found: Got | undefined;
  await until(what, () => {
    found = station.got.find(wanted);
    return found !== undefined;
  });
  station.got.length = 0;
  return found as Got;
}

/** An IPv4 packet whose transport checksum is missing: the sum of its pseudo-header stands in its place. */
function packet(kernelMac: number, protocol: number, checksumOffset: number, transport: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(TRANSPORT + transport.length);
  const view = new DataView(bytes.buffer);
  writeHeader(bytes, kernelMac, MAC, 0x800);
  bytes.set([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0, ...MINE, ...KERNEL], 14);
  view.setUint16(16, 20 + transport.length);
  bytes.set(transport, TRANSPORT);
  let header = 0;
  for (let at = 14; at < TRANSPORT; at += 2) header += view.getUint16(at);
  view.setUint16(24, ~fold(header) & 0xffff);
  let pseudo = protocol + transport.length;
  for (let at = 26; at < TRANSPORT; at += 2) pseudo += view.getUint16(at);
  view.setUint16(TRANSPORT + checksumOffset, fold(pseudo));
  return bytes;
}
function fold(sum: number): number {
  const once = (sum & 0xffff) + Math.floor(sum / 65536);
  return (once & 0xffff) + (once >>> 16);
}
const offload = (checksumOffset: number, more: Partial<Offload> = {}): Offload => ({
  needsChecksum: true,
  checksumStart: TRANSPORT,
  checksumOffset,
  segmentation: "none",
  segmentSize: 0,
  headerLength: 0,
  ecn: false,
  dataValid: false,
  ...more,
});
const be16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value & 0xffff)];

// The kernel asks who 10.9.0.2 is, and takes our answer.
const udp = createSocket("udp4");
udp.bind(5000, "10.9.0.1");
await once(udp, "listening");
udp.send("hello", 7, "10.9.0.2");
const question = await next("a question", (got) => u16(got, 12) === 0x806);
const kernelMac = Number(`0x${Buffer.from(question.bytes.subarray(6, 12)).toString("hex")}`);
const answer = new Uint8Array(42);
writeHeader(answer, kernelMac, MAC, 0x806);
answer.set([0, 1, 8, 0, 6, 4, 0, 2, ...answer.subarray(6, 12), ...MINE, ...question.bytes.subarray(22, 28), ...KERNEL], 14);
station.send(answer);

// Its datagram leaves the checksum to us.
const hello = await next("its datagram", (got) => isIp(got, UDP));
report["udp"] = { text: Buffer.from(hello.bytes.subarray(42)).toString(), offload: hello.offload };

// Ours leaves it to the kernel; the same without saying so is not taken.
const heard: string[] = [];
udp.on("message", (message) => heard.push(message.toString()));
const datagram = (text: string): Uint8Array =>
  packet(kernelMac, UDP, 6, [...be16(7), ...be16(5000), ...be16(8 + text.length), 0, 0, ...Buffer.from(text)]);
station.send(datagram("wrong"));
station.send(datagram("right"), offload(6));
await until("our datagram", () => heard.length > 0);
report["heard"] = heard;

// A connection: what the kernel sends comes as large segments with a size to cut them by, and ours may be so.
const server = createServer().listen(6000, "10.9.0.1");
await once(server, "listening");
const accepted = once(server, "connection") as Promise<[Socket]>;
const segment = (sequence: number, acknowledged: number, flags: number, rest: readonly number[] = [], options: readonly number[] = []) =>
  packet(kernelMac, TCP, 16, [
    ...[...be16(40_000), ...be16(6000), ...be32(sequence), ...be32(acknowledged)],
    ...[((20 + options.length) / 4) << 4, flags, ...be16(65_535), 0, 0, 0, 0, ...options, ...rest],
  ]);
station.send(segment(1000, 0, 0x02, [], [2, 4, ...be16(1460)]), offload(16));
const synAck = await next("its answer", (got) => isIp(got, TCP) && got.bytes[47] === 0x12);
const theirs = u32(synAck, 38) + 1;
station.send(segment(1001, theirs, 0x10), offload(16));
const [socket] = await accepted;
let taken = 0;
socket.on("data", (data) => {
  taken += data.length;
});
const large = segment(1001, theirs, 0x18, new Array(3000).fill(7));
station.send(large, offload(16, { segmentation: "tcp4", segmentSize: 1460, headerLength: 54 }));
await until("our large segment", () => taken === 3000);
socket.write(new Uint8Array(40_000));
const tso = await next("its large segment", (got) => isIp(got, TCP) && got.bytes.length > 1514);
report["tcp"] = { taken, offload: tso.offload, port: u16(tso, TRANSPORT) };

// A device that takes only what goes on a wire gets that: the same again, for nobody acknowledged it.
station.accepts = NO_OFFLOAD_SUPPORT;
station.got.length = 0;
const plain = await next("it again", (got) => isIp(got, TCP) && got.bytes.length > 1000);
report["plain"] = { short: plain.bytes.length <= 1514, offload: plain.offload, sum: sumOf(plain) };
function sumOf(got: Got): number {
  const length = u16(got, 16) - 20;
  let sum = TCP + length;
  for (let at = 26; at < TRANSPORT; at += 2) sum += u16(got, at);
  for (let at = TRANSPORT; at < TRANSPORT + length; at += 2) sum += at + 1 < TRANSPORT + length ? u16(got, at) : (got.bytes[at] ?? 0) << 8;
  return fold(sum);
}

socket.destroy();
server.close();
udp.close();
const { receivedFrames, sentFrames } = station.port.counters;
report["counted"] = receivedFrames > 4 && sentFrames >= 6;

// Who deletes the device ends the port.
ip("link", "del", "vst0");
await until("its end", () => gone > 0);
station.send(new Uint8Array(60));
report["gone"] = { gone, watches: poller.size, unplugged: (station.port.counters.drops["unplugged"] ?? 0) > 1 };
await until("nothing left", () => openFds() <= before);
report["fds"] = openFds() <= before;
process.stdout.write(JSON.stringify(report));
process.exit(0);
