/** A cable between two switches. */
import { expect, test } from "vitest";
import { BROADCAST, LearningSwitch, type NetworkBackend, Patch } from "../index.ts";
import { Station } from "./station-scenarios.ts";

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
  const network = new LearningSwitch();
  let plugged = 0;
  const counted: NetworkBackend = {
    name: "counted",
    plug: (endpoint) => {
      plugged++;
      const port = network.plug(endpoint);
      return Object.assign(Object.create(port), { onRoom: () => {}, [Symbol.dispose]: () => plugged-- });
    },
  };
  const broken: NetworkBackend = {
    name: "broken",
    plug: () => {
      throw new Error("no such device");
    },
  };
  expect(() => new Patch(counted, broken)).toThrow("no such device");
  expect(() => new Patch(broken, counted)).toThrow("no such device");
  expect(plugged).toBe(0);
});
