/** What any virtio device must do, the disk too: its file is closed when it leaves. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceSuite } from "@virtspace/conformance";
import { afterAll, expect } from "vitest";
import { block } from "./block.ts";
import { Status, Type } from "./format.ts";

const folder = mkdtempSync(join(tmpdir(), "block-suite-"));
const path = join(folder, "disk.img");
afterAll(() => rmSync(folder, { recursive: true }));

/** The head of a request. */
function head(type: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, type, true);
  return bytes;
}

deviceSuite({
  name: "block",
  plugin: () => {
    writeFileSync(path, new Uint8Array(64 * 512).fill(0xaa));
    return block({ path });
  },
  requests: [
    { readable: head(Type.In), writable: 513, answer: (written) => expect([written.length, written[512]]).toEqual([513, Status.Ok]) },
    { readable: head(Type.GetId), writable: 21, answer: (written) => expect(written[20]).toBe(Status.Ok) },
    { readable: head(Type.Flush), writable: 1, answer: (written) => expect([...written]).toEqual([Status.Ok]) },
  ],
  held: () => readdirSync("/proc/self/fd").some((fd) => targetOf(fd) === path),
});

function targetOf(fd: string): string | undefined {
  try {
    return readlinkSync(join("/proc/self/fd", fd));
  } catch {
    // The descriptor that listed them.
    return undefined;
  }
}
