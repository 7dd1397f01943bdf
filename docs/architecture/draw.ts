/** Run before the site is built: writes the drawing and the table that the page of the architecture includes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawing, table } from "./drawing.ts";
import { packageGraph } from "./package-graph.ts";

const folder = join(import.meta.dirname, "../.cache");
const packages = await packageGraph();
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "package-graph.md"), drawing(packages));
writeFileSync(join(folder, "package-table.md"), table(packages));
