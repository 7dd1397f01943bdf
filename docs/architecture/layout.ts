/** Where the packages stand in the drawing: whoever imports stands above what he imports, and lines cross little. */
import type { PackageNode } from "./package-graph.ts";

/** A place in a row: a package's, or one through which a line passes. */
export interface Place {
  /** The package; undefined where only a line passes. */
  readonly name: string | undefined;
  /** Places of the row below to which lines go. */
  readonly down: Place[];
  /** Horizontally, the middle. */
  x: number;
}

const BOX = 138;
const PASSAGE = 16;
const GAP = 10;
const SWEEPS = 24;

/** What is wide enough for a row. */
const widthOf = ({ name }: Place): number => (name === undefined ? PASSAGE : BOX);

/** The imports that are not there by way of another one. */
export function direct(packages: readonly PackageNode[]): ReadonlyMap<string, readonly string[]> {
  const byName = new Map(packages.map((each) => [each.name, each]));
  const reaches = (from: string, to: string): boolean =>
    byName.get(from)?.imports.some((each) => each === to || reaches(each, to)) ?? false;
  return new Map(
    packages.map(({ name, imports }) => [name, imports.filter((to) => !imports.some((via) => via !== to && reaches(via, to)))]),
  );
}

/** Rows, the lowest first, and how wide they are. */
export function layOut(packages: readonly PackageNode[]): { readonly rows: readonly (readonly Place[])[]; readonly width: number } {
  const edges = direct(packages);
  const height = (name: string): number => Math.max(-1, ...(edges.get(name) ?? []).map(height)) + 1;
  const rows: Place[][] = [];
  const places = new Map<string, Place>();
  const put = (row: number, name: string | undefined): Place => {
    const place: Place = { name, down: [], x: 0 };
    rows[row] = [...(rows[row] ?? []), place];
    return place;
  };
  for (const { name } of packages) places.set(name, put(height(name), name));
  for (const [from, targets] of edges)
    for (const to of targets) {
      let above = places.get(from) as Place;
      for (let row = height(from) - 1; row > height(to); row--) {
        const passage = put(row, undefined);
        above.down.push(passage);
        above = passage;
      }
      above.down.push(places.get(to) as Place);
    }
  const widths = rows.map((row) => row.reduce((sum, place) => sum + widthOf(place) + GAP, -GAP));
  const width = Math.max(...widths);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    // Up and down in turn: each place goes to the middle of its neighbours, and rows keep their distances.
    const order = sweep % 2 === 0 ? [...rows.keys()] : [...rows.keys()].reverse();
    for (const index of order) {
      const row = rows[index] as Place[];
      const wish = new Map(row.map((place) => [place, middle(neighbours(place, rows[index + 1] ?? [])) ?? width / 2]));
      row.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
      spread(row, wish, width);
    }
  }
  return { rows, width };
}

const neighbours = (place: Place, above: readonly Place[]): Place[] => [...place.down, ...above.filter(({ down }) => down.includes(place))];

function middle(places: readonly Place[]): number | undefined {
  return places.length === 0 ? undefined : places.reduce((sum, { x }) => sum + x, 0) / places.length;
}

/** Puts a row's places where they want to be, as far as there is room. */
function spread(row: readonly Place[], wish: ReadonlyMap<Place, number>, width: number): void {
  let from = 0;
  for (const place of row) {
    const half = widthOf(place) / 2;
    place.x = Math.max(from + half, wish.get(place) ?? 0);
    from = place.x + half + GAP;
  }
  let to = width;
  for (const place of row.toReversed()) {
    const half = widthOf(place) / 2;
    place.x = Math.min(place.x, to - half);
    to = place.x - half - GAP;
  }
}

/** Of a box. */
export const BOX_WIDTH: number = BOX;
