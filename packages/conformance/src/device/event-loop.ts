/** Turns of the event loop: the measure of what takes how long, in the suites. @module */

// Every host of ours has it; the language's own library does not name it.
declare function setTimeout(task: () => void, milliseconds: number): unknown;

/** Lets everybody run who waits. */
export const turn = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 0));

/** A few of them. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}
