/** The sixteen bytes by which two sides wake each other. @module */

/** At its start. */
export const SHM_SIGNAL_MAGIC = 0x58fa_39df;
/** Behind it. */
export const SHM_SIGNAL_VERSION = 1;
/** Bytes. */
export const SHM_SIGNAL_SIZE = 16;

/** Offsets; each side has three bytes of its own. */
export const ShmSignalOffset: {
  /** The magic number, 32 bits. */
  readonly magic: number;
  /** The version, 32 bits. */
  readonly version: number;
  /** The north's three bytes. */
  readonly north: number;
  /** The south's. */
  readonly south: number;
} = { magic: 0, version: 4, north: 8, south: 11 };
/** Offsets within a side. */
export const SideOffset: {
  /** Whether it wants to be woken. */
  readonly enabled: number;
  /** Whether it is being woken. */
  readonly pending: number;
  /** Whether there is news. */
  readonly dirty: number;
} = { enabled: 0, pending: 1, dirty: 2 };

/** Whose side: north owns the memory (the guest), south is the host. */
export type Locale = "north" | "south";

/** The other side. */
export function oppositeOf(locale: Locale): Locale {
  return locale === "north" ? "south" : "north";
}
