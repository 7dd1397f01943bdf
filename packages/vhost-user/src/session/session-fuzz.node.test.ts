/**
 * Anything at all, as a front-end's bytes and descriptors: nothing hangs, nothing is thrown, nothing is left behind, and somebody
 * else's front-end is served all the while.
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fc, test } from "@fast-check/vitest";
import { EventFd, Fd, Memfd, UnixSocket } from "@virtspace/host-linux";
import { afterAll, beforeAll, expect } from "vitest";
import { fuzzRuns, fuzzTimeout } from "../../../../.config/fuzz/runs.ts";
import {
  EchoServer,
  Folder,
  FrontEnd,
  layouts,
  memfdMappings,
  openFds,
  RAM_BYTES,
  SPLIT,
  turn,
  USER_BASE,
  until,
} from "../front-end-scenarios.ts";
import { LAYOUTS, type LayoutName, REGION_BYTES, writePayload } from "../protocol/layout.ts";
import { type MessageKind, REQUESTS, type RequestName } from "../protocol/message-table.ts";

/** Kinds of descriptors that may come with a message. */
const KINDS = ["memory", "small memory", "eventfd", "pipe to read", "pipe to write", "socket", "dead socket", "folder"] as const;
type Kind = (typeof KINDS)[number];

/** What a front-end does, once. */
interface Step {
  readonly bytes: Uint8Array;
  readonly fds: readonly Kind[];
  /** Where the bytes are cut in two, with a turn of the loop between. */
  readonly cut: number;
  /** Whether the guest notifies, and the loop turns. */
  readonly kick: boolean;
}

const names = Object.keys(REQUESTS) as RequestName[];
const index = fc.oneof({ weight: 8, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constantFrom(4, 255, 256, 0x1_0000, 0xffff_ffff) });
/** Addresses near where something is, and where nothing is. */
const address = fc.oneof(
  { weight: 4, arbitrary: fc.nat(RAM_BYTES / 4096 + 2).map((page) => page * 4096) },
  { weight: 4, arbitrary: fc.nat(RAM_BYTES / 4096 + 2).map((page) => USER_BASE + page * 4096) },
  { weight: 1, arbitrary: fc.nat(RAM_BYTES) },
  { weight: 1, arbitrary: fc.nat(RAM_BYTES).map((at) => USER_BASE + at) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 4096, 2 ** 31, 2 ** 32, 2 ** 40, 2 ** 47, 2 ** 52, 2 ** 53, 2 ** 63, 2 ** 64 - 4096) },
);
const small = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1, 2, 4, 8, 16, 64, 256) },
  { weight: 1, arbitrary: fc.integer({ min: 0 }) },
);
const features = [0n, 1n << 26n, ...layouts.map(([, set]) => set.toBigInt()), ...layouts.map(([, set]) => set.toBigInt() | (5n << 26n))];
const word = fc.oneof(
  { weight: 6, arbitrary: index.map(BigInt) },
  { weight: 2, arbitrary: index.map((each) => BigInt(each) | 0x100n) },
  { weight: 3, arbitrary: fc.constantFrom(...features) },
  { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
);
const region = fc.tuple(address, address, address, address).map((values) => {
  const bytes = new Uint8Array(REGION_BYTES);
  for (const [i, value] of values.entries()) new DataView(bytes.buffer).setBigUint64(8 * i, BigInt(value), true);
  return bytes;
});

/** The payload of a layout: its fields have values that make some sense. */
function payloadOf(layout: LayoutName): fc.Arbitrary<Uint8Array> {
  if (layout === "memoryTable") {
    return fc.tuple(fc.array(region, { maxLength: 3 }), fc.nat(9)).map(([regions, wrong]) => {
      const count = wrong === 9 ? regions.length + 1 : regions.length;
      return writePayload(LAYOUTS.memoryTable, { count, regions: Uint8Array.from(regions.flatMap((each) => [...each])) });
    });
  }
  const fields = Object.fromEntries(
    LAYOUTS[layout].flatMap(([name, kind]): [string, fc.Arbitrary<unknown>][] => {
      if (kind.startsWith("pad")) return [];
      if (kind === "u64") return [[name, word]];
      if (kind === "address") return [[name, address]];
      if (kind === "bytes") return [[name, fc.uint8Array({ maxLength: layout === "inflight" ? 5 : 300 })]];
      if (kind === "u16") return [[name, small.map((value) => value & 0xffff)]];
      return [[name, name === "index" ? index : small]];
    }),
  );
  return fc.record(fields).map((payload) => writePayload(LAYOUTS[layout], payload));
}

function encode(id: number, flags: number, payload: Uint8Array, size: number = payload.length): Uint8Array {
  const bytes = new Uint8Array(12 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, id, true);
  view.setUint32(4, flags, true);
  view.setUint32(8, size, true);
  bytes.set(payload, 12);
  return bytes;
}

/** A message as there are such, with the descriptors that belong to it. */
const valid = fc.constantFrom(...names).chain((name) => {
  const kind: MessageKind = REQUESTS[name];
  const [least, most] = kind.fds ?? [0, 0];
  const fds = fc.array(fc.constantFrom(...KINDS), { minLength: least, maxLength: Math.min(most, 3) });
  return fc.tuple(payloadOf(kind.payload), fds).map(([payload, given]) => ({ bytes: encode(kind.id, 9, payload), fds: given }));
});

/** One of which something was changed. */
const mutated = fc
  .tuple(
    valid,
    fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
    fc.array(fc.constantFrom(...KINDS), { maxLength: 10 }),
    fc.nat(3),
  )
  .map(([{ bytes, fds }, changes, others, which]) => {
    const changed = bytes.slice();
    for (const [at, value] of changes) changed[at % changed.length] = value;
    return { bytes: changed, fds: which === 0 ? others : fds };
  });

const garbage = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.array(fc.constantFrom(...KINDS), { maxLength: 2 }))
  .map(([bytes, fds]) => ({ bytes, fds }));

const step: fc.Arbitrary<Step> = fc
  .tuple(
    fc.oneof({ weight: 30, arbitrary: valid }, { weight: 2, arbitrary: mutated }, { weight: 1, arbitrary: garbage }),
    fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(40) }),
    fc.boolean(),
  )
  .map(([{ bytes, fds }, cut, kick]) => ({ bytes, fds, cut, kick }));

/** How a session begins: with nothing said, greeted, or with rings that run. */
const session = fc.record({
  start: fc.constantFrom("nothing", "greeted", "split", "packed"),
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
  /** Whether the front-end waits for the end of its messages before it goes. */
  waits: fc.boolean(),
});

const thrown: unknown[] = [];
const catcher = (error: unknown): void => void thrown.push(error);
let folder: Folder;
let server: EchoServer;
let bystander: FrontEnd;
const given = new Map<Kind, Fd>();
const ends = new DisposableStack();
let baseline: [fds: number, mappings: number] = [0, 0];

beforeAll(async () => {
  process.on("uncaughtException", catcher);
  process.on("unhandledRejection", catcher);
  folder = new Folder();
  server = new EchoServer(folder.at("socket"));
  bystander = await FrontEnd.started(server.path);
  execFileSync("mkfifo", [folder.at("pipe")]);
  const both = openSync(folder.at("pipe"), "r+");
  const [one] = UnixSocket.pair().map((socket) => ends.use(socket)) as [UnixSocket];
  const [dead, gone] = UnixSocket.pair();
  gone[Symbol.dispose]();
  given.set("memory", Memfd.create(2 * RAM_BYTES));
  given.set("small memory", Memfd.create(100));
  given.set("eventfd", EventFd.create());
  given.set("pipe to read", new Fd(openSync(folder.at("pipe"), "r")));
  given.set("pipe to write", new Fd(openSync(folder.at("pipe"), "w")));
  given.set("socket", one);
  given.set("dead socket", dead);
  given.set("folder", new Fd(openSync(folder.path, "r")));
  closeSync(both);
  // What comes once for all.
  await play({ start: "split", steps: [], waits: true });
  baseline = [openFds(), memfdMappings()];
});

afterAll(() => {
  bystander[Symbol.dispose]();
  server[Symbol.dispose]();
  for (const fd of given.values()) fd[Symbol.dispose]();
  ends.dispose();
  folder[Symbol.dispose]();
  process.off("uncaughtException", catcher);
  process.off("unhandledRejection", catcher);
});

/** Begins a session; what is sent to it comes after that. */
async function begin(start: string): Promise<FrontEnd> {
  const layout = layouts.find(([name]) => name === start);
  if (layout !== undefined) return FrontEnd.started(server.path, { features: layout[1], rings: 2 });
  const frontEnd = FrontEnd.connect(server.path);
  if (start === "greeted") {
    await frontEnd.greet({ features: SPLIT });
    frontEnd.addMemory();
    await frontEnd.tellMemory();
  }
  return frontEnd;
}

async function play({ start, steps, waits }: { start: string; steps: readonly Step[]; waits: boolean }): Promise<void> {
  using frontEnd = await begin(start);
  const drain = new Uint8Array(65_536);
  for (const { bytes, fds, cut, kick } of steps) {
    const descriptors = fds.map((kind) => given.get(kind) as Fd);
    if (frontEnd.rings[0] !== undefined && kick) {
      if (frontEnd.rings[0].driver.add([frontEnd.buffer([1])], [frontEnd.buffer(1)]) !== undefined) frontEnd.notify();
    }
    if (cut > 0 && cut < bytes.length) {
      frontEnd.send(bytes.subarray(0, cut), descriptors);
      await turn();
    }
    if (frontEnd.send(bytes.subarray(cut > 0 && cut < bytes.length ? cut : 0), cut > 0 && cut < bytes.length ? [] : descriptors) === "gone")
      break;
    if (kick) await turn();
    for (
      let got = frontEnd.stream.socket.receive(drain);
      got !== undefined && got.length > 0;
      got = frontEnd.stream.socket.receive(drain)
    ) {
      for (const fd of got.fds) fd[Symbol.dispose]();
    }
  }
  if (waits) {
    frontEnd.stream.socket.shutdown();
    await until("the session is over", () => server.server.guests.length === 1);
  }
}

test.prop([fc.array(session, { minLength: 1, maxLength: 3 })], fuzzRuns(300))(
  "whatever front-ends send, the others are served and nothing is left of them",
  async (sessions) => {
    await Promise.all(sessions.map(play));
    await until("the sessions are over", () => server.server.guests.length === 1);
    // The test's own program may have a file open for a moment.
    for (let i = 0; i < 200 && openFds() !== baseline[0]; i++) await turn();
    expect([openFds(), memfdMappings()]).toEqual(baseline);
    expect(await bystander.echo([1, 2, 3])).toEqual([1, 2, 3]);
    expect(thrown).toEqual([]);
  },
  fuzzTimeout + 30_000,
);
