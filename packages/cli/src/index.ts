/**
 * The virtspace command, as a function.
 *
 * @packageDocumentation
 */
export { Exit, run, type Surroundings } from "./program.ts";
export type { Output } from "./report/reporter.ts";
