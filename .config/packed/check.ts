/**
 * Checks what would be published: packs every package, lints the tarballs (publint, are-the-types-wrong), installs them in an
 * empty project outside the workspace, type-checks the README's samples there and runs them.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { checked, program } from "../readme/sample.ts";

const root = join(import.meta.dirname, "../..");
const bin = (name: string): string => join(root, "node_modules/.bin", name);

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  /** A package with this knows a host. */
  readonly os?: readonly string[];
  readonly devDependencies: Readonly<Record<string, string>>;
}

interface Packed {
  readonly name: string;
  readonly folder: string;
  readonly tarball: string;
}

async function run(step: string, command: string, args: readonly string[], cwd: string): Promise<void> {
  try {
    await promisify(execFile)(command, args, { cwd, timeout: 300_000, maxBuffer: 1 << 26 });
    console.log(`ok      ${step}`);
  } catch (cause) {
    const { stdout = "", stderr = "", message = "" } = cause as { stdout?: string; stderr?: string; message?: string };
    console.error(`FAILED  ${step}\n${stdout}${stderr || message}`);
    throw new Error(step);
  }
}

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;

async function pack(folder: string, place: string): Promise<Packed> {
  const { name } = manifestOf(folder);
  const tarball = join(place, `${name.replace("@", "").replace("/", "-")}.tgz`);
  await run(`${name}: pack`, "pnpm", ["pack", "--out", tarball], folder);
  await run(`${name}: publint`, bin("publint"), [tarball, "--strict"], folder);
  // Our packages are modules alone: what only CommonJS would ask for is not there.
  await run(`${name}: are the types wrong`, bin("attw"), [tarball, "--profile", "esm-only"], folder);
  return { name, folder, tarball };
}

/** An empty project with all packages in it, and the samples of each README. */
function makeProject(place: string, packed: readonly Packed[]): void {
  const { devDependencies } = manifestOf(root);
  const tarballs = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
  const dependencies = { ...tarballs, "@types/node": devDependencies["@types/node"], vitest: devDependencies["vitest"] };
  writeFileSync(join(place, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module", dependencies }));
  writeFileSync(join(place, "pnpm-workspace.yaml"), JSON.stringify({ packages: ["."], overrides: tarballs }));
  const compilerOptions = {
    target: "ESNext",
    module: "NodeNext",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: ["node"],
  };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["samples"] }));
  // As in a page: no types of Node, and no library that the packages don't ask for themselves.
  const page = { ...compilerOptions, lib: ["ES2024", "DOM"], types: [] };
  const neutral = packed.filter(({ name, folder }) => name !== "@virtspace/conformance" && manifestOf(folder).os === undefined);
  mkdirSync(join(place, "page"));
  writeFileSync(join(place, "page/tsconfig.json"), JSON.stringify({ compilerOptions: page, include: ["."] }));
  writeFileSync(join(place, "page/index.ts"), neutral.map(({ name }) => `export * from "${name}";\n`).join(""));
  for (const { name, folder } of packed) {
    const samples = join(place, "samples", name);
    mkdirSync(samples, { recursive: true });
    const files = program(readFileSync(join(folder, "README.md"), "utf8"));
    for (const [file, code] of files.has("main.ts") ? checked(files) : files) writeFileSync(join(samples, file), code);
  }
}

const place = mkdtempSync(join(tmpdir(), "virtspace-packed-"));
try {
  await run("build", bin("tsc"), ["-b", ".config/tsconfig.json"], root);
  const packed: Packed[] = [];
  for (const folder of readdirSync(join(root, "packages")).map((name) => join(root, "packages", name))) {
    if (manifestOf(folder).private !== true) packed.push(await pack(folder, place));
  }
  makeProject(place, packed);
  await run("install in an empty project", "pnpm", ["install", "--prefer-offline", "--ignore-scripts"], place);
  await run("type-check the samples there", bin("tsc"), ["-p", "."], place);
  await run("type-check the packages as in a page", bin("tsc"), ["-p", "page"], place);
  for (const { name, folder } of packed) {
    const files = [...program(readFileSync(join(folder, "README.md"), "utf8")).keys()];
    const samples = join("samples", name);
    if (files.includes("main.ts")) await run(`${name}: run the samples there`, process.execPath, [join(samples, "main.ts")], place);
    if (files.some((file) => file.endsWith(".test.ts"))) {
      await run(`${name}: run the sample tests there`, join(place, "node_modules/.bin/vitest"), ["run", samples], place);
    }
  }
} catch (error) {
  console.error("the packages are not fit to be published:", error);
  process.exitCode = 1;
} finally {
  rmSync(place, { recursive: true });
}
