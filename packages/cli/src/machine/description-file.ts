/** A machine's description, from the file that has it as its default export. @module */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CompositionError, type MachineDescription, requireDescription } from "@virtspace/composition";

/** @throws {@link CompositionError} `bad-description`; what the file throws when it is loaded */
export async function descriptionIn(file: string): Promise<MachineDescription> {
  const loaded = (await import(pathToFileURL(resolve(file)).href).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ERR_MODULE_NOT_FOUND" || !cause.message.includes(resolve(file))) throw cause;
    throw new CompositionError("bad-description", `there is no file ${file}`);
  })) as { readonly default?: unknown };
  if (loaded.default === undefined)
    throw new CompositionError("bad-description", `${file} has no default export: write export default defineMachine({ ... })`);
  return requireDescription(loaded.default);
}
