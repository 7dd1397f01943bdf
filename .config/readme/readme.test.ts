/** Runs the samples of the packages' READMEs. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checked, program } from "./sample.ts";

const root = join(import.meta.dirname, "../..");

test.each([
  // Where the page is, and a package in which its imports resolve.
  [".", "packages/virt-address-space"],
  ["packages/virt-address-space", "packages/virt-address-space"],
  ["packages/virtio", "packages/virtio"],
  ["packages/network", "packages/network"],
  ["packages/virtio-net", "packages/virtio-net"],
  ["packages/vbus", "packages/vbus"],
  ["packages/host-linux", "packages/host-linux"],
  ["packages/vhost-user", "packages/vhost-user"],
  ["packages/pc-platform", "packages/pc-platform"],
  ["packages/composition", "packages/composition"],
  ["packages/v86-core", "packages/v86-core"],
])("the samples in %s/README.md hold", (page, home) => {
  const folder = join(root, home);
  const files = checked(program(readFileSync(join(root, page, "README.md"), "utf8")));
  const claims = Number(/"(\d+) claims hold"/.exec(files.get("main.ts") ?? "")?.[1]);
  expect(claims).toBeGreaterThan(0);
  mkdirSync(join(folder, ".cache"), { recursive: true });
  const place = mkdtempSync(join(folder, ".cache/readme-"));
  try {
    for (const [file, code] of files) writeFileSync(join(place, file), code);
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(place, "main.ts")], { encoding: "utf8", timeout: 20_000 });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${claims} claims hold\n`, stderr: "" });
  } finally {
    rmSync(place, { recursive: true });
  }
});
