/** Figures that a machine can't take: the last that were taken stay on the page, with their day. @module */

const NOT_TAKEN = /not measured: |no \/dev\/kvm here/;
const NOTE = /\n\nOf (\d{4}-\d\d-\d\d): [^\n]*$/;

/** A page's tables, by their headings. */
function sections(page: string): Map<string, string> {
  return new Map(
    page
      .split(/^(?=### )/m)
      .filter((section) => section.startsWith("### "))
      .map((section) => [section.slice(0, section.indexOf("\n")), section.trim()]),
  );
}

/**
 * Puts a page together.
 *
 * @param page - what was measured now
 * @param before - the page as it was, with the day on which it was taken
 */
export function keepFigures(page: string, before: string): string {
  const day = /Taken on (\d{4}-\d\d-\d\d)/.exec(before)?.[1];
  const old = sections(before);
  const all = [...sections(page)].map(([heading, section]) => {
    const last = old.get(heading);
    if (!NOT_TAKEN.test(section) || last === undefined || NOT_TAKEN.test(last)) return section;
    const taken = NOTE.exec(last)?.[1] ?? day;
    return `${last.replace(NOTE, "")}\n\nOf ${taken}: the machine of the other figures could not take all of these.`;
  });
  return all.join("\n\n");
}
