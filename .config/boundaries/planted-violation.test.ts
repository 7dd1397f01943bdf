/** The dependency rule, tested: a violation planted in a copy of the tree's shape fails the command that `check` runs. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const repository = join(import.meta.dirname, "../..");
const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { scripts: Record<string, string> };
const [tool, ...words] = (scripts["check:boundaries"] as string).split(" ");
const args = words.map((word) => (word.startsWith(".config/") ? join(repository, word) : word));

let tree: string;
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "virtspace-boundaries-"));
});
afterEach(() => rmSync(tree, { recursive: true }));

function plant(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries({ "examples/main.ts": "export {};\n", ...files })) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  }
}

function check(): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(join(repository, "node_modules/.bin", tool as string), args, {
    cwd: tree,
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, output: stdout + stderr };
}

/** Two packages, the first importing the second by its name as pnpm would link it. */
function importing(importer: string, imported: string, statement: (name: string) => string): Record<string, string> {
  return {
    [`packages/${importer}/package.json`]: JSON.stringify({ name: `@virtspace/${importer}`, type: "module" }),
    [`packages/${importer}/src/index.ts`]: statement(`../../${imported}/src/index.ts`),
    [`packages/${imported}/package.json`]: JSON.stringify({ name: `@virtspace/${imported}`, type: "module" }),
    [`packages/${imported}/src/index.ts`]: "export class Machine {}\n",
  };
}

describe("check:boundaries", () => {
  const statically = (file: string) => `import { Machine } from "${file}";\nexport const made = new Machine();\n`;
  const forTypes = (file: string) => `import type { Machine } from "${file}";\nexport type Made = Machine;\n`;
  const later = (file: string) => `export const made = await import("${file}");\n`;
  const onward = (file: string) => `export { Machine } from "${file}";\n`;

  test.each([
    ["a device that imports a hypervisor", "virtio-net", "kvm-core", statically],
    ["a device that imports a hypervisor's types alone", "vbus", "kvm-core", forTypes],
    ["a device that loads a hypervisor later", "virtio-net", "v86-core", later],
    ["a hypervisor that imports a device", "kvm-core", "virtio-net", statically],
    ["a hypervisor that passes a device on", "v86-core", "vbus", onward],
    ["a neutral package that imports a host", "virtio", "host-linux", statically],
    ["the neutral object that imports anything of ours", "virt-address-space", "hypervisor", forTypes],
    ["a package that is not in the table", "no-such", "virtio", statically],
  ])("fails for %s", (_, importer, imported, statement) => {
    plant(importing(importer, imported, statement));
    const { status, output } = check();
    expect(status, output).toBeGreaterThan(0);
    expect(output).toContain(importer === "no-such" ? "packages-are-in-the-table" : `what-${importer}-may-import`);
  });

  test.each([
    ["a module of Node", 'import { readFileSync } from "node:fs";\nexport const read = readFileSync;\n', "neutral-packages-know-no-host"],
    ["a library that nobody declared", 'import koffi from "koffi";\nexport default koffi;\n', "no-unresolved"],
  ])("fails for a neutral package that imports %s", (_, text, rule) => {
    plant({ "packages/virtio/package.json": '{ "name": "@virtspace/virtio" }', "packages/virtio/src/index.ts": text });
    const { status, output } = check();
    expect(status, output).toBeGreaterThan(0);
    expect(output).toContain(rule);
  });

  test("passes what the table allows", () => {
    plant(importing("kvm-core", "host-linux", statically));
    expect(check()).toMatchObject({ status: 0 });
  });
});

test("a neutral package that uses a global of Node or of the page does not compile", () => {
  const config = {
    extends: join(repository, "tsconfig.base.json"),
    compilerOptions: { composite: false, noEmit: true, tsBuildInfoFile: null },
    include: ["src"],
  };
  plant({ "tsconfig.json": JSON.stringify(config), "src/index.ts": "export const where: unknown = [process, window];\n" });
  const { status, stdout } = spawnSync(join(repository, "node_modules/.bin/tsc"), ["-p", tree], { encoding: "utf8", timeout: 60_000 });
  expect(status).toBeGreaterThan(0);
  expect(stdout).toMatch(/Cannot find name 'process'[\s\S]*Cannot find name 'window'/);
});
