/** A split virtqueue, drawn from the bytes in the guest's memory: its descriptors around, and how far driver and device are. @module */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { Virtqueue } from "@virtspace/virtio";

const SVG = "http://www.w3.org/2000/svg";
const DESCRIPTOR_BYTES = 16;
const [CENTRE, OUTER, INNER] = [100, 92, 62];

/** What stands in a ring. */
export interface RingPositions {
  /** What the driver has made available, counted from the start. */
  readonly available: number;
  /** What the device has used. */
  readonly used: number;
  /** Lengths of the descriptors, bytes. */
  readonly lengths: readonly number[];
  /** Descriptors that are posted and not used yet. */
  readonly posted: ReadonlySet<number>;
}

/** Reads a ring, as anybody who has the space may. @returns undefined where its memory is not there */
export function readRing(space: VirtAddressSpace, { size, rings }: Virtqueue): RingPositions | undefined {
  const at = (base: number, offset: number): never => (base + offset) as never;
  const available = space.readU16(at(rings.driver, 2));
  const used = space.readU16(at(rings.device, 2));
  if (available === undefined || used === undefined) return undefined;
  const lengths = Array.from({ length: size }, (_, i) => space.readU32(at(rings.descriptors, i * DESCRIPTOR_BYTES + 8)) ?? 0);
  const posted = new Set<number>();
  for (let i = used; i !== available && posted.size < size; i = (i + 1) & 0xffff)
    posted.add(space.readU16(at(rings.driver, 4 + 2 * (i % size))) ?? 0);
  return { available, used, lengths, posted };
}

/** One ring's drawing. */
export class RingDrawing {
  readonly element: SVGSVGElement = document.createElementNS(SVG, "svg");
  readonly #title = text(CENTRE, CENTRE - 14, "ring-name");
  readonly #available = text(CENTRE, CENTRE + 8, "ring-count");
  readonly #used = text(CENTRE, CENTRE + 28, "ring-count");
  #slots: SVGPathElement[] = [];

  constructor(name: string) {
    this.element.setAttribute("viewBox", "0 0 200 200");
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", `the ring ${name}`);
    this.element.dataset["ring"] = name;
    this.#title.textContent = name;
    this.element.append(this.#title, this.#available, this.#used);
  }

  /** Shows where a ring stands; undefined for one that is not there. */
  show(positions: RingPositions | undefined): void {
    const { lengths = [], posted = new Set<number>(), available, used } = positions ?? {};
    if (this.#slots.length !== lengths.length) this.#make(lengths.length);
    this.element.classList.toggle("gone", positions === undefined);
    this.element.dataset["available"] = `${available ?? ""}`;
    this.element.dataset["used"] = `${used ?? ""}`;
    this.#available.textContent = available === undefined ? "not there" : `avail ${available}`;
    this.#used.textContent = used === undefined ? "" : `used ${used}`;
    this.#slots.forEach((slot, i) => {
      slot.classList.toggle("posted", posted.has(i));
      slot.classList.toggle("next", used !== undefined && used % lengths.length === i);
    });
  }

  #make(count: number): void {
    for (const slot of this.#slots) slot.remove();
    this.#slots = Array.from({ length: count }, (_, i) => {
      const slot = document.createElementNS(SVG, "path");
      slot.setAttribute("d", slice(i / count, (i + 1) / count - 0.006));
      this.element.prepend(slot);
      return slot;
    });
  }
}

function text(x: number, y: number, className: string): SVGTextElement {
  const element = document.createElementNS(SVG, "text");
  element.setAttribute("x", `${x}`);
  element.setAttribute("y", `${y}`);
  element.setAttribute("class", className);
  return element;
}

/** A piece of a ring, between two parts of the way around. */
function slice(from: number, to: number): string {
  const point = (part: number, radius: number): string => {
    const angle = 2 * Math.PI * (part - 0.25);
    return `${(CENTRE + radius * Math.cos(angle)).toFixed(2)} ${(CENTRE + radius * Math.sin(angle)).toFixed(2)}`;
  };
  return `M${point(from, OUTER)} A${OUTER} ${OUTER} 0 0 1 ${point(to, OUTER)} L${point(to, INNER)} A${INNER} ${INNER} 0 0 0 ${point(from, INNER)} Z`;
}
