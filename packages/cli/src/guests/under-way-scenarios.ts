/**
 * Traffic that goes on until a test has it end, so that whatever the test does meanwhile it does under traffic, and that is seen: the
 * receiver counts before and after.
 */
import { createHash } from "node:crypto";
import type { Guest } from "../../../../.config/guest/guest.ts";

/** A block is these numbers, a line each, after a line with its own: no two places of a stream are alike. */
const LINES = 150_000;
/** More than all else that comes in meanwhile. */
const STREAMED = 1_000_000;
/** Ten pings. */
const PINGED = 980;

/** Waits until a guest's card has received some bytes more. */
async function receives(guest: Guest, bytes: number): Promise<void> {
  const script = [
    "cd /sys/class/net/eth0/statistics; before=$(cat rx_bytes)",
    `for i in $(seq 300); do [ $(($(cat rx_bytes) - before)) -ge ${bytes} ] && exit; sleep 0.1; done`,
    `echo "$(($(cat rx_bytes) - before)) bytes came in 30 s"; exit 1`,
  ];
  await guest.check(script.join("\n"), { timeout: 60_000 });
}

/** One TCP connection from a guest to another, which is never idle. */
export class Stream {
  readonly #to: Guest;

  private constructor(to: Guest) {
    this.#to = to;
  }

  /** @param pause - seconds after each megabyte: a guest that writes more memory than a migration copies never moves */
  static async start(from: Guest, to: Guest, target: string, pause = 0): Promise<Stream> {
    await to.check("nc -l -p 7 -e sha256sum >/tmp/nc 2>&1 & sleep 0.3");
    const script = [
      `seq ${LINES} >/tmp/block`,
      "blocks() {",
      "  n=0",
      `  while [ ! -e /tmp/stop ]; do echo "block $n"; cat /tmp/block; n=$((n + 1)); sleep ${pause}; done`,
      "  echo $n >/tmp/blocks",
      "}",
      `(blocks | nc ${target} 7 >/tmp/sum; echo done >>/tmp/sum) &`,
    ];
    await from.check(script.join("\n"));
    return new Stream(to);
  }

  /** Does something while it flows: it did before, and does so after. */
  async during<T>(event: () => Promise<T>): Promise<T> {
    await receives(this.#to, STREAMED);
    const result = await event();
    await receives(this.#to, STREAMED);
    return result;
  }

  /** Ends it; what arrived is what was sent. @param from - the sender, who may have moved */
  async end(from: Guest): Promise<void> {
    const script = "touch /tmp/stop; while ! grep -q done /tmp/sum; do sleep 0.1; done; cat /tmp/blocks /tmp/sum";
    const [, blocks, sum] = /^(\d+)\n([0-9a-f]{64}) /.exec(await from.check(script, { timeout: 60_000 })) ?? [];
    const block = Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join("");
    const hash = createHash("sha256");
    for (let n = 0; n < Number(blocks); n++) hash.update(`block ${n}\n`).update(block);
    if (sum !== hash.digest("hex")) throw new Error(`${blocks} blocks were sent, and what arrived is something else: ${sum}`);
  }
}

/** What became of pings. */
export interface PingsEnd {
  readonly received: number;
  /** Not answered, of those before the last that was: later ones may still have been on their way. */
  readonly lost: number;
  /** Answers to what had been answered. */
  readonly again: number;
}

/** Pings of a guest, one after the other. */
export class Pings {
  readonly #from: Guest;

  private constructor(from: Guest) {
    this.#from = from;
  }

  /** @param interval - seconds */
  static async start(from: Guest, target: string, interval: number): Promise<Pings> {
    await from.check(`ping -i ${interval} ${target} >/tmp/ping 2>&1 & echo $! >/tmp/pinger`);
    return new Pings(from);
  }

  /** They are sent and answered. Nothing else comes to this guest meanwhile. */
  flow(): Promise<void> {
    return receives(this.#from, PINGED);
  }

  /** Does something while they flow: they did before, and do so after. */
  async during<T>(event: () => Promise<T>): Promise<T> {
    await this.flow();
    const result = await event();
    await this.flow();
    return result;
  }

  /** Ends them. @param from - the sender, who may have moved */
  async end(from: Guest = this.#from): Promise<PingsEnd> {
    const script = "pinger=$(cat /tmp/pinger); kill -INT $pinger; while kill -0 $pinger 2>/dev/null; do sleep 0.1; done; cat /tmp/ping";
    const lines = (await from.check(script)).split("\n").filter((line) => line.includes(" seq="));
    const answers = lines.filter((line) => !line.includes("DUP!")).map((line) => Number(/ seq=(\d+)/.exec(line)?.[1]));
    const received = new Set(answers).size;
    return { received, lost: Math.max(...answers) + 1 - received, again: lines.length - received };
  }
}
