/** The memory map, drawn from the space's flat view: a row a range, with what it takes to unmap it. @module */
import type { FlatRange, Region, VirtAddressSpace } from "@virtspace/virt-address-space";

const hex = (address: number): string => `0x${address.toString(16).padStart(8, "0")}`;

/** The map's drawing. */
export class MapDrawing {
  readonly #body: HTMLElement;
  readonly #holders: HTMLElement;
  readonly #generation: HTMLElement;
  readonly #onUnmap: (region: Region) => void;
  #drawn = -1;
  #bound = "";

  constructor(body: HTMLElement, holders: HTMLElement, generation: HTMLElement, onUnmap: (region: Region) => void) {
    this.#body = body;
    this.#holders = holders;
    this.#generation = generation;
    this.#onUnmap = onUnmap;
  }

  /** Draws it anew where it changed. */
  show(space: VirtAddressSpace): void {
    const { generation, ranges } = space.view();
    const bound = space.holders.join("\n");
    if (bound !== this.#bound) {
      this.#bound = bound;
      this.#holders.replaceChildren(...space.holders.map((name) => element("li", name)));
    }
    if (generation === this.#drawn) return;
    this.#drawn = generation;
    this.#generation.textContent = `${generation}`;
    this.#body.replaceChildren(...ranges.map((range) => this.#row(range)));
  }

  #row({ start, end, region }: FlatRange): HTMLElement {
    const row = element("tr");
    row.className = region.kind;
    row.dataset["region"] = region.name;
    const button = element("button", "unmap");
    button.setAttribute("aria-label", `unmap ${region.name}`);
    button.addEventListener("click", () => this.#onUnmap(region));
    const last = element("td");
    if (region.kind !== "io") last.append(button);
    row.append(element("td", `${hex(start)} – ${hex(end - 1)}`), element("td", region.kind), element("td", region.name), last);
    return row;
  }
}

function element(name: string, text = ""): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
