/** Where a device says what happens. @module */

/** A log: levels as everybody has them. */
export interface Logger {
  /** For whoever looks for a fault. */
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** For whoever watches. */
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Something is wrong, and work goes on. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Something does not work any more. */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Says nothing. */
export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
