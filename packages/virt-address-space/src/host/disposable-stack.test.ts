/** Each stack of the host's does what the stand-in does, and the other way round. */
import { describe, expect, test } from "vitest";
import { AsyncStandInStack, StandInStack } from "./disposable-stack.ts";

const native = globalThis as Partial<Pick<typeof globalThis, "DisposableStack" | "AsyncDisposableStack">>;

describe.each([
  ["the host's", native.DisposableStack],
  ["the stand-in", StandInStack],
])("%s", (_, Stack) => {
  test.skipIf(Stack === undefined)("gives back, the last first, once", () => {
    const log: string[] = [];
    const stack = new (Stack as DisposableStackConstructor)();
    expect(stack.use({ name: "one", [Symbol.dispose]: () => log.push("one") }).name).toBe("one");
    stack.use(undefined);
    stack.defer(() => log.push("two"));
    expect(stack.adopt("three", (name) => log.push(name))).toBe("three");
    stack.dispose();
    stack[Symbol.dispose]();
    expect([log, stack.disposed]).toEqual([["three", "two", "one"], true]);
    expect(() => stack.defer(() => {})).toThrow();
  });

  test.skipIf(Stack === undefined)("refuses what can't be given back, at once", () => {
    const stack = new (Stack as DisposableStackConstructor)();
    expect(() => stack.use({} as Disposable)).toThrow(TypeError);
    expect(() => stack.defer(3 as never)).toThrow(TypeError);
    stack.dispose();
  });

  test.skipIf(Stack === undefined)("moves what it has to another, and goes on past what throws", () => {
    const log: string[] = [];
    const stack = new (Stack as DisposableStackConstructor)();
    stack.defer(() => log.push("first"));
    stack.defer(() => {
      throw new Error("second");
    });
    stack.defer(() => {
      throw new Error("third");
    });
    const moved = stack.move();
    expect(stack.disposed).toBe(true);
    stack.dispose();
    expect(log).toEqual([]);
    let thrown: unknown;
    try {
      moved.dispose();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: "SuppressedError", error: { message: "second" }, suppressed: { message: "third" } });
    expect(log).toEqual(["first"]);
  });
});

describe.each([
  ["the host's, that waits", native.AsyncDisposableStack],
  ["the stand-in that waits", AsyncStandInStack],
])("%s", (_, Stack) => {
  test.skipIf(Stack === undefined)("gives back one after the other, whatever kind each is", async () => {
    const log: string[] = [];
    const stack = new (Stack as AsyncDisposableStackConstructor)();
    stack.use({ [Symbol.dispose]: () => log.push("one") });
    stack.use(null);
    stack.use({
      [Symbol.asyncDispose]: async () => {
        await Promise.resolve();
        log.push("two");
      },
    });
    stack.adopt("three", (name) => void log.push(name));
    const moved = stack.move();
    moved.defer(async () => {
      throw new Error("four");
    });
    expect(() => moved.use({} as Disposable)).toThrow(TypeError);
    await stack.disposeAsync();
    await expect(moved[Symbol.asyncDispose]()).rejects.toThrow("four");
    expect([log, moved.disposed]).toEqual([["three", "two", "one"], true]);
    expect(() => moved.defer(() => {})).toThrow();
  });
});
