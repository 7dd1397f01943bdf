/**
 * What a driver that means harm puts in a ring: the classes of faults that hit real devices, whatever they were. Each is for a queue that has
 * just been started.
 *
 * @module
 */
import { gpa } from "@virtspace/virt-address-space";
import type { PackedDriver } from "../virtio/packed-driver.ts";
import { DESC_INDIRECT, DESC_NEXT, DESC_WRITE } from "../virtio/ring-driver.ts";
import type { SplitDriver } from "../virtio/split-driver.ts";
import { CANARY, END, HOLE, ROM, WINDOW } from "./device-trial.ts";

interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly flags?: number;
}

/** What is wrong, and how it gets into a ring. */
export type Malformed<R> = readonly [what: string, write: (ring: R) => void];

const TABLE = 0x4000;
const good: Descriptor = { address: CANARY, length: 16, flags: DESC_WRITE };

/** Chains that are bad in both layouts. */
const chains: readonly (readonly [what: string, chain: readonly Descriptor[]])[] = [
  ["a descriptor of no bytes", [{ address: CANARY, length: 0 }]],
  ["one of no bytes to write, behind a good one", [good, { address: CANARY, length: 0, flags: DESC_WRITE }]],
  ["a bad address with no bytes", [{ address: HOLE, length: 0 }]],
  ["a buffer to read in a hole", [{ address: HOLE, length: 16 }]],
  ["a buffer to write in a hole, behind a good one", [good, { address: HOLE, length: 16, flags: DESC_WRITE }]],
  ["a buffer that ends in a hole", [{ address: END - 8, length: 16, flags: DESC_WRITE }]],
  ["a buffer in an I/O window", [{ address: WINDOW, length: 16 }]],
  ["a buffer to write in memory that is only read", [{ address: ROM, length: 16, flags: DESC_WRITE }]],
  ["an address that no guest has", [{ address: 2 ** 52, length: 16 }]],
  ["a length that wraps the address", [{ address: 2 ** 52 - 8, length: 0xffff_ffff }]],
  ["a buffer of 4 GiB", [{ address: CANARY, length: 0xffff_ffff, flags: DESC_WRITE }]],
  ["a buffer to read behind one to write", [good, { address: CANARY, length: 16 }]],
];

/** Tables that are bad in both layouts. */
const tables: readonly (readonly [what: string, head: Descriptor, table: readonly Descriptor[]])[] = [
  ["of an odd length", { address: TABLE, length: 24 }, []],
  ["of no length", { address: TABLE, length: 0 }, []],
  ["of a huge length", { address: TABLE, length: 0xffff_fff0 }, []],
  ["in a hole", { address: HOLE, length: 16 }, []],
  ["inside a table", { address: TABLE, length: 16 }, [{ address: TABLE, length: 16, flags: DESC_INDIRECT }]],
  ["with a buffer in a hole", { address: TABLE, length: 16 }, [{ address: HOLE, length: 16 }]],
  ["with more descriptors behind it", { address: TABLE, length: 16, flags: DESC_NEXT }, [good]],
];

function offerSplit(ring: SplitDriver, chain: readonly Descriptor[]): void {
  for (const [i, { address, length, flags = 0 }] of chain.entries())
    ring.describe(i, { address, length, flags: i + 1 < chain.length ? flags | DESC_NEXT : flags, next: i + 1 });
  ring.offer(0, 0);
  ring.setIndex(1);
}

/** For split rings. */
export const malformedSplit: readonly Malformed<SplitDriver>[] = [
  ...chains.map(([what, chain]): Malformed<SplitDriver> => [what, (ring) => offerSplit(ring, chain)]),
  ...tables.map(
    ([what, head, table]): Malformed<SplitDriver> => [
      `a table ${what}`,
      (ring) => {
        for (const [i, { flags = 0, ...rest }] of table.entries()) ring.describeAt(gpa(TABLE + 16 * i), { ...rest, flags });
        offerSplit(ring, [{ ...head, flags: (head.flags ?? 0) | DESC_INDIRECT }]);
      },
    ],
  ),
  [
    "a loop of descriptors",
    (ring) => {
      for (const slot of [0, 1]) ring.describe(slot, { address: CANARY, length: 16, flags: DESC_NEXT, next: 1 - slot });
      ring.offer(0, 0);
      ring.setIndex(1);
    },
  ],
  [
    "a loop within a table",
    (ring) => {
      for (const slot of [0, 1]) ring.describeAt(gpa(TABLE + 16 * slot), { address: CANARY, length: 16, flags: DESC_NEXT, next: 1 - slot });
      offerSplit(ring, [{ address: TABLE, length: 32, flags: DESC_INDIRECT }]);
    },
  ],
  [
    "a next descriptor that is none",
    (ring) => {
      ring.describe(0, { address: CANARY, length: 16, flags: DESC_NEXT, next: 0xffff });
      ring.offer(0, 0);
      ring.setIndex(1);
    },
  ],
  [
    "a first descriptor that is none",
    (ring) => {
      ring.offer(0, ring.size);
      ring.setIndex(1);
    },
  ],
  ["an index that jumps by more than the ring has", (ring) => ring.setIndex(ring.size + 1)],
  ["an index that goes back", (ring) => ring.setIndex(0xffff)],
];

function offerPacked(ring: PackedDriver, chain: readonly Descriptor[]): void {
  const { availableFlags } = ring;
  // The first one last: the device may look at any time.
  for (const [i, { address, length, flags = 0 }] of [...chain.entries()].reverse())
    ring.describe(i, { address, length, id: 0, flags: flags | (i + 1 < chain.length ? DESC_NEXT : 0) | availableFlags });
}

/** For packed rings. */
export const malformedPacked: readonly Malformed<PackedDriver>[] = [
  ...chains.map(([what, chain]): Malformed<PackedDriver> => [what, (ring) => offerPacked(ring, chain)]),
  ...tables.map(
    ([what, head, table]): Malformed<PackedDriver> => [
      `a table ${what}`,
      (ring) => {
        for (const [i, { flags = 0, ...rest }] of table.entries()) ring.describeAt(gpa(TABLE + 16 * i), { ...rest, id: 0, flags });
        offerPacked(ring, [{ ...head, flags: (head.flags ?? 0) | DESC_INDIRECT }]);
      },
    ],
  ),
  [
    "a chain with no end",
    (ring) => offerPacked(ring, [...Array.from({ length: ring.size - 1 }, () => good), { ...good, flags: DESC_NEXT }]),
  ],
  [
    "a table in the middle of a chain",
    (ring) =>
      offerPacked(ring, [
        { address: CANARY, length: 16 },
        { address: TABLE, length: 16, flags: DESC_INDIRECT },
      ]),
  ],
];
