/**
 * Checks what would be published: packs every package, looks at what is in the tarballs (publint, are-the-types-wrong), installs them
 * in an empty project outside the workspace, type-checks the READMEs' samples there and runs them, on each Node that can be had; and
 * writes new devices there, and runs their tests.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { checked, program } from "../readme/sample.ts";

/** Releases of Node; the one that runs this is one of them. */
const NODES = [22, 24, 26];
/** The first Node that knows `using`: samples for others are compiled. */
const KNOWS_USING = 24;

const root = join(import.meta.dirname, "../..");
const bin = (name: string): string => join(root, "node_modules/.bin", name);

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly engines: { readonly node: string };
  /** A package with this knows a host. */
  readonly os?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
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
  const { stdout } = await promisify(execFile)("tar", ["-tzf", tarball]);
  const missing = ["package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"].filter(
    (file) => !stdout.split("\n").includes(`package/${file}`),
  );
  if (missing.length > 0) throw new Error(`${name}: the tarball has no ${missing.join(", ")}`);
  // Our packages are modules alone: what only CommonJS would ask for is not there.
  await run(`${name}: are the types wrong`, bin("attw"), [tarball, "--profile", "esm-only"], folder);
  return { name, folder, tarball };
}

/** What READMEs say is to be installed beside our own packages, in the versions that those have. */
function librariesOf(packed: readonly Packed[]): Readonly<Record<string, string>> {
  const libraries = packed.flatMap(({ folder }) => {
    const { dependencies = {} } = manifestOf(folder);
    const [, names = ""] = /^npm install (.*)$/m.exec(readFileSync(join(folder, "README.md"), "utf8")) ?? [];
    return names.split(" ").flatMap((name) => (dependencies[name]?.match(/^\d/) ? [[name, dependencies[name]] as const] : []));
  });
  return Object.fromEntries(libraries);
}

/** An empty project with all packages in it, and the samples of each README. */
function makeProject(place: string, packed: readonly Packed[]): void {
  const { devDependencies } = manifestOf(root);
  const tarballs = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
  const dependencies = {
    ...librariesOf(packed),
    ...tarballs,
    "@types/node": devDependencies["@types/node"],
    vitest: devDependencies["vitest"],
  };
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
  const emitted = {
    target: "ES2022",
    lib: ["ESNext"],
    noEmit: false,
    outDir: "compiled",
    rootDir: "samples",
    rewriteRelativeImportExtensions: true,
  };
  writeFileSync(
    join(place, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { ...compilerOptions, ...emitted }, include: ["samples"] }),
  );
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

/** A Node of a release, out of the registry's package of it. @returns undefined, having said so, where it can't be had */
async function nodeOf(release: number, place: string): Promise<string | undefined> {
  if (process.version.startsWith(`v${release}.`)) return process.execPath;
  const folder = join(place, `node-${release}`);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  writeFileSync(join(folder, "pnpm-workspace.yaml"), JSON.stringify({ packages: ["."] }));
  const name = `node-${process.platform}-${process.arch}`;
  try {
    const args = ["add", "--prefer-offline", "--ignore-scripts", `node@npm:${name}@${release}`];
    await promisify(execFile)("pnpm", args, { cwd: folder, timeout: 90_000 });
    const node = join(folder, "node_modules/node/bin/node");
    const { stdout } = await promisify(execFile)(node, ["--version"]);
    console.log(`ok      have Node ${stdout.trim()}`);
    return node;
  } catch (cause) {
    console.log(`NOT RUN on Node ${release}: it can't be had (${name}@${release}): ${String(cause).split("\n", 1)[0]}`);
    return undefined;
  }
}

/** Whether a package says that it runs there. */
const runsOn = (release: number, { engines }: Manifest): boolean => release >= Number(/\d+/.exec(engines.node)?.[0]);

/** Runs the samples on a Node. */
async function runSamples(release: number, node: string, place: string, packed: readonly Packed[]): Promise<void> {
  for (const { name, folder } of packed) {
    if (!program(readFileSync(join(folder, "README.md"), "utf8")).has("main.ts")) continue;
    if (!runsOn(release, manifestOf(folder))) {
      console.log(`not run ${name}: its samples on Node ${release}, which it says it does not run on`);
      continue;
    }
    const file = release < KNOWS_USING ? join("compiled", name, "main.js") : join("samples", name, "main.ts");
    await run(`${name}: run the samples there on Node ${release}`, node, [file], place);
  }
}

/** Has the command write a device, and tests it where only what was packed is to be found. */
async function newDevice(bus: string, place: string): Promise<void> {
  const folder = join(place, `new-${bus}`);
  const command = join(place, "node_modules/@virtspace/cli/dist/main.js");
  await run(
    `a new device of ${bus}: write it`,
    process.execPath,
    [command, "new", "device", `my-${bus}`, "--bus", bus, "--folder", folder],
    place,
  );
  await run(`a new device of ${bus}: type-check and build it`, bin("tsc"), ["-p", "."], folder);
  await run(`a new device of ${bus}: run its tests`, join(place, "node_modules/.bin/vitest"), ["run", "--dir", "src"], folder);
  await run(`a new device of ${bus}: run its machine`, process.execPath, [command, "run", "src/machine.ts"], folder);
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
  await run("type-check and compile the samples there", bin("tsc"), ["-p", "."], place);
  await run("type-check the packages as in a page", bin("tsc"), ["-p", "page"], place);
  // Workers' files, which samples name as they are.
  cpSync(join(place, "samples"), join(place, "compiled"), { recursive: true });
  for (const release of NODES) {
    const node = await nodeOf(release, place);
    if (node !== undefined) await runSamples(release, node, place, packed);
  }
  for (const { name, folder } of packed) {
    const files = [...program(readFileSync(join(folder, "README.md"), "utf8")).keys()];
    if (!files.some((file) => file.endsWith(".test.ts"))) continue;
    await run(
      `${name}: run the sample tests there`,
      join(place, "node_modules/.bin/vitest"),
      ["run", "--dir", join("samples", name)],
      place,
    );
  }
  for (const bus of ["virtio", "vbus"]) await newDevice(bus, place);
} catch (error) {
  console.error("the packages are not fit to be published:", error);
  process.exitCode = 1;
} finally {
  rmSync(place, { recursive: true });
}
