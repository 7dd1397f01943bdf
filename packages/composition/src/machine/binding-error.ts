/** What the container says of bindings that don't fit, in a line. @module */
import { CompositionError } from "./composition-error.ts";

/** How the container marks its own: the class is not exported. */
const OF_CONTAINER = Symbol.for("@inversifyjs/core/InversifyCoreError");
const SYMBOL = /Symbol\((?:@virtspace\/composition\/)?([^)]*)\)/g;

/** An error of the container's as one of ours; any other as it is. */
export function bindingError(error: unknown): unknown {
  if (!(error instanceof Error) || !(OF_CONTAINER in error)) return error;
  const [first = ""] = error.message.replaceAll(SYMBOL, "$1").split("\n");
  const remedy = first.startsWith("Circular")
    ? "break the circle between the bindings"
    : "bind it in a module of the description, or in the container above";
  return new CompositionError("bad-binding", `the machine's parts don't fit: ${first.replace(/\.$/, "")}: ${remedy}`, { cause: error });
}
