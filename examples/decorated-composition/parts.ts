/** What this program has injected beside the machine's own services: a token each, with its type. */
import type { NetworkBackend } from "@virtspace/network";
import type { ServiceIdentifier } from "inversify";

export const Part: {
  /** What the card is plugged into. */
  readonly Network: ServiceIdentifier<NetworkBackend>;
  /** The card's address. */
  readonly Mac: ServiceIdentifier<string>;
  /** Where lines go. */
  readonly Print: ServiceIdentifier<(line: string) => void>;
} = {
  Network: Symbol.for("example/network"),
  Mac: Symbol.for("example/mac"),
  Print: Symbol.for("example/print"),
};
