/** Makes the doorbells of a space. @module */
import type { Doorbell, DoorbellSpec } from "../doorbell/doorbell.ts";

/** Makes a doorbell; disposing it calls `remove`. */
export function makeDoorbell(
  id: number,
  spec: DoorbellSpec,
  datamatch: bigint | undefined,
  remove: (doorbell: Doorbell) => void,
): Doorbell {
  const doorbell: Doorbell = {
    id,
    address: spec.address,
    length: spec.length,
    datamatch,
    notifier: spec.notifier,
    [Symbol.dispose]: () => remove(doorbell),
  };
  return doorbell;
}
