/** Typedoc can't know of the live page, which is made behind it: so what guides link to is looked at here. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const docs = join(import.meta.dirname, "..");
const guides = globSync("guides/*.md", { cwd: docs });

test.each(guides)("what %s links to is there", (guide) => {
  const text = readFileSync(join(docs, guide), "utf8");
  const links = [...text.matchAll(/\]\((\.[^)#]+)/g), ...text.matchAll(/href="([^"#:]+)"/g)].map(([, link = ""]) => link);
  // The live page stands beside the site's first page when the site is built, and here without its program.
  const missing = links.filter((link) => !existsSync(join(docs, dirname(guide), link)) && !existsSync(join(docs, link)));
  expect(missing).toEqual([]);
});
