/** A cable between two switches. */
import { expect, test } from "vitest";
import { BROADCAST, LearningSwitch, Loopback, Patch } from "../index.ts";
import { mac, Station } from "./station-scenarios.ts";

test("stations of two switches reach each other over a cable, until it is pulled", () => {
  const [left, right] = [new LearningSwitch(), new LearningSwitch()];
  const [one, two] = [new Station(left, 1), new Station(right, 2)];
  const cable = new Patch(left, right);
  one.send(BROADCAST, [1]);
  two.send(one.mac, [2]);
  one.send(two.mac, [3]);
  expect([one.take(), two.take(), left.known, right.known]).toEqual([[[2]], [[1], [3]], 2, 2]);
  cable[Symbol.dispose]();
  one.send(BROADCAST, [4]);
  expect(two.take()).toEqual([]);
});

test("who has no room at the far end makes the near one wait", () => {
  const [left, right] = [new LearningSwitch({ whenFull: "wait" }), new LearningSwitch({ whenFull: "wait" })];
  const [one, two] = [new Station(left, 1), new Station(right, 2)];
  using cable = new Patch(left, right);
  two.send(BROADCAST);
  one.send(BROADCAST);
  one.take();
  two.take();
  two.room = 0;
  let again = 0;
  one.port.onRoom(() => again++);
  expect([one.send(two.mac, [1]), again]).toEqual([false, 0]);
  two.makeRoom(9);
  expect([again, one.send(two.mac, [1]), two.take(), cable.port.counters.receivedFrames]).toEqual([1, true, [[1]], 2]);
});

test("a cable into a backend that can't be plugged into leaves nothing behind", () => {
  const left = new LearningSwitch();
  const broken = {
    name: "broken",
    plug: () => {
      throw new Error("no such device");
    },
  };
  expect(() => new Patch(left, broken)).toThrow("no such device");
  expect(new Patch(left, new Loopback()).port.accepts.checksum).toBe(true);
  expect(mac(1)).toBeGreaterThan(0);
});
