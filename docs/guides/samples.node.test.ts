/** The samples of the guides are in files that `test` runs: no page has code of its own. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const pages = globSync("*.md", { cwd: import.meta.dirname });
/** What may stand in a page itself: commands and short texts. */
const OWN = new Set(["sh", "text"]);

/** What a test runs: it is one, or one names it, or a program that one runs does. */
function isRun(file: string): boolean {
  const folder = dirname(file);
  if (/\.test\.ts$/.test(file)) return !/\.guest\.test\.ts$/.test(file);
  return globSync("*.ts", { cwd: folder })
    .map((name) => join(folder, name))
    .filter((other) => other !== file && readFileSync(other, "utf8").includes(`${basename(file)}"`))
    .some(isRun);
}

/** What a page includes. */
function included(page: string): { readonly file: string; readonly region: string | undefined }[] {
  return Array.from(page.matchAll(/\{@includeCode ([^\s#}]+)(?:#([\w-]+))?\}/g), ([, path = "", region]) => ({
    file: resolve(import.meta.dirname, path),
    region,
  }));
}

describe.each(pages)("%s", (name) => {
  const page = readFileSync(join(import.meta.dirname, name), "utf8");

  test("has no code that nobody runs", () => {
    const blocks = Array.from(page.matchAll(/^```(\S*)\n[\s\S]*?^```$/gm), ([, language = ""]) => language);
    expect(blocks.filter((language) => !OWN.has(language))).toEqual([]);
  });

  test("includes what a test runs, region by region", () => {
    for (const { file, region } of included(page)) {
      expect(existsSync(file) && isRun(file), `${file} is run`).toBe(true);
      if (region === undefined) continue;
      const source = readFileSync(file, "utf8");
      for (const mark of [`#region ${region}\n`, `#endregion ${region}\n`])
        expect(source.split(mark), `${mark} in ${file}`).toHaveLength(2);
    }
  });

  test("is in the site, in its place", () => {
    const { readme, projectDocuments } = JSON.parse(readFileSync(join(root, "docs/typedoc.json"), "utf8")) as {
      readonly readme: string;
      readonly projectDocuments: readonly string[];
    };
    expect([readme, ...projectDocuments]).toContain(`guides/${name}`);
  });
});

test("the pages that include code are seen", () => {
  const found = pages.flatMap((name) => included(readFileSync(join(import.meta.dirname, name), "utf8")));
  expect(found.length).toBeGreaterThan(25);
});
