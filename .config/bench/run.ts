/**
 * Runs every `*.bench.ts` of the packages, each in a process of its own, and prints their tables. `--save` also writes them to
 * the page of figures in the docs; other words choose the files whose path has them in it.
 */
import { spawnSync } from "node:child_process";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { keepFigures } from "./kept-figures.ts";

const root = join(import.meta.dirname, "../..");
const { values, positionals } = parseArgs({ options: { save: { type: "boolean", default: false } }, allowPositionals: true });

const files = globSync("packages/*/src/**/*.bench.ts", { cwd: root }).sort();
const chosen = files.filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)));
if (chosen.length === 0) throw new Error(`no benchmark has ${positionals.join(" or ")} in its path; there are ${files.join(", ")}`);

const pages: string[] = [];
for (const file of chosen) {
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", file], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 600_000,
  });
  process.stdout.write(stdout);
  if (status !== 0) throw new Error(`${file} failed`);
  pages.push(stdout.trim());
}

const missed = pages.join("\n").match(/\| NO +\|/g)?.length ?? 0;
console.log(`\n${missed === 0 ? "every target was met" : `${missed} of the targets missed in this run`}`);

if (values.save) {
  const day = new Date().toISOString().slice(0, 10);
  const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
  const head = `---\ntitle: Figures\n---\n\n# Figures\n\nTaken on ${day} by one run of \`npx -y pnpm@12 bench --save\` (${machine}).\nThe machine is shared and noisy: ratios hold, absolute times wander by half. Targets are the project's own.`;
  const page = join(root, "docs/guides/figures.md");
  writeFileSync(page, `${head}\n\n${keepFigures(pages.join("\n\n"), readFileSync(page, "utf8"))}\n`);
}
