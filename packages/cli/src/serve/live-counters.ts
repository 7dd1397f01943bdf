/** Counters of all guests, shown again and again: a row a guest. @module */
import type { Reporter } from "../report/reporter.ts";

/** A guest's counters. */
export interface CounterRow {
  /** Who. */
  readonly guest: string;
  /** By name; for programs all of them. */
  readonly [counter: string]: string | number;
}

const NAME_WIDTH = 12;
const WIDTH = 12;

/**
 * Shows counters, until it is disposed.
 *
 * @param columns - what people see: the head of each column, and whose counter stands in it
 * @param seconds - how often
 */
export function showCounters(
  reporter: Reporter,
  columns: Readonly<Record<string, string>>,
  seconds: number,
  rows: () => readonly CounterRow[],
): Disposable {
  const timer = setInterval(() => {
    const found = rows();
    const line = (name: string, cells: readonly unknown[]): string =>
      name.padEnd(NAME_WIDTH) + cells.map((cell) => String(cell).padStart(WIDTH)).join("");
    const table = [
      line("guest", Object.keys(columns)),
      ...found.map((row) =>
        line(
          row.guest,
          Object.values(columns).map((name) => row[name]),
        ),
      ),
    ];
    reporter.show(found.length > 0 ? table : ["no guest yet"], { guests: found });
  }, seconds * 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** How many a second, from one look to the next. */
export class Rates {
  readonly #last = new WeakMap<object, number>();
  readonly #seconds: number;

  /** @param seconds - between looks */
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** @param whose - whose counter it is @param count - how far it has come */
  of(whose: object, count: number): number {
    const before = this.#last.get(whose) ?? 0;
    this.#last.set(whose, count);
    return Math.round(Math.max(count - before, 0) / this.#seconds);
  }
}
