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

const statically = (file: string) => `import { Machine } from "${file}";\nexport const made = new Machine();\n`;
const forTypes = (file: string) => `import type { Machine } from "${file}";\nexport type Made = Machine;\n`;
const later = (file: string) => `export const made = await import("${file}");\n`;
const onward = (file: string) => `export { Machine } from "${file}";\n`;
const nothing = () => "export class Machine {}\n";

/** A package with one file, `src/NAME.ts`, which imports another package as pnpm would link it. */
function file(importer: string, name: string, imported: string, statement: (path: string) => string): Record<string, string> {
  return {
    [`packages/${importer}/package.json`]: JSON.stringify({ name: `@virtspace/${importer}`, type: "module" }),
    [`packages/${importer}/src/${name}.ts`]: statement(`../../${imported}/src/index.ts`),
  };
}

const VIOLATIONS: readonly (readonly [string, string, string, string, (path: string) => string])[] = [
  ["a device that imports a hypervisor", "what-virtio-net-may-import", "virtio-net", "kvm-core", statically],
  ["a device that imports a hypervisor's types alone", "what-vbus-may-import", "vbus", "kvm-core", forTypes],
  ["a device that loads a hypervisor later", "what-virtio-net-may-import", "virtio-net", "v86-core", later],
  ["a hypervisor that imports a device", "what-kvm-core-may-import", "kvm-core", "virtio-net", statically],
  ["a hypervisor that passes a device on", "what-v86-core-may-import", "v86-core", "vbus", onward],
  ["a neutral package that imports a host", "what-virtio-may-import", "virtio", "host-linux", statically],
  ["the neutral object that imports anything of ours", "what-virt-address-space-may-import", "virt-address-space", "hypervisor", forTypes],
  ["a package that is not in the table", "packages-are-in-the-table", "no-such", "virtio", statically],
  [
    "a neutral package that imports a module of Node",
    "neutral-packages-know-no-host",
    "virtio",
    "virtio",
    () => 'import { readFileSync } from "node:fs";\nexport const read = readFileSync;\n',
  ],
  [
    "a neutral package that imports a library that nobody declared",
    "no-unresolved",
    "virtio",
    "virtio",
    () => 'import koffi from "koffi";\nexport default koffi;\n',
  ],
];

describe("check:boundaries", () => {
  test("fails for each violation, and names it", () => {
    const packages = new Set(VIOLATIONS.flatMap(([, , importer, imported]) => [importer, imported]));
    plant(Object.assign({}, ...[...packages].map((name) => file(name, "index", name, nothing))));
    VIOLATIONS.forEach(([, , importer, imported, statement], number) => plant(file(importer, `violation-${number}`, imported, statement)));
    const { status, output } = check();
    expect(status, output).toBeGreaterThan(0);
    const named = output.split("\n").filter((line) => line.includes("error "));
    VIOLATIONS.forEach(([what, rule, importer], number) =>
      expect(named, what).toContainEqual(expect.stringContaining(`${rule}: packages/${importer}/src/violation-${number}.ts`)),
    );
  });

  test("passes what the table allows", () => {
    plant({ ...file("kvm-core", "index", "host-linux", statically), ...file("host-linux", "index", "host-linux", nothing) });
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
