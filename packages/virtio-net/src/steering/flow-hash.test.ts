/** Hashes against the table that everybody checks theirs with. */
import { BytesFrame } from "@virtspace/network";
import { expect, test } from "vitest";
import { Flow } from "./flow.ts";
import { ALL_HASH_TYPES, FlowHasher, HashType } from "./flow-hash.ts";

const KEY = Uint8Array.from(
  "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa".match(/../g) as string[],
  (hex) => Number.parseInt(hex, 16),
);

function ip4(source: number[], target: number[], ports: number[], { protocol = 6, fragment = 0, tagged = false } = {}): BytesFrame {
  const port = (value: number): number[] => [value >>> 8, value & 0xff];
  const ether = [...new Array(12).fill(2), ...(tagged ? [0x81, 0, 0, 5] : []), 8, 0];
  const header = [0x46, 0, 0, 40, 0, 0, fragment >>> 8, fragment & 0xff, 64, protocol, 0, 0, ...source, ...target, 1, 1, 1, 1];
  return new BytesFrame(Uint8Array.from([...ether, ...header, ...ports.flatMap(port), 0, 0, 0, 0]));
}

const hashOf = (frame: BytesFrame, types = ALL_HASH_TYPES) => {
  const flow = new Flow();
  flow.read(frame);
  return new FlowHasher(types, KEY).hash(flow);
};

// The verification suite of receive-side scaling: address and port of source and target, hash with ports, hash without.
test.each([
  [[66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x51ccc178, 0x323e8fc2],
  [[199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xc626b0ea, 0xd718262a],
  [[24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0x5c2b394a, 0xd2d0a5de],
])("%j:%i to %j:%i", (source, port, target, otherPort, withPorts, without) => {
  const ports = [port, otherPort];
  expect(hashOf(ip4(source, target, ports))).toEqual({ value: withPorts, report: 2 });
  expect(hashOf(ip4(source, target, ports, { tagged: true }))).toEqual({ value: withPorts, report: 2 });
  expect(hashOf(ip4(source, target, ports, { protocol: 17 }))).toEqual({ value: withPorts, report: 3 });
  expect(hashOf(ip4(source, target, ports), HashType.Ip4)).toEqual({ value: without, report: 1 });
  expect(hashOf(ip4(source, target, ports, { fragment: 0x2000 }))).toEqual({ value: without, report: 1 });
  expect(hashOf(ip4(source, target, ports), HashType.Udp4)).toBeUndefined();
});

test("IPv6, with ports and without", () => {
  const words = (text: string): number[] => (text.match(/../g) as string[]).map((hex) => Number.parseInt(hex, 16));
  const source = words("3ffe25010200 1fff 0000000000000007".replaceAll(" ", ""));
  const target = words("3ffe250102000003 0000000000000001".replaceAll(" ", ""));
  const header = [0x60, 0, 0, 0, 0, 8, 6, 64, ...source, ...target, 0x0a, 0xea, 0x06, 0xe6];
  const frame = new BytesFrame(Uint8Array.from([...new Array(12).fill(2), 0x86, 0xdd, ...header, 0, 0, 0, 0]));
  expect(hashOf(frame)).toEqual({ value: 0x40207d3d, report: 5 });
  expect(hashOf(frame, HashType.Ip6)).toEqual({ value: 0x2cc18cd5, report: 4 });
});

test("what is no IP, or cut short, has no hash", () => {
  expect(hashOf(new BytesFrame(new Uint8Array(60)))).toBeUndefined();
  for (let length = 14; length < 34; length++) {
    const bytes = ip4([1, 2, 3, 4], [5, 6, 7, 8], [1, 2]).memory().bytes.subarray(0, length);
    expect(hashOf(new BytesFrame(bytes))).toBeUndefined();
  }
});
