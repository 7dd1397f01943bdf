/** The drawing of the packages as SVG in the page's own colours, and their table. */
import { BOX_WIDTH, layOut, type Place } from "./layout.ts";
import type { PackageNode } from "./package-graph.ts";

const BOX_HEIGHT = 34;
const ROW = 92;
const MARGIN = 4;

/** An SVG without a blank line, so that Markdown leaves it alone. */
export function drawing(packages: readonly PackageNode[]): string {
  const { rows, width } = layOut(packages);
  const height = (rows.length - 1) * ROW + BOX_HEIGHT;
  const top = (row: number): number => (rows.length - 1 - row) * ROW;
  const lines: string[] = [];
  const boxes: string[] = [];
  for (const [index, row] of rows.entries())
    for (const place of row) {
      for (const below of place.down) lines.push(line(place, top(index), below, top(index - 1)));
      const node = packages.find(({ name }) => name === place.name);
      if (node !== undefined) boxes.push(box(node, place.x, top(index)));
    }
  return [
    '<div class="drawing graph">',
    `<svg viewBox="${-MARGIN} ${-MARGIN} ${Math.ceil(width) + 2 * MARGIN} ${height + 2 * MARGIN}" role="img" aria-label="The packages; lines lead from each to those that it imports. The table below says the same.">`,
    ...lines,
    ...boxes,
    "</svg>",
    "</div>",
    "",
  ].join("\n");
}

/** From the lower edge of a box, or through a passage, to the upper edge of what is below. */
function line(from: Place, fromTop: number, to: Place, toTop: number): string {
  const start = fromTop + (from.name === undefined ? BOX_HEIGHT / 2 : BOX_HEIGHT);
  const end = toTop + (to.name === undefined ? BOX_HEIGHT / 2 : 0);
  const bend = (end - start) / 2;
  return `<path class="bind" d="M${round(from.x)} ${start} C${round(from.x)} ${start + bend} ${round(to.x)} ${end - bend} ${round(to.x)} ${end}"/>`;
}

function box({ name, neutral }: PackageNode, x: number, top: number): string {
  const rect = `<rect x="${round(x - BOX_WIDTH / 2)}" y="${top}" width="${BOX_WIDTH}" height="${BOX_HEIGHT}" rx="6"${neutral ? ' class="neutral"' : ""}/>`;
  return `<g>${rect}<text x="${round(x)}" y="${top + BOX_HEIGHT / 2 + 4}">${name}</text></g>`;
}

const round = (x: number): number => Math.round(x * 10) / 10;

/** The same as a table in Markdown: what each imports, and what it may import besides. */
export function table(packages: readonly PackageNode[]): string {
  const list = (names: readonly string[]): string => names.join(", ") || "nothing";
  const lines = packages.map(({ name, imports, mayImport }) => {
    const besides = mayImport.filter((each) => !imports.includes(each));
    const any = mayImport.length === packages.length - 1;
    return `| {@link @virtspace/${name}! ${name}} | ${list(imports)} | ${any ? "any" : besides.join(", ")} |`;
  });
  return ["| package | imports | may import besides |", "| --- | --- | --- |", ...lines, ""].join("\n");
}
