/** The sixteen bytes by which two sides wake each other. @module */

/** At its start. */
export const SHM_SIGNAL_MAGIC = 0x58fa_39df;
/** Behind it. */
export const SHM_SIGNAL_VERSION = 1;
/** Bytes. */
export const SHM_SIGNAL_SIZE = 16;

/** Offsets; each side has three bytes of its own. */
export const ShmSignalOffset = { magic: 0, version: 4, north: 8, south: 11 } as const;
/** Offsets within a side. */
export const SideOffset = { enabled: 0, pending: 1, dirty: 2 } as const;

/** Whose side: north owns the memory (the guest), south is the host. */
export type Locale = "north" | "south";

/** The other side. */
export function oppositeOf(locale: Locale): Locale {
  return locale === "north" ? "south" : "north";
}
