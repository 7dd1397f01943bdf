/** The disk without a hypervisor: a driver that asks for what it should, and for what it shouldn't. */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gpa } from "@virtspace/virt-address-space";
import { VirtioFeature } from "@virtspace/virtio";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type BlockOptions, block } from "./block.ts";
import { BlockDriver } from "./block-driver.ts";
import device from "./device.ts";
import { Feature, MOST_RUN_SECTORS, MOST_RUNS, Status, Type, UNMAP } from "./format.ts";

const SECTORS = 256;
const { IoError, Ok, Unsupported } = Status;

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "block-"));
  path = join(folder, "disk.img");
  // Each sector is full of its number; the last one is not whole.
  writeFileSync(
    path,
    Uint8Array.from({ length: SECTORS * 512 + 100 }, (_, i) => i >> 9),
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

const disk = (options: Partial<BlockOptions> = {}, ...features: number[]): BlockDriver =>
  new BlockDriver(block({ path, ...options }), { features: [Feature.Flush, ...features] });
const sectors = (from: number, count: number): Uint8Array => Uint8Array.from({ length: count * 512 }, (_, i) => from + (i >> 9));

/** Runs of sectors, as DISCARD and WRITE_ZEROES have them. */
function runs(...given: readonly (readonly [sector: number, count: number, flags?: number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(16 * given.length));
  for (const [i, [sector, count, flags = 0]] of given.entries()) {
    view.setBigUint64(16 * i, BigInt(sector), true);
    view.setUint32(16 * i + 8, count, true);
    view.setUint32(16 * i + 12, flags, true);
  }
  return new Uint8Array(view.buffer);
}

describe.each([
  ["a split ring", []],
  ["a packed ring", [VirtioFeature.RingPacked]],
])("on %s", (_layout, layout) => {
  test.each([undefined, 100, 7])("what is written is read, in pieces of %s bytes", async (pieces) => {
    await using driver = disk({}, ...layout);
    const length = pieces === 7 ? 512 : 20 * 512;
    const data = Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
    expect(await driver.request({ type: Type.Out, sector: 9, data, ...(pieces && { pieces: 4 * pieces }) })).toMatchObject({
      status: Ok,
      written: 1,
    });
    const read = await driver.request({ type: Type.In, sector: 9, room: length, ...(pieces && { pieces: 4 * pieces }) });
    expect(read).toEqual({ status: Ok, written: length + 1, data });
    expect(readFileSync(path).subarray(9 * 512, 9 * 512 + length)).toEqual(Buffer.from(data));
    expect(await driver.request({ type: Type.In, sector: 8, room: 512 })).toMatchObject({ data: sectors(8, 1) });
  });
});

test("all of it is read in one request, larger than the device's own memory for it", async () => {
  await using driver = disk();
  const { status, data } = await driver.request({ type: Type.In, room: SECTORS * 512 });
  expect([status, Buffer.compare(data, sectors(0, SECTORS))]).toEqual([Ok, 0]);
});

test("the driver is told what there is", async () => {
  await using driver = disk({ queues: 2 }, Feature.Queues);
  const config = driver.config(60);
  expect(config.getBigUint64(0, true)).toBe(BigInt(SECTORS));
  expect([config.getUint32(12, true), config.getUint32(20, true), config.getUint8(24), config.getUint16(34, true)]).toEqual([
    126, 512, 3, 2,
  ]);
  expect([config.getUint32(36, true), config.getUint32(40, true)]).toEqual([MOST_RUN_SECTORS, MOST_RUNS]);
  for (const queue of [0, 1])
    expect(await driver.request({ type: Type.In, sector: 5, room: 512, queue })).toMatchObject({ data: sectors(5, 1) });
});

test("a disk has a name, as much of it as there is room for", async () => {
  await using driver = disk({ id: "a name of more than twenty bytes" });
  const text = async (room: number): Promise<string> => new TextDecoder().decode((await driver.request({ type: Type.GetId, room })).data);
  expect([await text(20), await text(4)]).toEqual(["a name of more than ", "a na"]);
});

test("what is discarded, or made zeros, reads as zeros; what is given back takes no room", async () => {
  await using driver = disk();
  const blocks = (): number => statSync(path).blocks;
  expect((await driver.request({ type: Type.Flush })).status).toBe(Ok);
  const before = blocks();
  expect((await driver.request({ type: Type.Discard, data: runs([8, 8], [24, 16]) })).status).toBe(Ok);
  const discarded = blocks();
  expect((await driver.request({ type: Type.WriteZeroes, data: runs([64, 8, UNMAP]) })).status).toBe(Ok);
  expect((await driver.request({ type: Type.WriteZeroes, data: runs([129, 2], [0, 0]) })).status).toBe(Ok);
  const { data } = await driver.request({ type: Type.In, room: SECTORS * 512 });
  const zeros = Array.from({ length: SECTORS }, (_, i) => i).filter((i) => data[i * 512] === 0 && data[i * 512 + 511] === 0);
  const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
  expect(zeros).toEqual([0, ...range(8, 8), ...range(24, 16), ...range(64, 8), 129, 130]);
  // Some file systems have no holes.
  expect(discarded).toBeLessThanOrEqual(before);
  expect(statSync(path).size).toBe(SECTORS * 512 + 100);
});

describe("a request that can't be gets its status, and changes nothing", () => {
  const END = SECTORS;
  const data = new Uint8Array(512).fill(0xaa);
  test.each([
    ["a read behind the end", { type: Type.In, sector: END, room: 512 }, IoError],
    ["a read over the end", { type: Type.In, sector: END - 1, room: 1024 }, IoError],
    ["a read of the largest sector", { type: Type.In, sector: 2 ** 64 - 1025, room: 512 }, IoError],
    ["a read of half a sector", { type: Type.In, room: 256 }, IoError],
    ["a write behind the end", { type: Type.Out, sector: END, data }, IoError],
    ["a write of half a sector", { type: Type.Out, data: data.subarray(0, 256) }, IoError],
    ["a discard behind the end", { type: Type.Discard, data: runs([1, 1], [END, 1]) }, IoError],
    ["a discard of too much", { type: Type.Discard, data: runs([0, MOST_RUN_SECTORS + 1]) }, IoError],
    ["a discard of nothing", { type: Type.Discard }, IoError],
    ["a discard of a run and a half", { type: Type.Discard, data: runs([1, 1], [2, 1]).subarray(0, 24) }, IoError],
    ["a discard of too many runs", { type: Type.Discard, data: runs(...Array(MOST_RUNS + 1).fill([1, 1])) }, IoError],
    ["a discard with a flag", { type: Type.Discard, data: runs([1, 1, UNMAP]) }, Unsupported],
    ["zeros with a flag that is none", { type: Type.WriteZeroes, data: runs([1, 1, 2]) }, Unsupported],
    ["zeros at the largest sector", { type: Type.WriteZeroes, data: runs([2 ** 64 - 1025, 1]) }, IoError],
    ["a SCSI command", { type: 2, room: 96 }, Unsupported],
    ["a secure erase", { type: 14, data: runs([1, 1]) }, Unsupported],
    ["what nobody knows", { type: 0xffff_ffff, room: 30 }, Unsupported],
  ])("%s", async (_what, request, status) => {
    const before = readFileSync(path);
    await using driver = disk();
    const answer = await driver.request(request);
    // What the driver is told was written was: zeros, not what was there before.
    expect(answer).toEqual({ status, written: answer.data.length + 1, data: new Uint8Array(answer.data.length) });
    expect((await driver.request({ type: Type.In, sector: 3, room: 512 })).data).toEqual(sectors(3, 1));
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  test("a head that is too short, and a buffer with no place for a status", async () => {
    await using driver = disk();
    const head = { address: gpa(0x20_0000), length: 15 };
    const answer = { address: gpa(0x30_0000), length: 4 };
    expect([await driver.send([head], [answer]), driver.space.readU32(answer.address)]).toEqual([4, 0x0100_0000]);
    expect(await driver.send([{ ...head, length: 16 }], [])).toBe(0);
    expect(driver.mmio.runner.queue(0)?.fault).toBeUndefined();
  });
});

test("a disk that is only read says so, and refuses the rest", async () => {
  await using driver = disk({ readOnly: true });
  await using _other = disk({ readOnly: true });
  const offered = driver.registers.offered();
  expect([offered.has(Feature.ReadOnly), offered.has(Feature.Discard), offered.has(Feature.WriteZeroes)]).toEqual([true, false, false]);
  const refused = [
    { type: Type.Out, data: new Uint8Array(512) },
    { type: Type.Discard, data: runs([1, 1]) },
    { type: Type.WriteZeroes, data: runs([1, 1]) },
  ];
  for (const request of refused) expect((await driver.request(request)).status).toBe(IoError);
  expect(await driver.request({ type: Type.In, sector: 1, room: 512 })).toMatchObject({ status: Ok, data: sectors(1, 1) });
});

test("a disk that is written has one guest, and the next one when that has left", async () => {
  const plugin = block({ path });
  const first = new BlockDriver(plugin, { machine: "guest 1" });
  expect(() => new BlockDriver(plugin, { machine: "guest 2" })).toThrow(`${path} is guest 1's: two that write would destroy it`);
  await first[Symbol.asyncDispose]();
  await using _next = new BlockDriver(plugin, { machine: "guest 2" });
});

test("a file that fails is an error for the driver, said once", async () => {
  const said: unknown[] = [];
  const log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (message: string, fields: unknown) => void said.push(message, fields),
  };
  await using driver = new BlockDriver(block({ path }), { log });
  truncateSync(path, 512);
  for (let i = 0; i < 3; i++) expect((await driver.request({ type: Type.In, sector: 4, room: 512 })).status).toBe(IoError);
  expect(said).toEqual([
    `a request to ${path} failed`,
    { cause: expect.objectContaining({ message: expect.stringContaining("the file ends at 2048") }) },
  ]);
});

test("what can't be a disk is told when it is made", () => {
  expect(() => new BlockDriver(block({ path: join(folder, "none") }))).toThrow("ENOENT");
  expect(() => block({ path, queues: 0 })).toThrow("0 queues");
  expect(() => device()).toThrow("BLOCK_FILE");
});
