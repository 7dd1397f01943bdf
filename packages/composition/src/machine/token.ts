/** Typed names of services: the container's `get` answers what the token says. @module */
import type { ServiceIdentifier } from "inversify";

/** Names a service. */
export function token<T>(name: string): ServiceIdentifier<T> {
  return Symbol.for(`@virtspace/composition/${name}`);
}
