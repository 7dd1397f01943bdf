/** The command line: what it takes, what it says, how it ends. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UnixListener, UnixSocket } from "@virtspace/host-linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Trial } from "./command-scenarios.ts";
import { Exit } from "./index.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "virtspace-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  [["--help"], Exit.Ok, "serve"],
  [["--version"], Exit.Ok, "."],
  [["serve", "net", "--help"], Exit.Ok, "qemu-system-x86_64"],
  [["serve", "net", "--help"], Exit.Ok, 'choices: "drop", "wait", "pace", default: "pace"'],
])("%j explains", async (args, code, text) => {
  const trial = new Trial();
  expect([await trial.run(...args), trial.out.includes(text), trial.err]).toEqual([code, true, ""]);
});

test.each([
  [["serve", "net"], "--socket"],
  [["serve", "disk", "-s", "/tmp/x"], "there is no file disk"],
  [["serve", "net", "-s", "/tmp/x", "--queues", "0"], "1 to 128"],
  [["serve", "net", "-s", "/tmp/x", "--mtu", "many"], "68 to 65535"],
  [["serve", "net", "-s", "/tmp/x", "--poll-us", "-1"], "0 to 1000000"],
  [["serve", "net", "-s", "/tmp/x", "--when-full", "never"], "drop, wait, pace"],
  [["serve", "net", "-s", "/tmp/x", "--backend", "tap:"], "tap:NAME"],
  [["serve", "net", "-s", "/tmp/x", "--backend", "listen:"], "listen:PATH"],
  [["serve", "net", "-s", "/tmp/x", "--backend", "wire"], "switch, loopback"],
  [["serve", "net", "-s", "/tmp/x", "--backend", "dgram:/tmp/y:"], "dgram:LOCAL:REMOTE"],
  [["serve", "net", "-s", "/tmp/x", "--backend", "loopback", "--gateway", "10.0.2.2"], "--backend switch"],
  [["serve", "net", "-s", "/tmp/x", "--gateway", "10.0.2"], "10.0.2.2"],
])("%j makes no sense, and it says why", async (args, text) => {
  const trial = new Trial();
  expect([await trial.run(...args), trial.err.includes(text)]).toEqual([Exit.Usage, true]);
});

test("what can't be had ends it with what to do, and leaves nothing behind", async () => {
  const path = join(folder, "net");
  using listener = UnixListener.listen(path);
  const trial = new Trial();
  expect([await trial.run("serve", "net", "--socket", path), trial.err.includes("somebody listens at")]).toEqual([Exit.Failed, true]);
  const other = new Trial();
  const args = ["--backend", `stream:${join(folder, "nobody")}`, "--socket", join(folder, "other")];
  const nobody = `error: nobody listens at ${join(folder, "nobody")} (ENOENT): start the other side first\n`;
  expect([await other.run("serve", "net", ...args), other.err]).toEqual([Exit.Failed, nobody]);
  expect(() => statSync(join(folder, "other"))).toThrow();
  expect(statSync(listener.path).isSocket()).toBe(true);
});

test("a folder that is not there is named", async () => {
  const trial = new Trial();
  const path = join(folder, "none", "net");
  expect(await trial.run("serve", "net", "--socket", path)).toBe(Exit.Failed);
  expect(trial.err).toBe(`error: there is no folder ${join(folder, "none")} for the socket (ENOENT): make it first\n`);
});

test("a capture that can't be written ends it before it serves", async () => {
  const path = join(folder, "net");
  const trial = new Trial();
  const code = await trial.run("serve", "net", "--socket", path, "--pcap", join(folder, "none", "pcap"));
  expect([code, trial.err.split("\n").length, trial.out]).toEqual([Exit.Failed, 2, ""]);
  expect(trial.err).toContain("ENOENT");
  expect(() => statSync(path)).toThrow();
});

describe("a capture in a FIFO", () => {
  let fifo: string;
  beforeEach(() => {
    fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
  });

  test("that nobody reads ends it before it serves", async () => {
    const trial = new Trial();
    const code = await trial.run("serve", "net", "--socket", join(folder, "net"), "--pcap", fifo);
    expect([code, trial.err]).toEqual([Exit.Failed, `error: nobody reads the FIFO ${fifo} (ENXIO): start its reader first\n`]);
  });

  test("goes to its reader while it serves", async () => {
    const reader = spawn("head", ["-c", "4", fifo], { timeout: 20_000, killSignal: "SIGKILL" });
    const writer = openSync(fifo, "w");
    const trial = new Trial();
    const done = trial.run("serve", "net", "--socket", join(folder, "net"), "--pcap", fifo);
    closeSync(writer);
    const [[magic]] = await Promise.all([once(reader.stdout, "data") as Promise<[Buffer]>, once(reader, "close")]);
    expect(magic.readUInt32LE(0)).toBe(0x0a0d0d0a);
    await trial.said("listening");
    trial.stop.abort();
    expect([await done, trial.err]).toEqual([Exit.Ok, ""]);
  });
});

describe("signals", () => {
  const serve = async (...args: string[]): Promise<ChildProcessWithoutNullStreams> => {
    const main = join(import.meta.dirname, "main.ts");
    const program = spawn(process.execPath, [main, "serve", "net", "--socket", join(folder, "net"), ...args], {
      timeout: 25_000,
      killSignal: "SIGKILL",
    });
    await once(program.stdout, "data");
    return program;
  };

  test("that a package runner passes on beside the terminal's are one", async () => {
    const program = await serve();
    const closed = once(program, "close");
    for (let i = 0; i < 20; i++) {
      program.kill("SIGINT");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(await closed).toEqual([Exit.Ok, null]);
  });

  test("another one, later, ends what waits for somebody else at once", async () => {
    const fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    const full = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    expect(() => {
      for (;;) writeSync(full, Buffer.alloc(4096));
    }).toThrow("EAGAIN");
    const program = await serve("--pcap", fifo);
    const closed = once(program, "close");
    program.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(program.exitCode).toBe(null);
    program.kill("SIGTERM");
    expect(await closed).toEqual([128 + 15, null]);
    closeSync(full);
  });
});

test("a network that is made halfway is taken down, and does not keep the process", async () => {
  const trial = new Trial();
  const local = join(folder, "local");
  const args = ["--backend", `dgram:${local}:${join(folder, "remote")}`, "--gateway", "10.0.2", "--socket", join(folder, "net")];
  expect(await trial.run("serve", "net", ...args)).toBe(Exit.Usage);
  expect(() => statSync(local)).toThrow();
});

describe("while it serves", () => {
  test("it says who joins and leaves, and ends cleanly when it is told to", async () => {
    const path = join(folder, "net");
    const trial = new Trial();
    const done = trial.run("serve", "net", "--socket", path, "--pcap", join(folder, "pcap"));
    await trial.said(`listening at ${path} (switch)`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const front = UnixSocket.connect(path);
    await trial.said(`guest 1 joined at ${path} (process ${process.pid})`);
    front[Symbol.dispose]();
    await trial.said("guest 1 left");
    trial.stop.abort();
    expect([await done, trial.err]).toEqual([Exit.Ok, ""]);
    expect(() => statSync(path)).toThrow();
    expect(readFileSync(join(folder, "pcap")).readUInt32LE(0)).toBe(0x0a0d0d0a);
  });

  // util-linux's script gives it a terminal.
  test.skipIf(spawnSync("script", ["-V"]).status !== 0)(
    "a terminal shows each guest's counters anew, and a Ctrl-C there ends it cleanly",
    async () => {
      const path = join(folder, "net");
      // Without exec, some shells die of the signal themselves and hide the program's status.
      const command = [
        "stty rows 24 cols 100; exec",
        process.execPath,
        join(import.meta.dirname, "main.ts"),
        "serve",
        "net",
        "--socket",
        path,
      ];
      const terminal = spawn("script", ["-qec", command.join(" "), "/dev/null"], { timeout: 25_000, killSignal: "SIGKILL" });
      let screen = "";
      let front: UnixSocket | undefined;
      let interrupted = false;
      terminal.stdout.on("data", (data) => {
        screen += data;
        if (screen.includes("no guest yet")) front ??= UnixSocket.connect(path);
        if (!interrupted && /guest 1( +0){4}\s/.test(screen)) interrupted = terminal.stdin.write("\x03");
      });
      const [status] = await once(terminal, "close");
      front?.[Symbol.dispose]();
      expect(screen).toMatch(/guest 1 joined at .* \(process \d+\)/);
      // What was there is erased: the line above is gone to, and the table drawn in its place.
      const erased = screen.slice(screen.indexOf("no guest yet")).split("\x1b[2K\x1b[1A\x1b[2K");
      expect(erased[1]).toMatch(/guest +frames\/s +sent +received +drops\s+guest 1( +0){4}\s/);
      expect(screen).toContain("stopping: 1 guest is connected");
      expect(status).toBe(Exit.Ok);
      expect(() => statSync(path)).toThrow();
    },
  );

  test.skipIf(spawnSync("script", ["-V"]).status !== 0)(
    "a terminal without a size gets lines, and nothing that is drawn anew",
    async () => {
      const path = join(folder, "net");
      const command = [
        "stty rows 0 cols 0; exec",
        process.execPath,
        join(import.meta.dirname, "main.ts"),
        "serve",
        "net",
        "--socket",
        path,
      ];
      const terminal = spawn("script", ["-qec", command.join(" "), "/dev/null"], { timeout: 25_000, killSignal: "SIGKILL" });
      let screen = "";
      let front: UnixSocket | undefined;
      terminal.stdout.on("data", (data) => {
        screen += data;
        if (screen.includes("listening at")) front ??= UnixSocket.connect(path);
        if (screen.includes("guest 1 joined")) setTimeout(() => terminal.stdin.write("\x03"), 1500);
      });
      const [status] = await once(terminal, "close");
      front?.[Symbol.dispose]();
      expect([status, screen.includes("\x1b"), screen.includes("no guest yet")]).toEqual([Exit.Ok, false, false]);
    },
  );

  test("programs get an object a line", async () => {
    const path = join(folder, "net");
    const trial = new Trial();
    const done = trial.run("serve", "net", "--socket", path, "--json");
    await trial.said('"ready"');
    const front = UnixSocket.connect(path);
    await trial.said('"join"');
    front.send(Uint8Array.from([99, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    await trial.said('"leave"');
    await trial.said('"event":"counters"');
    front[Symbol.dispose]();
    trial.stop.abort();
    await done;
    const said = trial.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; time: string; guest?: string; error?: string });
    expect(said.map(({ event }) => event)).toEqual(expect.arrayContaining(["ready", "join", "log", "leave", "counters", "stop"]));
    expect(said.find(({ event }) => event === "leave")).toMatchObject({ time: "1970-01-01T00:00:00.000Z", guest: "guest 1" });
  });
});
