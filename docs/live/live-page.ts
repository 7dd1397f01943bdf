/** The live page: a machine in the visitor's browser, drawn while it runs, stands still, or goes step by step. @module */
import type { Direction } from "@virtspace/network";
import type { FlatRange, Region } from "@virtspace/virt-address-space";
// The engine travels in the page, which then needs no server, not even for files.
import wasm from "v86/build/v86.wasm";
import { frameText } from "./frame-text.ts";
import { LiveMachine } from "./live-machine.ts";
import { MapDrawing } from "./map-drawing.ts";
import { RingDrawing, readRing } from "./ring-drawing.ts";

const MOST_FRAMES = 200;
const MOST_CONSOLE = 8000;
const SLOW_MILLISECONDS = 350;

type Mode = "slow" | "fast" | "still";

/** @throws where the page lacks a part */
function part<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found as E;
}

const screen = part("console");
const frames = part<HTMLOListElement>("frames");
const log = part<HTMLOListElement>("log");
const state = part("state");
const total = part("total");
const buttons = { slow: part<HTMLButtonElement>("slow"), fast: part<HTMLButtonElement>("fast"), still: part<HTMLButtonElement>("pause") };
const map = new MapDrawing(part("map"), part("holders"), part("generation"), (region) => void unmap(region));
const rings = ["receive", "transmit"].map((name) => new RingDrawing(name));
part("rings").append(...rings.map(({ element }) => element));

let machine: LiveMachine | undefined;
let mode: Mode = "slow";
let ended = "";
let wire = 0;
let stepping = false;
const waiting: { readonly text: string; readonly direction: Direction; readonly length: number; readonly number: number }[] = [];
let said = "";

function say(text: string): void {
  const item = document.createElement("li");
  item.textContent = text;
  log.prepend(item);
  while (log.children.length > MOST_FRAMES) log.lastChild?.remove();
}

/** A listener that joins is told of what is there; after that of each change, while the old view still stands. */
const told =
  (what: string) =>
  ({ region }: FlatRange): void =>
    say(
      machine === undefined
        ? `at the start: ${region.name} is there`
        : `generation ${machine.memory.view().generation + 1}: ${region.name} was ${what}`,
    );

async function start(): Promise<void> {
  const old = machine;
  machine = undefined;
  await old?.[Symbol.asyncDispose]();
  [ended, wire, said] = ["", 0, ""];
  waiting.length = 0;
  for (const list of [frames, log]) list.replaceChildren();
  machine = await LiveMachine.create({
    wasm,
    onConsole: (byte) => {
      said = (said + String.fromCharCode(byte)).slice(-MOST_CONSOLE);
    },
    witness: {
      addInterface: () => 0,
      frame: (_number, frame, direction) => {
        wire++;
        const head = new Uint8Array(Math.min(frame.length, 342));
        for (let piece = 0, at = 0; piece < frame.pieces && at < head.length; piece++) {
          const { bytes } = frame.memory(piece);
          const some = bytes.subarray(frame.offset(piece), frame.offset(piece) + Math.min(frame.size(piece), head.length - at));
          head.set(some, at);
          at += some.length;
        }
        waiting.push({ text: frameText(head), direction, length: frame.length, number: wire });
        if (waiting.length > MOST_FRAMES) waiting.shift();
      },
    },
    listener: { name: "the page", added: told("mapped"), removed: told("unmapped") },
    onEnd: (why) => {
      ended = why;
      say(why);
    },
  });
  setMode(mode);
}

function setMode(next: Mode): void {
  mode = next;
  for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", `${name === mode}`);
  if (machine === undefined || machine.vm.status === "ended") return;
  if (mode === "fast") machine.vm.run();
  else if (machine.vm.status === "running" && !stepping) void machine.vm.pause();
}

async function step(): Promise<void> {
  const { vm } = machine ?? {};
  if (machine === undefined || stepping || vm?.status === "ended" || vm?.status === "running") return;
  stepping = true;
  try {
    await machine.step(() => wire);
  } finally {
    stepping = false;
  }
}

async function unmap(region: Region): Promise<void> {
  await machine?.unmap(region);
}

/** Draws, and again when at least as long as that took was left to the machine: on a slow screen the guest must not starve. */
function draw(): void {
  const began = performance.now();
  if (machine !== undefined) {
    const { memory, transport, vm } = machine;
    map.show(memory);
    rings.forEach((drawing, index) => {
      const queue = transport.runner.queue(index);
      drawing.show(queue === undefined ? undefined : readRing(memory, queue));
    });
    state.textContent = ended !== "" ? ended : vm.status === "running" || mode === "slow" ? "running" : "standing still";
    state.dataset["mode"] = mode;
    if (screen.textContent !== said) {
      screen.textContent = said;
      screen.scrollTop = screen.scrollHeight;
    }
    total.textContent = `${wire}`;
    for (const { text, direction, length, number } of waiting.splice(0)) {
      const item = document.createElement("li");
      item.className = direction;
      item.value = number;
      item.textContent = `${direction === "sent" ? "guest →" : "→ guest"}  ${text}, ${length} bytes`;
      frames.prepend(item);
    }
    while (frames.children.length > MOST_FRAMES) frames.lastChild?.remove();
  }
  setTimeout(() => requestAnimationFrame(draw), performance.now() - began);
}

buttons.slow.addEventListener("click", () => setMode("slow"));
buttons.fast.addEventListener("click", () => setMode("fast"));
buttons.still.addEventListener("click", () => setMode("still"));
part("step").addEventListener("click", () => {
  setMode("still");
  void step();
});
part("again").addEventListener("click", () => void start());
setInterval(() => {
  if (mode === "slow") void step();
}, SLOW_MILLISECONDS);
requestAnimationFrame(draw);
void start().catch((error: unknown) => {
  state.textContent = error instanceof Error ? error.message : String(error);
});
