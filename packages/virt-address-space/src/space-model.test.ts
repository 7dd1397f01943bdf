/**
 * The space against a naive model: a list of regions that is searched byte by byte. Random sequences of every operation,
 * thousands of them, must agree in every return value and every byte.
 */
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { AccessFault } from "./access/access-fault.ts";
import {
  arrayBufferMemory,
  type DirtyLog,
  gpa,
  type MemoryProvider,
  type Region,
  sharedMemory,
  VirtAddressSpace,
  type Vmap,
} from "./index.ts";

const SPAN = 0x6000;
const PAGE = 4096;

interface ModelRegion {
  readonly region: Region;
  base: number;
  readonly size: number;
  readonly priority: number;
  readonly memory: MemoryProvider;
  readonly offset: number;
  readonly writable: boolean;
  readonly target: ModelRegion | undefined;
}

class Model {
  readonly regions: ModelRegion[] = [];
  readonly bytes = new Map<MemoryProvider, Uint8Array>();
  readonly dirty = new Map<MemoryProvider, Set<number>>();

  bytesOf(memory: MemoryProvider): Uint8Array {
    const bytes = this.bytes.get(memory) ?? new Uint8Array(memory.size);
    this.bytes.set(memory, bytes);
    return bytes;
  }

  at(address: number): { memory: MemoryProvider; offset: number; writable: boolean; region: ModelRegion } | undefined {
    let best: ModelRegion | undefined;
    for (const each of this.regions) {
      const covers = each.base <= address && address < each.base + each.size;
      if (covers && (best === undefined || each.priority > best.priority)) best = each;
    }
    return best && { memory: best.memory, offset: best.offset + address - best.base, writable: best.writable, region: best };
  }

  /** What shows, as runs of addresses over one memory; an address plus `shift` is an offset in the memory. */
  runs(): { from: number; to: number; memory: MemoryProvider; shift: number }[] {
    const edges = [...new Set(this.regions.flatMap(({ base, size }) => [base, base + size]))].sort((a, b) => a - b);
    return edges.slice(0, -1).flatMap((from, i) => {
      const place = this.at(from);
      return place === undefined ? [] : [{ from, to: edges[i + 1] as number, memory: place.memory, shift: place.offset - from }];
    });
  }

  /** Changes the map: what shows at an address where it did not show before counts as written. */
  change(change: () => void): void {
    const before = this.runs();
    change();
    const after = this.runs();
    const edges = [...new Set([...before, ...after].flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
    for (const [i, from] of edges.slice(0, -1).entries()) {
      const now = after.find((run) => run.from <= from && from < run.to);
      const then = before.find((run) => run.from <= from && from < run.to);
      if (now === undefined || (then?.memory === now.memory && then.shift === now.shift)) continue;
      const last = (edges[i + 1] as number) - 1 + now.shift;
      for (let page = Math.floor((from + now.shift) / PAGE); page * PAGE <= last; page++) this.touch(now.memory, page * PAGE);
    }
  }

  overlaps(base: number, size: number, priority: number, except?: ModelRegion): boolean {
    return this.regions.some(
      (each) => each !== except && each.priority === priority && base < each.base + each.size && each.base < base + size,
    );
  }

  write(address: number, value: number): boolean {
    const place = this.at(address);
    if (place?.writable !== true) return false;
    this.bytesOf(place.memory)[place.offset] = value;
    this.touch(place.memory, place.offset);
    return true;
  }

  touch(memory: MemoryProvider, offset: number): void {
    const pages = this.dirty.get(memory) ?? new Set();
    this.dirty.set(memory, pages);
    pages.add(Math.floor(offset / PAGE));
  }

  read(address: number): number | undefined {
    const place = this.at(address);
    return place && this.bytesOf(place.memory)[place.offset];
  }
}

/** One random step: a kind and three numbers, which each operation reads in its own way. */
type Step = readonly [kind: string, a: number, b: number, c: number];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom(
    "map",
    "rom",
    "alias",
    "unmap",
    "move",
    "copyTo",
    "copyFrom",
    "fill",
    "scalar",
    "vmap",
    "vmap write",
    "vmap close",
    "harvest",
  ),
  fc.nat(SPAN + 64),
  fc.nat(0x2200),
  fc.nat(255),
);

class Trial implements Disposable {
  readonly space = VirtAddressSpace.create({ name: "guest" });
  readonly model = new Model();
  readonly windows: Vmap[] = [];
  readonly log: DirtyLog = this.space.dirtyLog("client");

  do([kind, a, b, c]: Step): void {
    switch (kind) {
      case "map":
      case "rom":
      case "alias":
        return this.map(kind, a, b + 1, c);
      case "unmap":
        return this.unmap(c);
      case "move":
        return this.move(c, a);
      case "copyTo":
        return this.copyTo(a, b, c);
      case "copyFrom":
        return this.copyFrom(a, b);
      case "fill":
        return this.fill(a, b, c);
      case "scalar":
        return this.scalar(a, b, c);
      case "vmap":
        return this.vmap(a, b, c);
      case "vmap write":
        return this.windowWrite(a, b, c);
      case "vmap close":
        this.windows[c % this.windows.length]?.[Symbol.dispose]();
        return;
      case "harvest":
        return this.harvest();
    }
  }

  map(kind: "map" | "rom" | "alias", base: number, size: number, c: number): void {
    const priority = c % 3;
    const target = this.model.regions[c % Math.max(this.model.regions.length, 1)];
    const expectOverlap = (length: number): boolean => this.model.overlaps(base, length, priority);
    const tried = (make: () => Region, length: number): Region | undefined => {
      if (!expectOverlap(length)) return make();
      expect(make).toThrow(expect.objectContaining({ code: "overlap" }));
      return undefined;
    };
    if (kind === "alias") {
      if (target === undefined) return;
      const offset = c % target.size;
      const length = Math.min(size, target.size - offset);
      const region = tried(
        () =>
          this.space.map({
            kind,
            name: `alias ${c}`,
            base: gpa(base),
            target: target.region,
            offset,
            size: length,
            priority,
            readOnly: c % 5 === 0,
          }),
        length,
      );
      if (region === undefined) return;
      const { memory } = target;
      const writable = target.writable && c % 5 !== 0;
      const alias = { region, base, size: length, priority, memory, offset: target.offset + offset, writable, target };
      this.model.change(() => void this.model.regions.push(alias));
      return;
    }
    const offset = c;
    const memory = c % 2 === 0 ? arrayBufferMemory(size + offset) : sharedMemory(size + offset);
    if (kind === "rom") {
      memory.bytes().fill(c);
      this.model.bytesOf(memory).fill(c);
    }
    const region = tried(
      () => this.space.map({ kind: kind === "rom" ? "rom" : "ram", name: `${kind} ${c}`, base: gpa(base), memory, offset, priority }),
      size,
    );
    if (region === undefined) return;
    const added = { region, base, size, priority, memory, offset, writable: kind === "map", target: undefined };
    this.model.change(() => void this.model.regions.push(added));
    for (let page = 0; page * PAGE < memory.size; page++) this.model.touch(memory, page * PAGE);
  }

  unmap(c: number): void {
    const { regions } = this.model;
    const chosen = regions[c % Math.max(regions.length, 1)];
    if (chosen === undefined) return;
    if (regions.some(({ target }) => target === chosen)) {
      expect(() => this.space.unmap(chosen.region)).toThrow(expect.objectContaining({ code: "in-use" }));
      return;
    }
    this.closeWindowsThatGo(
      () => void this.space.unmap(chosen.region),
      () => void regions.splice(regions.indexOf(chosen), 1),
    );
  }

  move(c: number, base: number): void {
    const { regions } = this.model;
    const chosen = regions[c % Math.max(regions.length, 1)];
    if (chosen === undefined) return;
    const move = (): unknown => this.space.move(chosen.region, gpa(base));
    if (this.model.overlaps(base, chosen.size, chosen.priority, chosen)) {
      expect(move).toThrow(expect.objectContaining({ code: "overlap" }));
      return;
    }
    this.closeWindowsThatGo(move, () => {
      chosen.base = base;
    });
  }

  /** Does a change in both; a window that the change revokes leaves its bytes dirty. */
  closeWindowsThatGo(inSpace: () => unknown, inModel: () => void): void {
    inSpace();
    this.model.change(inModel);
    const visible = new Set(this.model.regions.map(({ memory }) => memory));
    for (const memory of [...this.model.dirty.keys()]) if (!visible.has(memory)) this.model.dirty.delete(memory);
  }

  copyTo(address: number, length: number, c: number): void {
    const source = Uint8Array.from({ length }, (_, i) => (i + c) & 0xff);
    let done = 0;
    while (done < length && this.model.write(address + done, source[done] as number)) done++;
    expect(this.space.copyTo(gpa(address), source)).toBe(length - done);
  }

  copyFrom(address: number, length: number): void {
    const target = new Uint8Array(length);
    const expected = new Uint8Array(length);
    let done = 0;
    for (; done < length; done++) {
      const byte = this.model.read(address + done);
      if (byte === undefined) break;
      expected[done] = byte;
    }
    expect(this.space.copyFrom(gpa(address), target)).toBe(length - done);
    expect(sameBytes(target, expected)).toBe(true);
  }

  fill(address: number, length: number, c: number): void {
    let done = 0;
    while (done < length && this.model.write(address + done, c)) done++;
    expect(this.space.fill(gpa(address), length, c)).toBe(length - done);
  }

  scalar(address: number, b: number, c: number): void {
    const size = [1, 2, 4, 8][c % 4] as 1 | 2 | 4 | 8;
    const bytes = Array.from({ length: size }, (_, i) => this.model.read(address + i));
    const value = bytes.some((byte) => byte === undefined)
      ? undefined
      : bytes.reduceRight<bigint>((sum, byte) => (sum << 8n) | BigInt(byte as number), 0n);
    const at = gpa(address);
    if (size === 8) expect(this.space.readBigU64(at)).toBe(value);
    else
      expect({ 1: this.space.readU8(at), 2: this.space.readU16(at), 4: this.space.readU32(at) }[size]).toBe(
        value === undefined ? undefined : Number(value),
      );
    const writable = bytes.every((_, i) => this.model.at(address + i)?.writable === true);
    const written = BigInt(b) * 0x0123_4567_89abn;
    if (size === 8) expect(this.space.writeBigU64(at, written)).toBe(writable);
    else {
      const low = Number(written & 0xffff_ffffn);
      expect(
        { 1: () => this.space.writeU8(at, low), 2: () => this.space.writeU16(at, low), 4: () => this.space.writeU32(at, low) }[size](),
      ).toBe(writable);
    }
    if (writable) for (let i = 0; i < size; i++) this.model.write(address + i, Number((written >> BigInt(8 * i)) & 0xffn));
  }

  vmap(address: number, b: number, c: number): void {
    const length = (b % 64) + 1;
    const write = c % 2 === 0;
    const places = Array.from({ length }, (_, i) => this.model.at(address + i));
    const first = places[0];
    const whole = first !== undefined && places.every((place) => place?.region === first.region) && (first.writable || !write);
    const window = this.space.tryVmap(gpa(address), length, { write, marks: true });
    expect(window instanceof AccessFault).toBe(!whole);
    if (!(window instanceof AccessFault)) this.windows.push(window);
  }

  windowWrite(a: number, b: number, c: number): void {
    const window = this.windows[c % Math.max(this.windows.length, 1)];
    if (window === undefined) return;
    const { address, length } = window;
    const shown = Array.from({ length }, (_, i) => this.model.read(address + i));
    if (!window.valid) {
      expect(window.u8.length).toBe(0);
      return;
    }
    expect([...window.u8]).toEqual(shown);
    if (!window.writable) return;
    const at = a % length;
    window.u8[at] = b & 0xff;
    window.markDirty(at, 1);
    expect(this.model.write(address + at, b & 0xff)).toBe(true);
  }

  harvest(): void {
    const found = new Map<MemoryProvider, Set<number>>();
    for (const { memory, offset, length } of this.log.harvestMemory()) {
      const pages = found.get(memory) ?? new Set();
      found.set(memory, pages);
      for (let at = offset; at < offset + length; at += PAGE) pages.add(at / PAGE);
    }
    const sorted = (pages: Set<number> | undefined): number[] => [...(pages ?? [])].sort((x, y) => x - y);
    for (const memory of new Set([...found.keys(), ...this.model.dirty.keys()])) {
      expect(sorted(found.get(memory))).toEqual(sorted(this.model.dirty.get(memory)));
    }
    this.model.dirty.clear();
  }

  [Symbol.dispose](): void {
    this.harvest();
    this.space[Symbol.dispose]();
    for (const { memory } of this.model.regions) expect(memory.released).toBe(true);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

test.prop([fc.array(step, { minLength: 1, maxLength: 40 })], { numRuns: 3000 })(
  "the space does what a naive map of bytes does",
  (steps) => {
    using trial = new Trial();
    for (const each of steps) trial.do(each);
  },
  60_000,
);
