/** The page: boots a guest and shows what it says. */
// The engine's bytes travel in the page, which then needs no server.
import wasm from "v86/build/v86.wasm";
import { bootInPage } from "./machine.ts";

/** @throws where the page lacks it */
function part<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found as E;
}

const screen = part("console");
const holders = part("holders");
const pings = part("pings");
const state = part("state");
const again = part<HTMLButtonElement>("again");

async function run(): Promise<void> {
  again.disabled = true;
  screen.textContent = "";
  state.textContent = "runs";
  try {
    await using machine = await bootInPage(wasm, (byte) => screen.append(String.fromCharCode(byte)));
    holders.textContent = machine.holders.join(", ");
    const status = await machine.left;
    pings.textContent = `${machine.pings}`;
    state.textContent = `left with status ${status}`;
  } catch (error) {
    state.textContent = `failed: ${error instanceof Error ? error.message : String(error)}`;
    throw error;
  } finally {
    again.disabled = false;
  }
}

again.addEventListener("click", () => void run());
void run();
