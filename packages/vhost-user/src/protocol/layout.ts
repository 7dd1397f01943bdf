/** Payloads as lists of fields: how they are read, written and described follows from these. @module */

/** Kinds of fields: numbers of so many bits; `address` is 64 bits as a number, `pad` is passed over, `bytes` is the rest. */
type FieldKind = "u16" | "u32" | "u64" | "address" | "pad32" | "pad64" | "bytes";

const FIELD_BYTES = { u16: 2, u32: 4, u64: 8, address: 8, pad32: 4, pad64: 8, bytes: 0 } as const;

type ValueOf<Kind> = Kind extends "u64" ? bigint : Kind extends "bytes" ? Uint8Array : number;

/** A list of fields. */
export type Layout = readonly (readonly [name: string, kind: FieldKind])[];

/** What a layout holds. */
type Payload<L extends Layout> = {
  readonly [Entry in L[number] as Entry[1] extends "pad32" | "pad64" ? never : Entry[0]]: ValueOf<Entry[1]>;
};

/** A layout's name. */
export type LayoutName =
  | "none"
  | "u64"
  | "memoryTable"
  | "region"
  | "log"
  | "vringState"
  | "vringAddress"
  | "config"
  | "inflight"
  | "transfer";

const REGION = [
  ["guestAddress", "address"],
  ["size", "address"],
  ["userAddress", "address"],
  ["mmapOffset", "address"],
] as const satisfies Layout;

/** All layouts. */
export const LAYOUTS = {
  none: [],
  u64: [["value", "u64"]],
  memoryTable: [
    ["count", "u32"],
    ["pad", "pad32"],
    ["regions", "bytes"],
  ],
  region: [["pad", "pad64"], ...REGION],
  log: [
    ["mmapSize", "address"],
    ["mmapOffset", "address"],
  ],
  vringState: [
    ["index", "u32"],
    ["num", "u32"],
  ],
  vringAddress: [
    ["index", "u32"],
    ["flags", "u32"],
    ["descriptors", "address"],
    ["used", "address"],
    ["available", "address"],
    ["log", "address"],
  ],
  config: [
    ["offset", "u32"],
    ["size", "u32"],
    ["flags", "u32"],
    ["bytes", "bytes"],
  ],
  inflight: [
    ["mmapSize", "address"],
    ["mmapOffset", "address"],
    ["queues", "u16"],
    ["queueSize", "u16"],
    // QEMU and others send what their compiler makes of the structure: four bytes more.
    ["tail", "bytes"],
  ],
  transfer: [
    ["direction", "u32"],
    ["phase", "u32"],
  ],
} as const satisfies Record<LayoutName, Layout>;

/** What a payload of a layout holds. */
export type PayloadOf<Name extends LayoutName> = Payload<(typeof LAYOUTS)[Name]>;

/** A region of a memory table. */
export type RegionPayload = Payload<typeof REGION>;

/** Bytes of a region in a table. */
export const REGION_BYTES = 32;

/** Bytes of a layout without its rest. */
function layoutBytes(layout: Layout): number {
  return layout.reduce((sum, [, kind]) => sum + FIELD_BYTES[kind], 0);
}

/** Whether bytes of any number may follow. */
const isOpen = (layout: Layout): boolean => layout.some(([, kind]) => kind === "bytes");

/** Reads a payload. @returns undefined where it has another length than its layout */
export function readPayload(layout: Layout, bytes: Uint8Array): Record<string, unknown> | undefined {
  const size = layoutBytes(layout);
  if (isOpen(layout) ? bytes.length < size : bytes.length !== size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const payload: Record<string, unknown> = {};
  let at = 0;
  for (const [name, kind] of layout) {
    if (kind === "bytes") payload[name] = bytes.slice(at);
    else if (kind === "u16") payload[name] = view.getUint16(at, true);
    else if (kind === "u32") payload[name] = view.getUint32(at, true);
    else if (kind === "u64") payload[name] = view.getBigUint64(at, true);
    // Past 2^53 it is nowhere, and no longer exact: whoever checks it finds that.
    else if (kind === "address") payload[name] = Number(view.getBigUint64(at, true));
    at += FIELD_BYTES[kind];
  }
  return payload;
}

/** Writes a payload. */
export function writePayload(layout: Layout, payload: Readonly<Record<string, unknown>>): Uint8Array {
  const rest = layout.find(([, kind]) => kind === "bytes");
  const tail = rest === undefined ? new Uint8Array(0) : (payload[rest[0]] as Uint8Array);
  const bytes = new Uint8Array(layoutBytes(layout) + tail.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [name, kind] of layout) {
    if (kind === "bytes") bytes.set(tail, at);
    else if (kind === "u16") view.setUint16(at, payload[name] as number, true);
    else if (kind === "u32") view.setUint32(at, payload[name] as number, true);
    else if (kind === "u64") view.setBigUint64(at, payload[name] as bigint, true);
    else if (kind === "address") view.setBigUint64(at, BigInt(payload[name] as number), true);
    at += FIELD_BYTES[kind];
  }
  return bytes;
}

/**
 * The regions of a table. Some front-ends (User Mode Linux) send a table of a fixed length, with room behind those that count.
 *
 * @returns undefined where there are fewer than it says, or a part of one
 */
export function readRegions({ count, regions }: PayloadOf<"memoryTable">): RegionPayload[] | undefined {
  if (regions.length % REGION_BYTES !== 0 || regions.length < count * REGION_BYTES) return undefined;
  return Array.from(
    { length: count },
    (_, i) => readPayload(REGION, regions.subarray(i * REGION_BYTES, (i + 1) * REGION_BYTES)) as unknown as RegionPayload,
  );
}

/** A table of regions, for a front-end. */
export function writeRegions(regions: readonly RegionPayload[]): Uint8Array {
  const table = new Uint8Array(regions.length * REGION_BYTES);
  for (const [i, region] of regions.entries()) table.set(writePayload(REGION, region), i * REGION_BYTES);
  return writePayload(LAYOUTS.memoryTable, { count: regions.length, regions: table });
}
