/** The network that guests are plugged into, as it is chosen on the command line. @module */
import { DatagramBackend, StreamBackend, StreamListener, TapBackend } from "@virtspace/host-linux";
import { captured, Gateway, LearningSwitch, Loopback, type NetworkBackend, Patch, type WhenFull } from "@virtspace/network";
import { AsyncDisposableStack } from "@virtspace/virt-address-space";
import { openCapture } from "../capture/capture-file.ts";

/** What was chosen. */
export interface BackendChoice {
  /** `switch`, `loopback`, `tap:NAME`, `stream:PATH`, `listen:PATH`, `dgram:LOCAL:REMOTE`. */
  readonly backend: string;
  /** What a switch does with a frame for a guest that has no room. */
  readonly whenFull: WhenFull;
  /** An address for a gateway of ours that answers ARP, ping, DHCP and UDP echo. */
  readonly gateway?: string | undefined;
  /** A file for a capture, or a FIFO that somebody reads. */
  readonly pcap?: string | undefined;
  /** Told when what the network leads to went away. */
  readonly onGone: (name: string) => void;
  /** Told where nobody who connects can be taken for now, and why. */
  readonly onFault: (name: string, cause: unknown) => void;
  /** Told at the end where the capture lacks frames. */
  readonly onSkipped: (file: string, frames: number) => void;
}

/** A network, made. Dispose it to take it down. */
export interface MadeBackend extends AsyncDisposable {
  readonly backend: NetworkBackend;
}

const LISTEN = "listen:";

/** What is wrong with a choice: for the command line to say. */
export class BackendChoiceError extends Error {
  override readonly name = "BackendChoiceError";
}

/**
 * Makes the network of a choice. A tap device or a socket is behind a switch, so that any number of guests share it.
 *
 * @throws {@link BackendChoiceError} for a choice that makes no sense; `HostLinuxError` for one that can't be had
 */
export function makeBackend(choice: BackendChoice): MadeBackend {
  const stack = new AsyncDisposableStack();
  try {
    const backend = assemble(choice, stack);
    return { backend, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    // An uplink that is open would keep the process, which has nothing to do any more.
    void stack.disposeAsync();
    throw error;
  }
}

function assemble(
  { backend: choice, whenFull, gateway, pcap, onGone, onFault, onSkipped }: BackendChoice,
  stack: AsyncDisposableStack,
): NetworkBackend {
  const network = choice === "loopback" ? new Loopback() : new LearningSwitch({ whenFull, now: () => performance.now() });
  if (choice.startsWith(LISTEN) && choice !== LISTEN) stack.use(listenerOf(network, choice, { onGone, onFault }));
  else {
    const beyond = uplink(choice, onGone);
    if (beyond !== undefined) stack.use(new Patch(network, beyond));
  }
  if (gateway !== undefined) {
    if (choice === "loopback") throw new BackendChoiceError("a loopback has no room for a gateway: choose --backend switch");
    stack.use(makeGateway(network, gateway));
  }
  return pcap === undefined ? network : captured(network, openCapture(pcap, stack, { onGone, onSkipped }));
}

function makeGateway(network: NetworkBackend, address: string): Gateway {
  try {
    return new Gateway(network, { address });
  } catch (cause) {
    throw new BackendChoiceError(`--gateway: ${(cause as Error).message}`, { cause });
  }
}

function listenerOf(network: NetworkBackend, choice: string, told: Pick<BackendChoice, "onGone" | "onFault">): StreamListener {
  return new StreamListener(network, choice.slice(LISTEN.length), {
    onGone: (peer) => told.onGone(`${choice} (peer ${peer})`),
    onFault: (cause) => told.onFault(choice, cause),
  });
}

function uplink(choice: string, onGone: (name: string) => void): NetworkBackend | undefined {
  const [kind, ...rest] = choice.split(":");
  const gone = { onGone: () => onGone(choice) };
  if ((kind === "switch" || kind === "loopback") && rest.length === 0) return undefined;
  if (kind === "tap" && rest.length === 1 && rest[0] !== "") return new TapBackend(rest[0] as string, gone);
  if (kind === "stream" && rest.length === 1 && rest[0] !== "") return new StreamBackend(rest[0] as string, gone);
  if (kind === "dgram" && rest.length === 2 && !rest.includes(""))
    return new DatagramBackend({ local: rest[0] as string, remote: rest[1] as string }, gone);
  throw new BackendChoiceError(
    `there is no backend "${choice}": choose switch, loopback, tap:NAME, stream:PATH, listen:PATH or dgram:LOCAL:REMOTE`,
  );
}
