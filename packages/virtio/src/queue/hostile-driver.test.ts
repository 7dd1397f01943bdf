/**
 * Drivers that mean harm: each row is a class of fault that hit a real implementation. A bad chain retires its queue with a
 * fault that says why; nothing hangs, nothing throws, nothing was written.
 */
import { DESC_INDIRECT, DESC_NEXT, DESC_WRITE, type PackedDescriptor, type SplitDescriptor } from "@virtspace/conformance";
import { gpa } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { type Chain, FeatureSet, openVirtqueue, type RingFaultCode, VirtioFeature } from "../index.ts";
import { BORDER, BUFFERS, QueueTrial, RING, ROM, range, TABLES, WINDOW } from "./queue-scenarios.ts";

const SPLIT = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc);
const PACKED = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, VirtioFeature.RingPacked);
const HOLE = 0x3000_0000;

interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly flags?: number;
  /** Split only; the one behind it unless given. */
  readonly next?: number;
}

/** Chains that are bad in both layouts. */
const chains: readonly (readonly [what: string, code: RingFaultCode, chain: readonly Descriptor[]])[] = [
  ["a descriptor of no bytes (CVE-2016-6490, CVE-2020-10725)", "zero-length", [{ address: BUFFERS, length: 0 }]],
  ["a bad address with no bytes", "zero-length", [{ address: HOLE, length: 0 }]],
  ["a buffer in a hole", "unmapped", [{ address: HOLE, length: 16 }]],
  [
    "a buffer that begins in memory and ends in a hole (CVE-2018-1059, CVE-2019-18960)",
    "unmapped",
    [{ address: BORDER + 0x10_0000 - 8, length: 16 }],
  ],
  ["a buffer in an I/O window: a device whose DMA reaches registers (CVE-2021-3416)", "not-memory", [{ address: WINDOW, length: 16 }]],
  ["a buffer for writing in ROM", "read-only", [{ address: ROM, length: 16, flags: DESC_WRITE }]],
  ["an address past 2^52", "bad-address", [{ address: 2 ** 52, length: 16 }]],
  ["a length that wraps the address", "unmapped", [{ address: 2 ** 52 - 8, length: 0xffff_ffff }]],
  [
    "a buffer for reading behind one for writing",
    "readable-after-writable",
    [
      { address: BUFFERS, length: 8, flags: DESC_WRITE },
      { address: BUFFERS, length: 8 },
    ],
  ],
  [
    "more than 4 GiB in one chain",
    "chain-too-large",
    [
      { address: 0, length: 0x30_0000 },
      { address: 0, length: 0xffff_ffff },
    ],
  ],
];

/** Tables that are bad in both layouts: what the descriptor in the ring says, and what lies in the table. */
const tables: readonly (readonly [what: string, code: RingFaultCode, head: Descriptor, table: readonly Descriptor[]])[] = [
  ["of an odd length", "indirect-length", { address: TABLES, length: 24 }, []],
  ["of no length", "indirect-length", { address: TABLES, length: 0 }, []],
  ["with more entries than any driver makes", "indirect-length", { address: TABLES, length: 1025 * 16 }, []],
  ["in a hole", "unmapped", { address: HOLE, length: 16 }, []],
  ["in an I/O window", "not-memory", { address: WINDOW, length: 16 }, []],
  ["past 2^52", "bad-address", { address: 2 ** 52, length: 16 }, []],
  ["that ends in a hole", "unmapped", { address: BORDER + 0x10_0000 - 16, length: 32 }, []],
  ["inside a table", "indirect-nested", { address: TABLES, length: 16 }, [{ address: TABLES + 64, length: 16, flags: DESC_INDIRECT }]],
  [
    "with more descriptors behind it",
    "indirect-with-next",
    { address: TABLES, length: 16, flags: DESC_NEXT },
    [{ address: BUFFERS, length: 8 }],
  ],
];

function expectFault(trial: QueueTrial, code: RingFaultCode): void {
  const before = trial.image();
  expect(trial.queue.pop()).toBeUndefined();
  expect(trial.faults.map((fault) => fault.code)).toEqual([code]);
  expect([trial.queue.running, trial.queue.inFlight, trial.interrupts]).toEqual([false, 0, 0]);
  // It stays so, and says so once.
  trial.queue.kick();
  trial.queue.flush();
  expect([trial.queue.pop(), trial.faults.length]).toEqual([undefined, 1]);
  expect(trial.image().findIndex((word, i) => word !== before[i])).toBe(-1);
}

describe("a split queue", () => {
  function offer(trial: QueueTrial, chain: readonly (Descriptor & Partial<SplitDescriptor>)[], head = 0): void {
    for (const [i, { address, length, flags = 0, next }] of chain.entries()) {
      const more = i + 1 < chain.length || next !== undefined;
      trial.split.describe(i, { address, length, flags: more ? flags | DESC_NEXT : flags, next: next ?? i + 1 });
    }
    trial.split.offer(0, head);
    trial.split.setIndex(1);
  }

  test.each(chains)("is retired by %s", (_, code, chain) => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, chain);
    expectFault(trial, code);
  });

  test.each(tables)("is retired by a table %s", (_, code, head, table) => {
    using trial = new QueueTrial(SPLIT);
    for (const [i, { flags = 0, ...rest }] of table.entries()) trial.split.describeAt(gpa(TABLES + 16 * i), { ...rest, flags });
    offer(trial, [{ ...head, flags: (head.flags ?? 0) | DESC_INDIRECT }]);
    expectFault(trial, code);
  });

  test("is retired by a loop of descriptors", () => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, [
      { address: BUFFERS, length: 8 },
      { address: BUFFERS, length: 8, next: 0 },
    ]);
    expectFault(trial, "chain-too-long");
  });

  test("is retired by a loop within a table", () => {
    using trial = new QueueTrial(SPLIT);
    trial.split.describeAt(gpa(TABLES), { address: BUFFERS, length: 8, flags: DESC_NEXT, next: 1 });
    trial.split.describeAt(gpa(TABLES + 16), { address: BUFFERS, length: 8, flags: DESC_NEXT, next: 0 });
    offer(trial, [{ address: TABLES, length: 32, flags: DESC_INDIRECT }]);
    expectFault(trial, "chain-too-long");
  });

  test.each([16, 0xffff])("is retired by a descriptor that names %d as the next", (next) => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, [{ address: BUFFERS, length: 8, next }]);
    expectFault(trial, "next-out-of-range");
  });

  test("is retired by an entry of a table that names one behind its end", () => {
    using trial = new QueueTrial(SPLIT);
    trial.split.describeAt(gpa(TABLES), { address: BUFFERS, length: 8, flags: DESC_NEXT, next: 2 });
    offer(trial, [{ address: TABLES, length: 32, flags: DESC_INDIRECT }]);
    expectFault(trial, "next-out-of-range");
  });

  test.each([16, 0xffff])("is retired by the head %d", (head) => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, [{ address: BUFFERS, length: 8 }], head);
    expectFault(trial, "head-out-of-range");
  });

  test("is retired by an available index that jumps by more than the queue has", () => {
    using trial = new QueueTrial(SPLIT);
    trial.split.setIndex(17);
    expectFault(trial, "index-jump");
  });

  test("is retired by a head that is in flight (CVE-2026-45782), whose first owner keeps it", () => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, [{ address: BUFFERS, length: 8 }]);
    const chain = trial.queue.pop();
    trial.split.offer(1, 0);
    trial.split.setIndex(2);
    expect([chain?.id, trial.queue.pop(), trial.faults[0]?.code]).toEqual([0, undefined, "head-in-flight"]);
    expect(() => chain?.push()).not.toThrow();
  });

  test("is retired by a table that was not negotiated", () => {
    using trial = new QueueTrial(FeatureSet.of(VirtioFeature.Version1));
    offer(trial, [{ address: TABLES, length: 16, flags: DESC_INDIRECT }]);
    expectFault(trial, "indirect-not-negotiated");
  });

  test("takes a table behind plain descriptors, as the standard has it", () => {
    using trial = new QueueTrial(SPLIT);
    trial.split.describeAt(gpa(TABLES), { address: BUFFERS + 64, length: 8, flags: DESC_WRITE });
    offer(trial, [
      { address: BUFFERS, length: 8 },
      { address: TABLES, length: 16, flags: DESC_INDIRECT },
    ]);
    const chain = trial.queue.pop();
    expect([chain?.readableBytes, chain?.writableBytes, trial.faults]).toEqual([8, 8, []]);
  });

  test("reads each descriptor once: what changes after the check is not seen (CVE-2020-14375)", () => {
    using trial = new QueueTrial(SPLIT);
    offer(trial, [{ address: BUFFERS, length: 8, flags: DESC_WRITE }]);
    const chain = trial.queue.pop();
    trial.split.describe(0, { address: HOLE, length: 0xffff_ffff, flags: DESC_WRITE });
    expect(chain?.copyTo(0, new Uint8Array(16))).toBe(8);
    chain?.push();
    trial.queue.flush();
    expect(trial.space.readU32(gpa(trial.split.usedRing + 8))).toBe(8);
  });
});

describe("a packed queue", () => {
  function offer(trial: QueueTrial, chain: readonly (Descriptor & Partial<PackedDescriptor>)[], id = 0): void {
    for (const [i, { address, length, flags = 0 }] of chain.entries()) {
      const more = i + 1 < chain.length ? DESC_NEXT : 0;
      trial.packed.describe(i, { address, length, id, flags: flags | more | trial.packed.availableFlags });
    }
  }

  test.each(chains)("is retired by %s", (_, code, chain) => {
    using trial = new QueueTrial(PACKED);
    offer(trial, chain);
    expectFault(trial, code);
  });

  test.each(tables)("is retired by a table %s", (_, code, head, table) => {
    using trial = new QueueTrial(PACKED);
    for (const [i, { flags = 0, ...rest }] of table.entries()) trial.packed.describeAt(gpa(TABLES + 16 * i), { ...rest, id: 0, flags });
    offer(trial, [{ ...head, flags: (head.flags ?? 0) | DESC_INDIRECT }]);
    expectFault(trial, code);
  });

  test("is retired by a chain with no end (CVE-2026-16457)", () => {
    using trial = new QueueTrial(PACKED);
    for (let i = 0; i < 16; i++) {
      trial.packed.describe(i, { address: BUFFERS, length: 8, id: 0, flags: DESC_NEXT | trial.packed.availableFlags });
    }
    expectFault(trial, "chain-too-long");
  });

  test("is retired by a table in the middle of a chain", () => {
    using trial = new QueueTrial(PACKED);
    offer(trial, [
      { address: BUFFERS, length: 8 },
      { address: TABLES, length: 16, flags: DESC_INDIRECT },
    ]);
    expectFault(trial, "indirect-in-chain");
  });

  test("is retired by an id that is in flight", () => {
    using trial = new QueueTrial(PACKED);
    const flags = trial.packed.availableFlags;
    for (const slot of [0, 1]) trial.packed.describe(slot, { address: BUFFERS, length: 8, id: 5, flags });
    expect([trial.queue.pop()?.id, trial.queue.pop(), trial.faults[0]?.code]).toEqual([5, undefined, "head-in-flight"]);
  });

  /** Makes one descriptor after the other available, round the ring, each with an id of its own, whoever has what. */
  function* flood(trial: QueueTrial, size: number): Generator<void, never> {
    for (let id = 0, wrap = 0; ; wrap ^= 1) {
      for (let slot = 0; slot < size; slot++, id = (id + 1) & 0xffff) {
        const flags = wrap === 0 ? 0x80 : 0x8000;
        trial.packed.describe(slot, { address: BUFFERS, length: 8, id, flags });
        yield;
      }
    }
  }

  test.each([
    ["", PACKED],
    [", in order", FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingPacked, VirtioFeature.InOrder)],
  ])("is retired by more descriptors than it has, where the device keeps them (CVE-2016-5403)%s", (_, features) => {
    using trial = new QueueTrial(features, 4);
    const driver = flood(trial, 4);
    for (let i = 0; i < 4; i++) {
      driver.next();
      expect(trial.queue.pop()?.id).toBe(i);
    }
    driver.next();
    expect([trial.queue.pop(), trial.queue.inFlight, trial.faults[0]?.code]).toEqual([undefined, 4, "ring-overrun"]);
  });

  test("keeps no more of a driver that goes through all ids than of one that keeps to its own", () => {
    using trial = new QueueTrial(PACKED, 4);
    const driver = flood(trial, 4);
    const made = new Set<unknown>();
    for (let i = 0; i < 0x1_0000; i++) {
      driver.next();
      const chain = trial.queue.pop();
      made.add(trial.queue.inFlight);
      chain?.push();
      trial.queue.flush();
    }
    const kept = [...(trial.queue as unknown as { known(): Iterable<unknown> }).known()];
    expect([trial.faults, [...made], kept.length]).toEqual([[], [1], 4]);
  });

  test("takes one place for what it puts back, however often", () => {
    using trial = new QueueTrial(PACKED, 4);
    const driver = flood(trial, 4);
    driver.next();
    for (let i = 0; i < 10; i++) trial.queue.putBack(trial.queue.pop() as Chain);
    for (let i = 0; i < 3; i++) driver.next();
    expect([0, 1, 2, 3].map(() => trial.queue.pop()?.id)).toEqual([0, 1, 2, 3]);
  });

  test("reads each descriptor once: what changes after the check is not seen (CVE-2020-14375)", () => {
    using trial = new QueueTrial(PACKED);
    offer(trial, [{ address: BUFFERS, length: 8, flags: DESC_WRITE }]);
    const chain = trial.queue.pop();
    trial.packed.describe(0, { address: HOLE, length: 0xffff_ffff, id: 9, flags: DESC_WRITE });
    expect([chain?.copyTo(0, new Uint8Array(16)), chain?.id]).toEqual([8, 0]);
    chain?.push();
    trial.queue.flush();
    expect([trial.space.readU32(gpa(RING + 8)), trial.space.readU16(gpa(RING + 12))]).toEqual([8, 0]);
  });

  test("takes ids that are no index of the ring, as the standard allows", () => {
    using trial = new QueueTrial(PACKED);
    offer(trial, [{ address: BUFFERS, length: 8 }], 0xffff);
    const chain = trial.queue.pop();
    chain?.push();
    trial.queue.flush();
    expect([chain?.id, trial.faults, trial.space.readU16(gpa(RING + 12))]).toEqual([0xffff, [], 0xffff]);
  });
});

describe.each([
  ["split", SPLIT],
  ["packed", PACKED],
])("the rings of a %s queue", (_, features) => {
  const places: [what: string, code: RingFaultCode, address: number][] = [
    ["not aligned", "misaligned", RING + 1],
    ["in a hole", "ring-unmapped", HOLE],
    ["in an I/O window", "ring-unmapped", WINDOW],
    ["across two regions", "ring-unmapped", BORDER - 16],
    ["in front of a hole", "ring-unmapped", BORDER + 0x10_0000 - 16],
  ];
  const open = (trial: QueueTrial, part: "descriptors" | "driver" | "device", address: number) =>
    openVirtqueue({ ...trial.driver.config(0), size: 16, [part]: gpa(address) }, { space: trial.space, interrupt: () => {} });

  test.each(places)("are refused %s, as a value", (_, code, address) => {
    using trial = new QueueTrial(features);
    expect(open(trial, "descriptors", address)).toMatchObject({ code, queue: 0 });
  });

  test("are refused in ROM where the device writes", () => {
    using trial = new QueueTrial(features);
    expect(open(trial, "device", ROM)).toMatchObject({ code: "ring-unmapped" });
    // A packed ring is the device's to write, too.
    const written = features.has(VirtioFeature.RingPacked);
    expect("code" in open(trial, "descriptors", ROM)).toBe(written);
    expect(open(trial, "driver", RING + 1)).toMatchObject({ code: "misaligned" });
  });

  test("that are refused leave no window open", () => {
    using trial = new QueueTrial(features);
    open(trial, "device", HOLE);
    using log = trial.space.dirtyLog("client");
    log.harvest();
    expect(log.harvest()).toEqual([]);
  });
});

test.each([
  ["split", SPLIT],
  ["packed", PACKED],
])("a %s queue whose driver never stops gets its budget and then lets others run (CVE-2019-3900)", (_, features) => {
  using trial = new QueueTrial(features);
  let served = 0;
  // The handler makes its own buffer available again: a drain that re-reads the index would never end.
  trial.queue.serve(
    (chain) => {
      served++;
      chain.push();
      trial.queue.flush();
      trial.driver.used();
      trial.driver.add([range(BUFFERS, 8)], []);
      trial.driver.publish();
    },
    { budget: 10 },
  );
  trial.driver.add([range(BUFFERS, 8)], []);
  trial.driver.publish();
  trial.queue.kick();
  expect(served).toBe(10);
  trial.turn();
  // The turn that serve() asked for, and the one for the rest: each within its budget.
  expect(served).toBeLessThanOrEqual(30);
});

test("a size that no queue has is the transport's mistake", () => {
  using trial = new QueueTrial(SPLIT);
  for (const size of [0, 3, 65536, 1.5]) {
    expect(() => openVirtqueue({ ...trial.driver.config(0), size }, { space: trial.space, interrupt: () => {} })).toThrow(
      expect.objectContaining({ code: "invalid-queue" }),
    );
  }
});
