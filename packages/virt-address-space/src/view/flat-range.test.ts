import { expect, test } from "vitest";
import { arrayBufferMemory, type FlatRange, gpa, VirtAddressSpace } from "../index.ts";

test("a range copies what lies within it, and nothing else", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(8192) });
  const range = space.lookup(gpa(0)) as FlatRange;
  const source = Uint8Array.of(1, 2, 3, 4);
  const calls: [number, number, number][] = [
    [8190, 4, 2],
    [8192, 4, 0],
    [9000, 4, 0],
    [-8, 4, 0],
    [0.5, 4, 0],
    [0, 100, 4],
    [0, -1, 0],
  ];
  for (const [offset, length, done] of calls) {
    expect(range.copyIn(offset, source, 0, length)).toBe(done);
    expect(range.copyOut(offset, new Uint8Array(4), 0, length)).toBe(done);
  }
  expect(range.fill(-8, 4, 7)).toBe(0);
  expect(range.fill(8190, 4, 7)).toBe(2);
  expect([...range.bytes.subarray(8184)]).toEqual([0, 0, 0, 0, 0, 0, 7, 7]);
  expect(range.copyIn(0, source, 3, 4)).toBe(1);
});

test.each([16, 64])("a copy of %d bytes within one memory moves them, as memmove does", (length) => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4096) });
  using window = space.vmap(gpa(0), 256);
  for (let i = 0; i < 256; i++) window.u8[i] = i;
  space.copyFrom(gpa(0), window.u8.subarray(1, 1 + length));
  expect([...window.u8.subarray(0, 1 + length)]).toEqual([0, ...Array.from({ length }, (_, i) => i)]);
});
