/**
 * The same work of the same two Debian guests over several paths: our switch, QEMU's own cards with datagrams between them, and a
 * back-end in C, DPDK's testpmd. Each guest has a card on each; the paths take turns, in short phases, and a ratio is one of
 * neighbours. The guests' processors are emulated, which costs most of the machine whatever carries their frames.
 *
 * The back-end in C copies frames from one card to the other and looks at nothing. It polls: it takes a processor for itself, and
 * is stopped when it is not its turn. It is held against our switch when that polls too, as far as it does.
 */
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { type Row, report } from "../../../../.config/bench/measure.ts";
import { processorShares } from "../../../../.config/bench/processor-share.ts";
import { Guest } from "../../../../.config/guest/guest.ts";
import { guestImage } from "../../../../.config/guest/guest-image.ts";
import { HelperProgram, isInstalled } from "../../../../.config/guest/helper-program.ts";
import type { Nic } from "../../../../.config/guest/nic.ts";
import { frames, type GuestLink, linkUp, offloads, roundTrip, stream } from "../../../../.config/guest/traffic.ts";
import { card, Sockets } from "./served-scenarios.ts";

const TITLE = "Two Linux guests";
/** Rounds begin so long, in milliseconds: seven or eight on an idle machine. */
const ROUNDS_FOR = 170_000;
const LIFETIME = 280_000;
/** How long ours looks for more where it polls: longer than a guest takes to answer. */
const POLL_MICROSECONDS = 500;
const MAIN = join(import.meta.dirname, "../main.ts");

/** What is compared. */
const KINDS = {
  frames: { what: "frames of 60 bytes a second", isTime: false, format: (value: number) => `${(value / 1000).toFixed(1)} k/s` },
  stream: { what: "bytes a second by TCP", isTime: false, format: (value: number) => `${(value / 1e6).toFixed(1)} MB/s` },
  roundTrip: { what: "there and back of a ping, processors awake", isTime: true, format: (value: number) => `${value.toFixed(3)} ms` },
} as const;
type Kind = keyof typeof KINDS;

/** What carries frames between the guests. */
interface Path {
  readonly name: string;
  /** The card of the guest 1 or 2. */
  readonly nic: (guest: number) => Nic;
  readonly program?: HelperProgram;
  /** Whether it uses a processor without traffic. */
  readonly polls?: boolean;
  /** Which of ours is held against it. */
  readonly against?: Path;
  /** How many times its figure ours must have: at least, or of a time at most. */
  readonly targets?: Readonly<Record<Kind, number>>;
  readonly samples: Sample[];
}

/** A phase of each kind. */
interface Sample extends Readonly<Record<Kind, number>> {
  /** Of one processor, while frames were sent: sender, receiver, the path's program, everything else. */
  readonly shares: readonly number[];
}

async function switchOfOurs(sockets: Sockets, name: string, ...options: string[]): Promise<Path> {
  const socket = sockets.at(`net-${options.length}`);
  const command = [process.execPath, MAIN, "serve", "net", "--json", "--socket", socket, ...options];
  const program = await HelperProgram.start(command, LIFETIME, () => existsSync(socket));
  return { name, nic: (guest) => card(socket, guest), program, samples: [] };
}

function datagrams(sockets: Sockets, against: Path): Path {
  const nic = (guest: number): Nic => ({
    ...card("", guest),
    backend: { kind: "dgram", local: sockets.at(`datagrams-${guest}`), remote: sockets.at(`datagrams-${3 - guest}`) },
  });
  return { name: "QEMU's own cards", nic, against, targets: { frames: 3, stream: 3, roundTrip: 1 }, samples: [] };
}

/** With legacy flags it passes offloads on as they came, else it would compute each checksum; with a period it needs no console. */
async function backEndInC(sockets: Sockets, against: Path): Promise<Path> {
  const at = (guest: number): string => sockets.at(`c-${guest}`);
  const vhost = (guest: number): string[] => ["--vdev", `net_vhost${guest},iface=${at(guest)},queues=1,tso=1,legacy-ol-flags=1`];
  const machine = ["--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf", "--lcores", "0@(0-1),1@(0-1)"];
  const work = ["--auto-start", "--forward-mode=io", "--total-num-mbufs=8192", "--stats-period=10"];
  const command = ["dpdk-testpmd", ...machine, ...vhost(1), ...vhost(2), "--", ...work];
  const program = await HelperProgram.start(command, LIFETIME, () => existsSync(at(1)) && existsSync(at(2)));
  const targets = { frames: 0.9, stream: 0.9, roundTrip: 1.1 };
  return { name: "testpmd", nic: (guest) => card(at(guest), guest), program, polls: true, against, targets, samples: [] };
}

/**
 * Programs that keep every processor awake and yield to all others. Pings leave processors idle, and in a virtual machine it takes up
 * to milliseconds until one wakes: that is no part of any path, and one that polls would be spared it.
 */
function awakeners(): Promise<HelperProgram[]> {
  const spin = (_: unknown, processor: number): string[] => [
    "taskset",
    "-c",
    `${processor}`,
    "chrt",
    "-i",
    "0",
    "sh",
    "-c",
    "while :; do :; done",
  ];
  return Promise.all(
    cpus()
      .map(spin)
      .map((command) => HelperProgram.start(command, LIFETIME)),
  );
}

async function phases(path: Path, link: GuestLink, awake: readonly HelperProgram[]): Promise<Sample> {
  const programs = path.program === undefined ? [] : [path.program.pid];
  if (path.polls === true) path.program?.resume();
  for (const program of awake) program.resume();
  const ping = await roundTrip(link);
  for (const program of awake) program.pause();
  const bytes = await stream(link);
  const shares = processorShares([link.from.pid as number, link.to.pid as number, ...programs]);
  const sample = { roundTrip: ping, stream: bytes, frames: await frames(link), shares: shares() };
  if (path.polls === true) path.program?.pause();
  return sample;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

const medianOf = (samples: readonly Sample[], kind: Kind): number => median(samples.map((sample) => sample[kind]));

/** Ours against another's, round by round. */
function ratioRow(kind: Kind, ours: Path, { name, targets, samples }: Path): Row {
  const ratios = ours.samples.map((sample, i) => sample[kind] / (samples[i] as Sample)[kind]);
  const ratio = median(ratios);
  const target = targets?.[kind] as number;
  const { format, isTime } = KINDS[kind];
  return {
    what: `… over ${name}`,
    median: format(medianOf(samples, kind)),
    ratio: `${ours.name} ${ratio.toFixed(2)}x (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
    target: `at ${isTime ? "most" : "least"} ${target}x`,
    met: (isTime ? ratio <= target : ratio >= target) ? "yes" : "NO",
  };
}

function rowsOf(kind: Kind, paths: readonly Path[]): Row[] {
  const { what, format } = KINDS[kind];
  return paths.map((path) =>
    path.against === undefined
      ? { what: `${what}, over ${path.name}`, median: format(medianOf(path.samples, kind)) }
      : ratioRow(kind, path.against, path),
  );
}

/** Whether others used so much of the machine that the ratios say nothing: on a busy one QEMU's own cards lose most, up to fivefold. */
function isDisturbed(paths: readonly Path[]): boolean {
  return paths.some(({ samples }) => median(samples.map(({ shares }) => shares.at(-1) as number)) > 0.2);
}

/** What limits the frames. */
function sharesRow({ name, program, samples }: Path): Row {
  const who = ["sender", "receiver", ...(program === undefined ? [] : ["the program between"]), "all else"];
  const shares = who.map((_, i) => median(samples.map((sample) => sample.shares[i] as number)).toFixed(2));
  return { what: `processors used while frames come over ${name}: ${who.join(", ")}`, median: shares.join(", ") };
}

async function pathsOf(sockets: Sockets): Promise<readonly Path[]> {
  const ours = await switchOfOurs(sockets, "our switch");
  const polling = await switchOfOurs(sockets, "ours that polls", "--poll-us", `${POLL_MICROSECONDS}`);
  const paths = [ours, datagrams(sockets, ours), polling];
  try {
    if (!isInstalled("dpdk-testpmd")) throw new Error("it is not installed: `apt-get install dpdk-dev`");
    paths.push(await backEndInC(sockets, polling));
  } catch (error) {
    console.log(`\nNot compared with dpdk-testpmd, a back-end in C: ${(error as Error).message}`);
  }
  return paths;
}

async function bench(): Promise<void> {
  using sockets = new Sockets();
  await using stack = new AsyncDisposableStack();
  const paths = await pathsOf(sockets);
  for (const { program } of paths) if (program !== undefined) stack.use(program);
  const start = (guest: number): Promise<Guest> => Guest.start({ nics: paths.map(({ nic }) => nic(guest)), lifetime: LIFETIME });
  const awake = await awakeners();
  for (const program of awake) stack.use(program).pause();
  const from = stack.use(await start(1));
  const to = stack.use(await start(2));
  const links = paths.map((_, number): GuestLink => ({ from, to, number }));
  for (const link of links) await linkUp(link);
  for (const { polls, program } of paths) if (polls === true) program?.pause();
  for (const end = performance.now() + ROUNDS_FOR; performance.now() < end; ) {
    for (const [i, path] of paths.entries()) path.samples.push(await phases(path, links[i] as GuestLink, awake));
  }
  if (isDisturbed(paths)) console.log("\nThe machine was busy with something else: take these figures again on an idle one.");
  const offloaded = await Promise.all(links.map(offloads));
  report(TITLE, [
    ...(Object.keys(KINDS) as Kind[]).flatMap((kind) => rowsOf(kind, paths)),
    ...paths.map(sharesRow),
    ...paths.map(({ name }, i) => ({ what: `a guest leaves to its card over ${name}`, median: offloaded[i] as string })),
  ]);
}

const reason = isInstalled("qemu-system-x86_64")
  ? await guestImage().then(
      () => undefined,
      (error: Error) => error.message,
    )
  : "there is no QEMU here; `npx -y pnpm@12 test:guest` gets it";
if (reason === undefined) await bench();
else console.log(`\n### ${TITLE}\n\nNot measured: ${reason}`);
process.exit();
