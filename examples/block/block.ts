/** A block device over a file. Linux has it as /dev/vda. @see virtio 1.3, section 5.2 */
import { basename } from "node:path";
import { type DeviceParts, defineDevice, FeatureSet, VirtioDeviceType, type VirtioPlugin } from "@virtspace/virtio";
import { FileDisk } from "./file-disk.ts";
import { configuration, Feature } from "./format.ts";
import { Requests } from "./requests.ts";

/** A disk. */
export interface BlockOptions {
  /** The file. */
  readonly path: string;
  /** Whether guests may only read. Any number of them may then, else one at a time. */
  readonly readOnly?: boolean;
  /** What guests call it, up to 20 bytes; the file's name unless given. */
  readonly id?: string;
  /** How many queues it has, for guests of several processors; 1 unless given. */
  readonly queues?: number;
}

const QUEUE_SIZE = 128;

/** A disk, for a machine's description or the command. */
export function block({ path, readOnly = false, id = basename(path), queues = 1 }: BlockOptions): VirtioPlugin {
  if (!Number.isInteger(queues) || queues < 1) throw new RangeError(`a disk with ${queues} queues can't be: give a whole number from 1`);
  let writer: string | undefined;
  return defineDevice({
    name: "block",
    create({ machine }): DeviceParts {
      if (!readOnly && writer !== undefined) throw new Error(`${path} is ${writer}'s: two that write would destroy it`);
      const disk = new FileDisk(path, readOnly);
      if (!readOnly) writer = machine;
      return {
        type: VirtioDeviceType.Block,
        features: featuresOf(readOnly, queues),
        queues: Array.from({ length: queues }, (_, i) => ({ name: `requests ${i}`, size: QUEUE_SIZE })),
        // A buffer has a head and a status beside the data's pieces.
        config: configuration({ sectors: disk.sectors, queues, segments: QUEUE_SIZE - 2 }),
        start({ queues: byName, features, log }) {
          const requests = new Requests({
            disk,
            id,
            driverFlushes: features.has(Feature.Flush),
            onError: (cause) => log.error(`a request to ${path} failed`, { cause }),
          });
          for (const queue of Object.values(byName)) queue.serve((chain) => requests.do(chain));
        },
        stop() {
          disk[Symbol.dispose]();
          if (!readOnly) writer = undefined;
        },
      };
    },
  });
}

function featuresOf(readOnly: boolean, queues: number): FeatureSet {
  return FeatureSet.of(
    ...[Feature.SegMax, Feature.BlockSize, Feature.Topology, Feature.Flush],
    ...(readOnly ? [Feature.ReadOnly] : [Feature.Discard, Feature.WriteZeroes]),
    ...(queues > 1 ? [Feature.Queues] : []),
  );
}
