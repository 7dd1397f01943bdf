/** What `virtspace serve` takes: the disk that the environment names. */
import type { VirtioPlugin } from "@virtspace/virtio";
import { block } from "./block.ts";

export default function disk(): VirtioPlugin {
  const { BLOCK_FILE: path, BLOCK_READ_ONLY: readOnly, BLOCK_QUEUES: queues = "1" } = process.env;
  if (path === undefined) throw new Error("name the disk's file in BLOCK_FILE");
  return block({ path, readOnly: readOnly !== undefined, queues: Number(queues) });
}
