/** Text as firmware and kernels have it. @module */

/** A byte a character. */
export function asciiBytes(text: string): number[] {
  return Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) & 0xff);
}
