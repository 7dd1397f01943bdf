/** What of a card moves with its guest. @module */

/** Events that are still to be told. */
export interface WaitingEvents {
  /** The link, where that is one of them. */
  readonly link?: boolean | undefined;
  /** The words of frames that went out, decimal. */
  readonly completed: readonly string[];
}

/** A connection: its rings stand in the guest's memory. */
export interface VenetState {
  /** Whether the guest put its link up. */
  readonly up: boolean;
  /** Groups of capabilities, and what of them was agreed upon. */
  readonly agreed: readonly (readonly [number, number])[];
  /** Where there is an event queue. */
  readonly events?: WaitingEvents | undefined;
}

/** @returns the state; undefined for what is none: it comes from a file */
export function requireVenetState(value: unknown): VenetState | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { up, agreed, events } = value as Partial<VenetState>;
  if (typeof up !== "boolean" || !Array.isArray(agreed)) return undefined;
  const pairs = agreed.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((word) => Number.isInteger(word)));
  if (!pairs || (events !== undefined && !areEvents(events))) return undefined;
  return { up, agreed, events };
}

function areEvents(value: unknown): value is WaitingEvents {
  if (typeof value !== "object" || value === null) return false;
  const { link, completed } = value as Partial<WaitingEvents>;
  if (link !== undefined && typeof link !== "boolean") return false;
  return Array.isArray(completed) && completed.every((word) => typeof word === "string" && /^\d{1,20}$/.test(word));
}
