/** How a command says what happens: in lines for people, or as an object a line for programs. @module */

/** Something that happened. */
interface Happening {
  /** What, as one word. */
  readonly event: string;
  /** The same for people. */
  readonly text: string;
  /** The rest, for programs. */
  readonly [field: string]: unknown;
}

/** Where a command writes. */
export interface Output {
  /** Writes some text. */
  write(text: string): unknown;
  /** Whether somebody looks at it on a terminal. */
  readonly isTTY?: boolean;
}

/** Says what happens. */
export interface Reporter {
  say(happening: Happening): void;
  /** What is the case now: on a terminal in place of what was before. */
  show(lines: readonly string[], fields: Readonly<Record<string, unknown>>): void;
  /** Nothing more comes. */
  end(): void;
}

/** An object a line. */
export function jsonReporter(output: Output, now: () => Date): Reporter {
  const line = (fields: Readonly<Record<string, unknown>>): void =>
    void output.write(`${JSON.stringify({ time: now().toISOString(), ...fields })}\n`);
  return {
    say: ({ text: _, ...fields }) => line(fields),
    show: (_, fields) => line({ event: "counters", ...fields }),
    end: () => {},
  };
}

/** A part of a terminal that is written again and again. */
export interface LiveArea {
  (...text: string[]): void;
  clear(): void;
  done(): void;
}

/** Lines for people; counters only where there is a terminal to show them on. */
export function textReporter(output: Output, live: LiveArea | undefined): Reporter {
  return {
    say: ({ text }) => {
      live?.clear();
      output.write(`${text}\n`);
    },
    show: (lines) => live?.(lines.join("\n")),
    end: () => live?.done(),
  };
}
