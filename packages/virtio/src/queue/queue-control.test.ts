/** What a device does with a queue beyond taking buffers in turn: no room, putting back, fewer interrupts. */
import { describe, expect, test } from "vitest";
import { type Chain, VirtioError } from "../index.ts";
import { BUFFERS, kinds, QueueTrial } from "./queue-scenarios.ts";

/** @returns whether the queue wants to be notified of them */
const offer = (trial: QueueTrial, count: number): boolean => {
  for (let i = 0; i < count; i++) trial.driver.add([], [{ address: (BUFFERS + 64 * i) as never, length: 8 }]);
  return trial.driver.publish();
};
const back = (trial: QueueTrial): number => {
  let count = 0;
  while (trial.driver.used() !== undefined) count++;
  return count;
};

describe.each(kinds)("%s", (_, features) => {
  test("a handler without room gets the same buffer again when it resumes", () => {
    using trial = new QueueTrial(features, 8);
    const seen: number[] = [];
    let room = 2;
    trial.queue.serve(() => {
      if (room === 0) return false;
      room--;
      seen.push(room);
      return true;
    });
    offer(trial, 5);
    trial.queue.kick();
    expect([seen.length, trial.queue.inFlight, back(trial)]).toEqual([2, 0, 2]);
    trial.queue.kick();
    expect(seen).toHaveLength(2);
    room = 10;
    trial.queue.resume();
    while (trial.turn());
    expect([seen.length, back(trial), trial.queue.counters.chains, trial.queue.counters.used]).toEqual([5, 3, 5, 5]);
    // With nothing refused there is nothing to resume.
    trial.queue.resume();
    expect(trial.faults).toEqual([]);
  });

  test("room that is found while the handler says that it has none is not missed", () => {
    using trial = new QueueTrial(features, 8);
    let tries = 0;
    trial.queue.serve(() => {
      if (++tries > 1) return true;
      trial.queue.resume();
      return false;
    });
    offer(trial, 1);
    trial.queue.kick();
    expect([tries, back(trial)]).toEqual([2, 1]);
  });

  test("a queue that looks for more takes what comes with no notification, for so long, and asks for one then", () => {
    using trial = new QueueTrial(features, 8);
    trial.pollMicroseconds = 50;
    trial.open(trial.queue.stop());
    const batches: number[] = [];
    let batch = 0;
    trial.queue.serve(
      () => {
        batch++;
      },
      { batchEnd: () => batches.push(batch) },
    );
    while (trial.turn());
    expect(offer(trial, 1)).toBe(true);
    trial.queue.kick();
    expect([batches.at(-1), back(trial), trial.interrupts]).toEqual([1, 1, 1]);

    // Each buffer begins the time anew, and turns in which nothing came cost nobody anything.
    const quiet = batches.length;
    for (let each = 2; each <= 4; each++) {
      trial.time += 0.04;
      expect([offer(trial, 1), trial.turn(), trial.turn()]).toEqual([false, true, true]);
      expect([batch, back(trial)]).toEqual([each, 1]);
    }
    expect([batches.length - quiet, trial.queue.counters.kicks]).toEqual([3, 1]);

    trial.time += 0.05;
    expect([trial.turn(), trial.turn()]).toEqual([true, false]);
    expect([offer(trial, 1), trial.turn(), back(trial)]).toEqual([true, false, 0]);
    trial.queue.kick();
    expect([batch, back(trial)]).toEqual([5, 1]);
    // One that is stopped while it looks does not go on.
    trial.queue.stop();
    expect([trial.turn(), trial.turn(), trial.faults]).toEqual([true, false, []]);
  });

  test("a queue that looks for more shows what was given back though its handler has no room", () => {
    using trial = new QueueTrial(features, 8);
    trial.pollMicroseconds = 50;
    trial.open(trial.queue.stop());
    let held: Chain | undefined;
    const batches: number[] = [];
    trial.queue.serve(
      (chain) => {
        if (held === undefined) {
          chain.hold();
          held = chain;
          return true;
        }
        if (held.taken) held.push();
        return false;
      },
      { batchEnd: () => batches.push(trial.queue.counters.used) },
    );
    offer(trial, 1);
    trial.queue.kick();
    trial.turn();
    offer(trial, 1);
    trial.turn();
    expect([held?.taken, back(trial), batches.at(-1)]).toEqual([false, 1, 1]);
  });

  test("times that no queue looks for are refused", () => {
    using trial = new QueueTrial(features, 8);
    const state = trial.queue.stop();
    for (const time of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
      trial.pollMicroseconds = time;
      expect(() => trial.open(state)).toThrow(/can't look for more/);
    }
  });

  test("buffers are put back, newest first, round the end of the ring, and taken again", () => {
    using trial = new QueueTrial(features, 4);
    for (let lap = 0; lap < 7; lap++) {
      offer(trial, 3);
      const first = [0, 1, 2].map(() => trial.queue.pop() as Chain);
      const ids = first.map(({ id }) => id);
      expect(() => trial.queue.putBack(first[0] as Chain)).toThrow(VirtioError);
      for (const chain of first.toReversed()) trial.queue.putBack(chain);
      expect(trial.queue.inFlight).toBe(0);
      const again = [0, 1, 2].map(() => trial.queue.pop() as Chain);
      expect(again.map(({ id }) => id)).toEqual(ids);
      for (const chain of again) chain.push();
      trial.queue.flush();
      expect([back(trial), trial.faults]).toEqual([3, []]);
    }
  });

  test("a queue that is stopped with its newest buffers in flight stands where it can start without them", () => {
    using trial = new QueueTrial(features, 4);
    for (let lap = 0; lap < 3; lap++) {
      offer(trial, 3);
      trial.queue.pop()?.push();
      trial.queue.pop();
      trial.queue.pop();
      const state = trial.queue.stop();
      expect(state.inFlight).toEqual([]);
      trial.open(state);
      trial.queue.pop()?.push();
      trial.queue.pop()?.push();
      trial.queue.flush();
      expect([back(trial), trial.queue.pop(), trial.faults]).toEqual([3, undefined, []]);
    }
  });

  test("moderated interrupts wait for buffers or for their time", () => {
    using trial = new QueueTrial(features, 8);
    trial.driver.wantInterrupts(true);
    trial.queue.moderate(3, 10);
    const use = (): void => {
      offer(trial, 1);
      trial.queue.pop()?.push();
      trial.queue.flush();
    };
    use();
    expect([trial.interrupts, back(trial)]).toEqual([0, 1]);
    use();
    use();
    expect(trial.interrupts).toBe(1);
    expect(trial.timers()).toBe(0);
    back(trial);
    trial.driver.wantInterrupts(true);
    use();
    expect([trial.interrupts, trial.timers(), trial.interrupts]).toEqual([1, 1, 2]);
    back(trial);
    trial.driver.wantInterrupts(true);
    use();
    trial.queue.stop();
    expect([trial.interrupts, trial.timers()]).toEqual([3, 0]);
  });
});
