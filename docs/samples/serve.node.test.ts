/** The sample of "Serve it to QEMU". */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
// #region serve
import { VhostUserServer } from "@virtspace/vhost-user";
import { defaultRandom, type VirtioPlugin } from "@virtspace/virtio";
import { expect, test } from "vitest";
import { echo } from "../../examples/first-device/device.ts";

/** Serves a device of its own to each front-end that connects. */
function serve(plugin: VirtioPlugin, path: string): VhostUserServer {
  return VhostUserServer.listen({
    path,
    device: (number) => plugin.create({ machine: `guest ${number}`, random: defaultRandom, log: console }),
    onJoin: ({ number, pid }) => console.log(`guest ${number} is process ${pid}`),
    onLeave: ({ number }, error) => console.log(`guest ${number} left`, error?.message ?? ""),
  });
}
// #endregion serve

test("a device is served at a path, which goes with its server", () => {
  const folder = mkdtempSync(join(tmpdir(), "virtspace-docs-"));
  const path = join(folder, "echo.sock");
  const server = serve(echo({ delay: 1 }), path);
  expect(server.guests).toEqual([]);
  server[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});
