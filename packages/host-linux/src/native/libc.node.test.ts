/** What a signal that comes in between does to a call. */
import { constants } from "node:os";
import { expect, test, vi } from "vitest";

const interrupted = vi.hoisted(() => ({ calls: [] as string[], times: 1 }));
vi.mock("koffi", () => ({
  default: {
    load: () => ({
      func: (signature: string) => () => {
        interrupted.calls.push(/(\w+)\(/.exec(signature)?.[1] ?? "");
        return interrupted.times-- > 0 ? -1 : 0;
      },
    }),
    errno: () => constants.errno.EINTR,
  },
}));

test("a call that a signal interrupts is made again, but close, which has closed, and poll, whose time has passed", async () => {
  const { tryCall } = await import("./libc.ts");
  for (const name of ["read", "close", "poll"] as const) {
    interrupted.times = 1;
    tryCall(name);
  }
  expect(interrupted.calls).toEqual(["read", "read", "close", "poll"]);
});
