/** The control queue: takes a command out of a buffer, has it done, and writes whether it was. @module */
import type { Chain, Virtqueue } from "@virtspace/virtio";
import { type ControlTarget, controlCommand } from "./control-command.ts";
import { ControlRequest } from "./control-request.ts";

const OK = 0;
const ERROR = 1;
/** Class and number. */
const HEAD_BYTES = 2;
/** No command is longer, with as many addresses as anybody filters. */
const MOST_BYTES = 65536;
/** Commands of one turn: drivers send one at a time. */
const BUDGET = 16;

/** Serves the control queue. */
export function serveControl(queue: Virtqueue, target: ControlTarget): void {
  queue.serve((chain) => answer(chain, target), { budget: BUDGET });
}

function answer(chain: Chain, target: ControlTarget): void {
  // The acknowledgement is the last byte of what the driver lets us write.
  const ackAt = chain.writableBytes - 1;
  if (ackAt < 0) return;
  const outcome = run(chain, target);
  const reply = outcome instanceof Uint8Array && outcome.length <= ackAt ? outcome : undefined;
  if (reply !== undefined) chain.copyTo(0, reply);
  chain.copyTo(ackAt, Uint8Array.of(outcome === true || reply !== undefined ? OK : ERROR));
}

function run(chain: Chain, target: ControlTarget): boolean | Uint8Array {
  const length = chain.readableBytes;
  if (length < HEAD_BYTES || length > MOST_BYTES) return false;
  const bytes = new Uint8Array(length);
  if (chain.copyFrom(0, bytes) > 0) return false;
  const request = new ControlRequest(bytes);
  const command = controlCommand(request.u8() as number, request.u8() as number);
  return command !== undefined && target.features.has(command.feature) && command.run(request, target);
}
