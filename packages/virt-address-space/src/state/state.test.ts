import { fc, test as prop } from "@fast-check/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import {
  arrayBufferMemory,
  EngineMemory,
  gpa,
  MemoryProvider,
  type MemoryRequest,
  MiB,
  type RestoreOptions,
  sharedMemory,
  VirtAddressSpace,
} from "../index.ts";
import { crc32c } from "./crc32c.ts";

const PAGE = 4096;
const handler = { read: () => 0, write: () => {} };

function guest(): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest — 客" });
  const memory = arrayBufferMemory(8 * PAGE + 100);
  const rom = arrayBufferMemory(PAGE);
  rom.bytes().fill(0xf4);
  const ram = space.map({ name: "ram", base: gpa(0), memory, offset: 100, size: 8 * PAGE });
  space.map({ kind: "rom", name: "rom", base: gpa(0xf_0000), memory: rom });
  space.map({ kind: "alias", name: "high", base: gpa(2 ** 40), target: ram, offset: PAGE, size: PAGE, readOnly: true });
  space.map({ kind: "io", name: "uart", base: gpa(0x4), size: 8, priority: 3, handler });
  space.writeU32(gpa(0x1000), 0x1234_5678);
  space.fill(gpa(0x5ff0), 0x20, 0xaa);
  return space;
}

function joined(chunks: Iterable<Uint8Array>): Uint8Array {
  const parts = [...chunks];
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const fresh: RestoreOptions = { memory: ({ size }) => arrayBufferMemory(size), io: () => handler };

function bytesOf(space: VirtAddressSpace, address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  expect(space.copyFrom(gpa(address), bytes)).toBe(0);
  return bytes;
}

test("CRC-32C has the values of RFC 3720", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
  const digits = Uint8Array.from("123456789", (digit) => digit.charCodeAt(0));
  expect(crc32c(digits)).toBe(0xe306_9283);
  expect(crc32c(digits.subarray(3), crc32c(digits.subarray(0, 3)))).toBe(0xe306_9283);
});

describe("a saved space", () => {
  test("is restored with its regions, bytes and generation", async () => {
    using space = guest();
    using restored = await VirtAddressSpace.restore(space.save(), fresh);
    expect(restored.name).toBe(space.name);
    const shape = (each: VirtAddressSpace): unknown =>
      each.view().ranges.map(({ start, size, offset, writable, region }) => [start, size, offset, writable, region.name, region.kind]);
    expect(shape(restored)).toEqual(shape(space));
    expect(restored.view().generation).toBe(space.view().generation);
    for (const [address, length] of [
      [0x1000, PAGE],
      [0x5000, 2 * PAGE],
      [0xf_0000, PAGE],
      [2 ** 40, PAGE],
    ] as const) {
      expect(bytesOf(restored, address, length)).toEqual(bytesOf(space, address, length));
    }
    // A window stands at the same guest address: the thread's answer on live migration.
    using window = restored.vmap(gpa(0x1000), 64);
    expect(window.u32[0]).toBe(0x1234_5678);
    expect(joined(restored.save())).toEqual(joined(space.save()));
  });

  test("costs nothing for pages of zeros", () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory: sharedMemory(64 * MiB) });
    const empty = joined(space.save()).length;
    expect(empty).toBeLessThan(400);
    space.writeU8(gpa(33 * MiB), 1);
    const { length } = joined(space.save());
    expect(length - empty).toBe(PAGE + 24);
  });

  test("leaves out what a sparse provider says is not there, without reading it", () => {
    class Sparse extends MemoryProvider {
      readonly kind = "sparse";
      readonly #bytes = new Uint8Array(1024 * PAGE);
      constructor() {
        super(1024 * PAGE);
        this.#bytes.fill(1);
      }
      override bytes(): Uint8Array {
        return this.#bytes;
      }
      override populated(): { offset: number; length: number }[] {
        return [
          { offset: 10 * PAGE + 5, length: 1 },
          { offset: 10 * PAGE + 9, length: PAGE },
          { offset: 1023 * PAGE, length: PAGE },
        ];
      }
      protected override free(): void {}
    }
    using space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory: new Sparse() });
    expect(joined(space.save()).length).toBeLessThan(3 * PAGE + 500);
  });

  test("can be read in chunks of any size, from an async source too", async () => {
    using space = guest();
    const bytes = joined(space.save());
    for (const size of [1, 7, 4096]) {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      }
      using restored = await VirtAddressSpace.restore(size === 1 ? chunks() : [...slices(bytes, size)], fresh);
      expect(restored.readU32(gpa(0x1000))).toBe(0x1234_5678);
    }
  });

  test("asks for memory by the regions that share it, and for handlers by window", async () => {
    using space = guest();
    const requests: MemoryRequest[] = [];
    const windows: string[] = [];
    using restored = await VirtAddressSpace.restore(space.save(), {
      name: "other",
      memory: (request) => {
        requests.push(request);
        return arrayBufferMemory(request.size);
      },
      io: ({ name }) => {
        windows.push(name);
        return handler;
      },
    });
    expect(restored.name).toBe("other");
    expect(requests.map(({ size, regions }) => [size, regions.map(({ name }) => name)])).toEqual([
      [8 * PAGE + 100, ["ram"]],
      [PAGE, ["rom"]],
    ]);
    expect(windows).toEqual(["uart"]);
  });

  test("clears memory that was not empty when it was handed over", async () => {
    using space = guest();
    using restored = await VirtAddressSpace.restore(space.save(), {
      ...fresh,
      memory: ({ size }) => {
        const memory = arrayBufferMemory(size);
        memory.bytes().fill(0x55);
        return memory;
      },
    });
    expect(restored.readU32(gpa(0x3000))).toBe(0);
    expect(restored.readU32(gpa(0x1000))).toBe(0x1234_5678);
  });

  test.each([
    ["no handler", { memory: fresh.memory }, "missing-handler"],
    ["memory of another size", { ...fresh, memory: () => arrayBufferMemory(16) }, "missing-memory"],
    ["no memory", { ...fresh, memory: () => undefined as never }, "missing-memory"],
  ])("is not restored with %s", async (_, options, code) => {
    using space = guest();
    await expect(VirtAddressSpace.restore(space.save(), options)).rejects.toMatchObject({ code });
  });
});

function* slices(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("a damaged file changes nothing", () => {
  let file: Uint8Array;
  let space: VirtAddressSpace;
  let before: Uint8Array;

  beforeAll(() => {
    space = guest();
    file = joined(space.save());
    space.writeU32(gpa(0x1000), 0xffff_ffff);
    space.writeU32(gpa(0x3000), 7);
    before = bytesOf(space, 0xc, 8 * PAGE - 0xc);
  });

  async function refused(bytes: Uint8Array): Promise<void> {
    await expect(space.load([bytes])).rejects.toMatchObject({ code: expect.stringMatching(/^(damaged-state|state-version)$/) });
    expect(bytesOf(space, 0xc, 8 * PAGE - 0xc)).toEqual(before);
    const made: MemoryProvider[] = [];
    await expect(
      VirtAddressSpace.restore([bytes], {
        ...fresh,
        memory: ({ size }) => {
          const memory = arrayBufferMemory(size);
          made.push(memory);
          return memory;
        },
      }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^(damaged-state|state-version)$/) });
    expect(made.every(({ released }) => released)).toBe(true);
  }

  prop.prop([fc.nat(), fc.integer({ min: 0, max: 7 })], { numRuns: 400 })("by one bit", async (n, bit) => {
    const bytes = file.slice();
    const at = n % bytes.length;
    bytes[at] = (bytes[at] as number) ^ (1 << bit);
    await refused(bytes);
  });

  prop.prop([fc.nat()], { numRuns: 200 })("by being cut short", async (n) => {
    await refused(file.subarray(0, n % file.length));
  });

  test("by something behind its end, by a record twice, by none at all", async () => {
    await refused(new Uint8Array([...file, 0]));
    await refused(new Uint8Array(0));
    await refused(new TextEncoder().encode("no saved space at all, but long enough"));
    const end = file.subarray(file.length - 12);
    await refused(new Uint8Array([...file, ...end]));
  });

  test("by a version that is not known, which is said", async () => {
    const bytes = file.slice();
    bytes[8] = 2;
    await expect(space.load([bytes])).rejects.toMatchObject({ code: "state-version", details: { version: 2 } });
  });

  test("of a map that makes no sense, though its checksums fit", async () => {
    const lies: readonly ((map: Record<string, unknown>) => void)[] = [
      (map) => (map["regions"] = 5),
      (map) => (map["memories"] = [-1]),
      (map) => (map["memories"] = [2 ** 60]),
      (map) => (map["generation"] = -1),
      (map) => (map["name"] = ""),
      (map) => (map["size"] = 16),
      (map) => (regionOf(map, 0)["memory"] = 9),
      (map) => (regionOf(map, 0)["base"] = -4096),
      (map) => (regionOf(map, 0)["size"] = 2 ** 40),
      (map) => (regionOf(map, 1)["base"] = 0),
      (map) => (regionOf(map, 2)["target"] = 2),
      (map) => (regionOf(map, 2)["kind"] = "ghost"),
      (map) => (map["generation"] = 2 ** 53 - 1),
      // Memory that no region shows: nobody is made to provide it.
      (map) => (map["memories"] as number[]).push(2 ** 40),
    ];
    for (const lie of lies) {
      const forged = forge(file, lie);
      await expect(VirtAddressSpace.restore([forged], fresh)).rejects.toMatchObject({ code: "damaged-state" });
    }
    expect(joined((await VirtAddressSpace.restore([forge(file, () => {})], fresh)).save())).toEqual(file);
  });

  const regionOf = (map: Record<string, unknown>, index: number) => (map["regions"] as Record<string, unknown>[])[index] ?? {};

  /** Rewrites the map and every checksum after it. */
  function forge(original: Uint8Array, change: (map: Record<string, unknown>) => void): Uint8Array {
    const view = new DataView(original.buffer, original.byteOffset);
    const out: Uint8Array[] = [original.slice(0, 12)];
    let crc = crc32c(original.subarray(0, 12));
    for (let at = 12; at < original.length; ) {
      const type = view.getUint32(at, true);
      const length = view.getUint32(at + 4, true);
      let payload = original.slice(at + 8, at + 8 + length);
      if (type === 1) {
        const map = JSON.parse(new TextDecoder().decode(payload));
        change(map);
        const text = JSON.stringify(map).replace(/[^ -~]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16)}`);
        payload = new TextEncoder().encode(text);
      }
      const record = new Uint8Array(8 + payload.length + 4);
      const data = new DataView(record.buffer);
      data.setUint32(0, type, true);
      data.setUint32(4, payload.length, true);
      record.set(payload, 8);
      crc = crc32c(record.subarray(0, 8 + payload.length), crc);
      data.setUint32(8 + payload.length, crc, true);
      out.push(record);
      at += 12 + length;
    }
    return joined(out);
  }
});

describe("loading into a space that stands", () => {
  test("puts the bytes back, clears the rest, keeps windows bound and marks everything dirty", async () => {
    using space = guest();
    const saved = joined(space.save());
    using window = space.vmap(gpa(0x1000), 16, { marks: true });
    using log = space.dirtyLog("client");
    window.u32[0] = 1;
    space.writeU32(gpa(0x3000), 2);
    await space.load([saved]);
    expect([window.u32[0], space.readU32(gpa(0x3000))]).toEqual([0x1234_5678, 0]);
    expect(log.harvestMemory().map(({ length }) => length)).toEqual([8 * PAGE + 100, PAGE]);
  });

  test("is refused where the map is another, also where it changed meanwhile", async () => {
    using space = guest();
    const saved = joined(space.save());
    using other = VirtAddressSpace.create({ name: "other" });
    await expect(other.load([saved])).rejects.toMatchObject({ code: "state-mismatch" });
    async function* meddling(): AsyncGenerator<Uint8Array> {
      yield saved.subarray(0, saved.length - 1);
      space.move(space.regions[1] as never, gpa(0x80_0000));
      yield saved.subarray(saved.length - 1);
    }
    await expect(space.load(meddling())).rejects.toMatchObject({ code: "state-mismatch" });
    expect(space.readU32(gpa(0x1000))).toBe(0x1234_5678);
  });
});

test("a save that is abandoned lets go of the memory", async () => {
  const space = VirtAddressSpace.create({ name: "guest" });
  const memory = arrayBufferMemory(PAGE);
  space.map({ name: "ram", base: gpa(0), memory });
  const saving = space.save();
  saving.next();
  space[Symbol.dispose]();
  expect(memory.released).toBe(false);
  saving.return();
  expect(memory.released).toBe(true);
});

describe("a saved space and its surroundings", () => {
  const guestOf = (memory: MemoryProvider): VirtAddressSpace => {
    const space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory });
    return space;
  };

  test("that is let go before its first chunk is asked for is no file of an empty space", () => {
    const space = guestOf(arrayBufferMemory(4096));
    const chunks = space.save();
    space[Symbol.dispose]();
    expect(() => chunks.next()).toThrow(expect.objectContaining({ code: "released" }));
  });

  test("is loaded whole or not at all, where one memory of two has lost its bytes", async () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    let buffer = new ArrayBuffer(4096);
    space.map({ name: "shared", base: gpa(0), memory: sharedMemory(4096) });
    space.map({ name: "engine", base: gpa(4096), memory: new EngineMemory({ size: 4096, buffer: () => buffer }) });
    space.writeU32(gpa(0), 1);
    const saved = [...space.save()];
    space.writeU32(gpa(0), 2);
    buffer.transfer(0);
    buffer = new ArrayBuffer(0);
    await expect(space.load(saved)).rejects.toMatchObject({ code: "gone" });
    expect(space.readU32(gpa(0))).toBe(2);
  });

  test("can't be made to stage more than there is: data comes in order, once", async () => {
    using space = guestOf(arrayBufferMemory(8192));
    space.writeU8(gpa(0), 1);
    const [head, map, data, end] = [...space.save()] as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    let crc = crc32c(map.subarray(0, -4), crc32c(head));
    const again = [data, data].map((record) => {
      const copy = record.slice();
      crc = crc32c(copy.subarray(0, -4), crc);
      new DataView(copy.buffer).setUint32(copy.length - 4, crc, true);
      return copy;
    });
    await expect(space.load([head, map, ...again, end])).rejects.toMatchObject({ code: "damaged-state" });
  });

  test("releases memory of the wrong size that it was given", async () => {
    using space = guestOf(arrayBufferMemory(4096));
    const wrong = arrayBufferMemory(8192);
    await expect(VirtAddressSpace.restore(space.save(), { memory: () => wrong })).rejects.toMatchObject({ code: "missing-memory" });
    expect(wrong.released).toBe(true);
  });

  test("has its generation back, though it is empty", async () => {
    using space = VirtAddressSpace.create({ name: "guest" });
    void space.unmap(space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4096) }));
    using copy = await VirtAddressSpace.restore(space.save(), { memory: ({ size }) => arrayBufferMemory(size) });
    expect([space.view().generation, copy.view().generation]).toEqual([2, 2]);
  });

  test("from a source that throws is refused, and the source is closed", async () => {
    let closed = false;
    async function* failing(): AsyncGenerator<Uint8Array> {
      try {
        yield new Uint8Array(4);
        throw new Error("EIO");
      } finally {
        closed = true;
      }
    }
    await expect(VirtAddressSpace.restore(failing(), { memory: ({ size }) => arrayBufferMemory(size) })).rejects.toThrow("EIO");
    expect(closed).toBe(true);
  });
});
