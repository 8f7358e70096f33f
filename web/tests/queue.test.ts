import { expect, test } from "vitest";

import type { Item } from "../src/answers/item";
import { Queue, type Stations } from "../src/answers/queue";
import type { Decoded } from "../src/decode/decode-worker";
import type { Outputs } from "../src/model/model-worker";

const items = (count: number): Item[] =>
  Array.from({ length: count }, (_, id) => ({
    id,
    name: `${id}`,
    file: new Blob(),
    state: "waiting",
  }));

const pixels = { width: 1, height: 1, rgb: new Uint8Array(3), warning: "no air is seen" };
const decoded = { pixels } as Decoded;
const outputs = { distance: 1 } as Outputs;
const states = (given: Item[]) => given.map(({ state }) => state);

const stations = (changes: Partial<Stations> = {}): Stations => ({
  decode: () => Promise.resolve(decoded),
  run: () => Promise.resolve(outputs),
  onChange: () => undefined,
  ...changes,
});

test("a file that can't be read doesn't stop the others", async () => {
  const given = items(4);
  let calls = 0;
  const decode = () =>
    calls++ === 1 ? Promise.reject(new Error("cut short")) : Promise.resolve(decoded);
  await new Queue(stations({ decode })).add(given);
  expect(states(given)).toEqual(["answered", "failed", "answered", "answered"]);
  expect(given[1]!.error).toBe("cut short");
  expect(given[2]!.warning).toBe("no air is seen");
});

test("files added while others are read are answered too", async () => {
  const [first, second] = [items(2), items(2)];
  const queue: Queue = new Queue(stations());
  const work = queue.add(first);
  void queue.add(second);
  await work;
  expect(states([...first, ...second])).toEqual(new Array(4).fill("answered"));
  const third = items(1);
  await queue.add(third);
  expect(states(third)).toEqual(["answered"]);
});

test("cancelling leaves what waits; what is under way is answered", async () => {
  const given = items(9);
  const queue: Queue = new Queue(
    stations({ onChange: (item) => item.id === 0 && item.state === "answered" && queue.cancel() }),
  );
  await queue.add(given);
  expect(states(given)).toEqual(["answered", "answered", ...new Array(7).fill("cancelled")]);
});

test("an abandoned queue changes nothing any more", async () => {
  const given = items(3);
  let release!: (value: Outputs) => void;
  const run = () => new Promise<Outputs>((resolve) => (release = resolve));
  const queue = new Queue(stations({ run }));
  const work = queue.add(given);
  await new Promise((resolve) => setTimeout(resolve, 5));
  queue.abandon();
  release(outputs);
  await Promise.race([work, new Promise((resolve) => setTimeout(resolve, 5))]);
  expect(given[0]!.outputs).toBeUndefined();
});
