/** Waking a thread that is inside a call which a signal interrupts. @see tgkill(2), signal(7) @module */
import { pid } from "node:process";
import { call, tryCall, withoutEffect } from "../native/libc.ts";
import { NativeBlock } from "./native-block.ts";

/** A real-time signal that neither Node nor the C library uses. */
const SIGNAL = 38;
const SIGACTION_BYTES = 152;

/** The kernel's number of this thread. */
export function threadId(): number {
  return call("gettid");
}

/** Makes the signal one that does nothing but interrupt: for the whole process, and before the first {@link interruptThread}. */
export function prepareInterrupts(): void {
  using action = new NativeBlock(SIGACTION_BYTES);
  action.view.setBigUint64(0, withoutEffect(), true);
  call("sigaction", SIGNAL, action.address, null);
}

/** Interrupts what a thread of this process waits for. A thread that has ended is passed over. */
export function interruptThread(thread: number): void {
  tryCall("tgkill", pid, thread, SIGNAL);
}
