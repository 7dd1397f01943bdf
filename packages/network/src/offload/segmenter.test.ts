/** Cutting large segments and adding checksums, against what a receiver checks. */
import { fc, test as propertyTest } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { foldedSum, partialSum } from "../frame/checksum.ts";
import { BytesFrame, copyFrame, deliver, type Frame, NO_OFFLOAD, NO_OFFLOAD_SUPPORT, type Offload, Segmenter } from "../index.ts";

type Kind = "tcp4" | "tcp6" | "udp4" | "udp6";

/** A large segment as a kernel hands it to its card: the pseudo-header's sum in place of the checksum. */
function large(kind: Kind, payload: number, { vlan = false, flags = 0x99 } = {}): Uint8Array {
  const [tcp, v4] = [kind.startsWith("tcp"), kind.endsWith("4")];
  const network = vlan ? 18 : 14;
  const transport = network + (v4 ? 20 : 40);
  const headers = transport + (tcp ? 32 : 8);
  const bytes = new Uint8Array(headers + payload);
  const view = new DataView(bytes.buffer);
  if (vlan) view.setUint32(12, 0x8100_0007);
  view.setUint16(network - 2, v4 ? 0x0800 : 0x86dd);
  if (v4) {
    view.setUint16(network, 0x4500);
    view.setUint16(network + 2, bytes.length - network);
    view.setUint16(network + 4, 0xfffe);
    bytes.set([64, tcp ? 6 : 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], network + 8);
  } else {
    view.setUint32(network, 0x6000_0000);
    bytes.set([tcp ? 6 : 17, 64], network + 6);
    for (let i = 0; i < 32; i++) bytes[network + 8 + i] = i * 7;
  }
  if (tcp) {
    view.setUint32(transport + 4, 0xffff_ff00);
    bytes[transport + 12] = 0x80;
    bytes[transport + 13] = flags;
  }
  for (let i = 0; i < payload; i++) bytes[headers + i] = (i * 31) & 0xff;
  return bytes;
}

const offloadOf = (kind: Kind, vlan = false, size = 1000): Offload => ({
  ...NO_OFFLOAD,
  needsChecksum: true,
  checksumStart: (vlan ? 18 : 14) + (kind.endsWith("4") ? 20 : 40),
  checksumOffset: kind.startsWith("tcp") ? 16 : 6,
  segmentation: kind === "tcp4" || kind === "tcp6" ? kind : "udp",
  segmentSize: size,
});

function cut(bytes: Uint8Array, offload: Offload): Uint8Array[] | undefined {
  const frames = new Segmenter().frames(new BytesFrame(bytes, offload));
  return frames && Array.from(frames, (frame) => whole(frame));
}

function whole(frame: Frame): Uint8Array {
  const bytes = new Uint8Array(frame.length);
  copyFrame(frame, 0, bytes);
  return bytes;
}

/** Checks all that a receiver checks, and returns the payload. */
function received(bytes: Uint8Array, kind: Kind, vlan: boolean): Uint8Array {
  const [tcp, v4] = [kind.startsWith("tcp"), kind.endsWith("4")];
  const view = new DataView(bytes.buffer);
  const network = vlan ? 18 : 14;
  const transport = network + (v4 ? 20 : 40);
  const ends = v4 ? view.getUint16(network + 2) + network : view.getUint16(network + 4) + transport;
  expect(ends).toBe(bytes.length);
  if (v4) expect(foldedSum(partialSum(bytes, network, transport))).toBe(0);
  if (!tcp) expect(view.getUint16(transport + 4)).toBe(bytes.length - transport);
  const [from, to] = v4 ? [network + 12, network + 20] : [network + 8, network + 40];
  const pseudo = partialSum(bytes, from, to) + (tcp ? 6 : 17) + bytes.length - transport;
  expect(foldedSum(partialSum(bytes, transport, bytes.length, pseudo))).toBe(0);
  return bytes.subarray(transport + (tcp ? 32 : 8));
}

describe.each(["tcp4", "tcp6", "udp4", "udp6"] as const)("%s", (kind) => {
  test.each([false, true])("a segment is cut into frames that a receiver takes (VLAN: %s)", (vlan) => {
    const bytes = large(kind, 3500, { vlan });
    const frames = cut(bytes, offloadOf(kind, vlan)) as Uint8Array[];
    const payloads = frames.map((frame) => received(frame, kind, vlan));
    expect(payloads.map(({ length }) => length)).toEqual([1000, 1000, 1000, 500]);
    expect(payloads.flatMap((payload) => [...payload])).toEqual([...bytes.subarray(-3500)]);
  });

  test("headers that lie about themselves make no frame", () => {
    const bytes = large(kind, 3000);
    const good = offloadOf(kind);
    for (const wrong of [
      { segmentSize: 0 },
      { segmentSize: 1 },
      { checksumStart: 0 },
      { checksumStart: 65535 },
      { checksumStart: bytes.length - 2 },
      ...(kind === "tcp4" ? [{ segmentation: "tcp6" as const }] : []),
      ...(kind === "tcp6" ? [{ segmentation: "tcp4" as const }] : []),
    ]) {
      expect(cut(bytes, { ...good, ...wrong })).toBeUndefined();
    }
  });
});

test("sequence numbers and identifiers go on round their ends; FIN and PSH come last, CWR first", () => {
  const frames = (cut(large("tcp4", 2500), offloadOf("tcp4")) as Uint8Array[]).map((bytes) => new DataView(bytes.buffer));
  expect(frames.map((view) => [view.getUint32(38), view.getUint16(18), view.getUint8(47)])).toEqual([
    [0xffff_ff00, 0xfffe, 0x90],
    [0x2e8, 0xffff, 0x10],
    [0x6d0, 0, 0x19],
  ]);
});

test("a receiver that can take a segment gets it whole, and one whose room ends in the middle is said so", () => {
  const frame = new BytesFrame(large("tcp4", 2500), offloadOf("tcp4"));
  const got: number[] = [];
  let room = 2;
  const endpoint = {
    name: "receiver",
    accepts: NO_OFFLOAD_SUPPORT,
    receive: (each: Frame) => (room-- > 0 ? got.push(each.length) > 0 : false),
    flush: () => {},
  };
  expect([deliver(endpoint, frame, new Segmenter()), got]).toEqual(["cut-short", [1066, 1066]]);
  room = 0;
  expect(deliver(endpoint, frame, new Segmenter())).toBe("no-room");
  room = 1;
  expect(deliver({ ...endpoint, accepts: { checksum: true, segmentation: ["tcp4"] } }, frame, new Segmenter())).toBe("taken");
  expect(got.at(-1)).toBe(2566);
});

propertyTest.prop(
  [fc.uint8Array({ maxLength: 200 }), fc.nat(70000), fc.nat(70000), fc.constantFrom("none", "tcp4", "tcp6", "udp"), fc.nat(300)],
  fuzzRuns(3000),
)("no bytes make it throw, or write more than 1024 frames", (bytes, checksumStart, checksumOffset, segmentation, segmentSize) => {
  const offload = { ...NO_OFFLOAD, needsChecksum: true, checksumStart: checksumStart % 300, checksumOffset, segmentation, segmentSize };
  const frames = cut(bytes, offload as Offload);
  expect(frames === undefined || frames.length <= 1024).toBe(true);
});
