import { describe, expect, test } from "vitest";

import { toCsv } from "../src/answers/csv";
import type { Item } from "../src/answers/item";
import { toJson } from "../src/answers/json";
import { compareNames, comparePaths } from "../src/answers/natural";
import { group, inOrder, nameIn, pool } from "../src/answers/series";
import { Survey, type Given } from "../src/answers/survey";
import { placeOf } from "../src/decode/place";
import { parseBundle, type Bundle } from "../src/model/bundle";
import { notesOf, pooledText, votesText } from "../src/view/wording";
import { ascii, dicom, join, sliceElements, words, type DicomElement } from "./bytes";

const votes = (accuracy: number) => ({
  n: 70,
  groups: 64,
  accuracy,
  accuracy_ci95: [accuracy - 0.1, accuracy + 0.05] as [number, number],
});

const bundle: Bundle = parseBundle(
  {
    format: 1,
    study: "phantom",
    scheme: "final",
    recipe: "patient",
    backbone: "resnet50",
    weights: "imagenet",
    classes: ["Normal", "Stone", "Tumor"],
    operating_points: { distance: 42, confidence: 0.6 },
    metrics: {},
    votes: { patient: votes(0.5), other_window: votes(0.45) },
    files: { "model-int8.onnx": { bytes: 3, sha256: "abc" } },
    intended_use: "Research use only.",
  },
  "phantom/final",
);

let lastId = 0;

function item(name: string, place: Partial<Item["place"]> = {}, more: Partial<Item> = {}): Item {
  const id = ++lastId;
  const whole = { uid: "", position: 0, folder: "", ...place };
  return { id, name, file: new Blob(), place: whole, state: "waiting", ...more };
}

const answered = (probabilities: number[], distance = 1, warning = ""): Partial<Item> => ({
  state: "answered",
  warning,
  width: 1,
  height: 1,
  outputs: { probabilities, distance, maps: new Float32Array(3), mapShape: [1, 1, 3] },
});

const names = (items: Item[]) => items.map(({ name }) => name);

describe("which slices belong together", () => {
  test("those of one UID by position, whatever folder they lie in; pictures of one folder", () => {
    const items = [
      item("a/IM1", { uid: "1.5", position: 30, folder: "1 a" }),
      item("a/shot 10.png", { folder: "1 a" }),
      item("a/b/IM2", { uid: "1.5", position: -20, folder: "1 a/b" }),
      item("a/shot 9.png", { folder: "1 a" }),
      item("loose.png"),
      item("IM3", { uid: "1.9", position: 0 }),
      item("IM4", { uid: "1.9", position: -4 }),
      item("IM5", { uid: "1.7", position: 5 }),
    ];
    const { series, singles } = group(items);
    expect(series.map((one) => [one.uid, one.name, names(one.items)])).toEqual([
      ["1.5", "a, series 1", ["a/b/IM2", "a/IM1"]],
      ["", "a, series 2", ["a/shot 9.png", "a/shot 10.png"]],
      ["1.9", "DICOM series", ["IM4", "IM3"]],
    ]);
    expect(names(singles)).toEqual(["loose.png", "IM5"]);
    expect(names(inOrder(items)).slice(-4)).toEqual(["IM4", "IM3", "loose.png", "IM5"]);
    expect(nameIn(series[0]!, items[2]!)).toBe("b/IM2");
  });

  test("without positions the names order; folders of one name are two", () => {
    const items = ["IM10", "IM9", "IM1"].map((name) => item(name, { uid: "1.5" }));
    expect(names(group(items).series[0]!.items)).toEqual(["IM1", "IM9", "IM10"]);
    const folders = ["1 scan", "2 scan", "1 scan", "2 scan"];
    const pictures = folders.map((folder, i) => item(`scan/${i}.png`, { folder }));
    const { series } = group(pictures);
    expect(series.map((one) => [one.name, names(one.items)])).toEqual([
      ["scan, series 1", ["scan/0.png", "scan/2.png"]],
      ["scan, series 2", ["scan/1.png", "scan/3.png"]],
    ]);
    expect(new Set(series.map(({ key }) => key)).size).toBe(2);
  });

  test("loose series without a folder are numbered", () => {
    const items = ["1.5", "1.9", "1.5", "1.9"].map((uid, i) => item(`${i}`, { uid }));
    expect(group(items).series.map(({ name }) => name)).toEqual([
      "DICOM series 1",
      "DICOM series 2",
    ]);
  });
});

describe("the order of names", () => {
  test("numbers by value, as Python's natural_key", () => {
    const sorted = ["a (2)", "A (10)", "a (010)", "b", "1", "02", "10", "a", ""].sort(compareNames);
    expect(sorted).toEqual(["", "1", "02", "10", "a", "a (2)", "A (10)", "a (010)", "b"]);
    const big = ["x90071992547409931", "x90071992547409929"];
    expect(big.sort(compareNames)[0]).toBe("x90071992547409929");
  });

  test("a folder's own files come before those below it", () => {
    const paths = ["r/b/1", "r/z", "r/b/a/0", "r/a 10/1", "r/a 9/2", "r/c"];
    expect(paths.sort(comparePaths)).toEqual([
      "r/c",
      "r/z",
      "r/a 9/2",
      "r/a 10/1",
      "r/b/1",
      "r/b/a/0",
    ]);
  });
});

describe("the place that tags tell", () => {
  const place = (elements: DicomElement[], pixels = 4) => {
    const slice = sliceElements({ rows: 1, columns: pixels, more: elements });
    return placeOf(new Blob([dicom([...slice, words(new Array(pixels).fill(7))]) as BlobPart]));
  };
  const UID: DicomElement = [0x20, 0x0e, "UI", "1.2.3"];
  const AXIAL: DicomElement = [0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0"];
  const corner = (text: string): DicomElement => [0x20, 0x32, "DS", text];
  const number = (text: string): DicomElement => [0x20, 0x13, "IS", text];

  test("is along the normal, else the instance number", async () => {
    const known = { isImage: true, uid: "1.2.3" };
    expect(await place([UID, number("9"), corner("1\\2\\-7.5"), AXIAL])).toEqual({
      ...known,
      position: -7.5,
    });
    const coronal: DicomElement = [0x20, 0x37, "DS", "1\\0\\0\\0\\0\\-1"]; // its normal is +y
    const { position } = await place([UID, corner("1\\2\\-7.5"), coronal]);
    expect(position).toBe(2);
    expect(await place([UID, number("9"), AXIAL])).toEqual({ ...known, position: 9 });
    expect(await place([UID])).toEqual({ ...known, position: 0 });
    expect(await place([number("3")])).toEqual({ isImage: true, uid: "", position: 3 });
  });

  test.each([
    ["words", [UID, corner("a\\b\\c"), AXIAL]],
    ["two coordinates", [UID, corner("1\\2"), AXIAL]],
    ["several numbers", [UID, number("1\\2")]],
  ])("of damaged tags is none: %s", async (_, elements) =>
    expect(await place(elements as DicomElement[])).toEqual({
      isImage: true,
      uid: "",
      position: 0,
    }),
  );

  test("is read of the start of a long file, and of all of one with long private tags", async () => {
    const tags = [UID, corner("0\\0\\4"), AXIAL];
    expect(await place(tags, 60_000)).toMatchObject({ uid: "1.2.3", position: 4 });
    const long: DicomElement = [0x09, 0x1001, "OB", new Array(70_000).fill(1)];
    expect(await place([long, ...tags])).toMatchObject({ uid: "1.2.3", position: 4 });
  });

  test("files that are no DICOM have none", async () => {
    const nowhere = { uid: "", position: 0 };
    const told = (data: Uint8Array | number[]) => placeOf(new Blob([join(data) as BlobPart]));
    expect(await told([0x89, ...ascii("PNG\r\n\x1a\n")])).toEqual({ isImage: true, ...nowhere });
    expect(await told(ascii("words"))).toEqual({ isImage: false, ...nowhere });
    expect(await told([])).toEqual({ isImage: false, ...nowhere });
    const cut = join(new Uint8Array(128), ascii("DICM"), [2, 0, 0]);
    expect(await told(cut)).toEqual({ isImage: true, ...nowhere });
  });
});

describe("what is made of a folder", () => {
  const given = (path: string): Given => ({ file: new File([], path.split("/").at(-1)!), path });
  const isImage = (file: Blob) => (file as File).name.startsWith("IM");
  const survey = () =>
    new Survey((file) => Promise.resolve({ isImage: isImage(file), uid: "", position: 0 }));

  test("clutter is passed over; what promises to be an image is not", async () => {
    const paths = [".r/b/IM1", ".r/IM10", ".r/IM9", ".r/x.txt", ".r/bad.PNG", ".r/.h/IM1", ".r/.d"];
    const items = await survey().look(paths.map(given));
    expect(names(items!)).toEqual([".r/bad.PNG", ".r/IM9", ".r/IM10", ".r/b/IM1"]);
    expect(items!.map(({ place }) => place!.folder)).toEqual(["1 .r", "1 .r", "1 .r", "1 .r/b"]);
  });

  test("loose files all stay, as they were given", async () => {
    const loose = ["b.txt", ".a", ""].map((name) => ({ file: new File([], name), path: "" }));
    const items = await survey().look(loose);
    expect(names(items!)).toEqual(["b.txt", ".a", "pasted 3"]);
    expect(group(items!).series).toEqual([]);
  });

  test("what is given up leaves nothing; what can't be looked at is told later", async () => {
    const broken = new Survey(() => Promise.reject(new Error("stopped")));
    const looking = broken.look([given("r/IM1")]);
    broken.abandon();
    expect(await looking).toBeNull();
    expect(names((await broken.look([given("r/IM1")]))!)).toEqual(["r/IM1"]);
  });
});

describe("the answer for a series", () => {
  const LOCALIZER = "this is a localizer, not a slice";
  const uid = "1.5";
  const items = [
    item("d", { uid, position: 0 }, answered([0.6, 0.3, 0.1])),
    item("a", { uid, position: 1 }, answered([0.1, 0.8, 0.1], 50)),
    item("b", { uid, position: 2 }, answered([0.0, 0.0, 1.0], 50, LOCALIZER)),
    item("c", { uid, position: 3 }, { state: "failed", error: "cut short" }),
    item("e", { uid, position: 4 }, answered([0.2, 0.7, 0.1], 1, "no air is seen")),
    item("f", { uid, position: 5 }, answered([0.5, 0.4, 0.1])),
    item("g", { uid, position: 6 }, { state: "cancelled" }),
  ];
  const pooled = pool(items, bundle);

  test("is the mean of its slices; localizers and failures have no part", () => {
    expect(pooled.slices).toBe(4);
    const { probabilities, answer, most } = pooled.said!;
    const expected = [0.35, 0.55, 0.1]; // (0.6 + 0.1 + 0.2 + 0.5) / 4, ...
    probabilities.forEach((value, k) => expect(value).toBeCloseTo(expected[k]!, 12));
    expect(bundle.classes[answer]).toBe("Stone");
    expect(names(most)).toEqual(["a", "e", "f"]);
    expect(pooled).toMatchObject({
      outOfDistribution: 1,
      lowConfidence: 1,
      doubtful: 1,
      localizers: 1,
      unread: 1,
      warnings: { [LOCALIZER]: 1, "no air is seen": 1 },
    });
    expect(names(pooled.failed)).toEqual(["c"]);
  });

  test("of equals the first counts", () => {
    const even = [0, 1].map((i) => item(`${i}`, {}, answered([0.4, 0.4, 0.2])));
    const { said } = pool(even, bundle);
    expect(said!.answer).toBe(0);
    expect(names(said!.most)).toEqual(["0", "1"]);
  });

  test("without a slice there is none", () => {
    const none = pool([items[2]!, items[3]!], bundle);
    expect(none).toMatchObject({ said: null, slices: 0, localizers: 1, unread: 0 });
    expect(pooledText(none, false)).toBe("No slice is answered.");
  });

  test("words", () => {
    expect(pooledText(pooled, true)).toBe("Mean of 4 slices so far; 1 file still to be read.");
    expect(pooledText(pooled, false)).toBe("Mean of 4 slices; 1 file left unread.");
    expect(notesOf(pooled).map(({ text }) => text)).toEqual([
      "1 slice doubtful",
      "1 slice out of distribution",
      "1 slice of low confidence",
      "1 file could not be read",
      "1 localizer left out",
    ]);
    expect(notesOf(pool(items.slice(0, 1), bundle))).toEqual([]);
    expect(votesText(bundle).replaceAll("\u00a0", " ")).toBe(
      "One vote per patient is right for 50.0 % of 64 new patients (95 % interval 40.0 to 55.0), " +
        "in another display window 45.0 %.",
    );
    expect(votesText({})).toBe("");
  });

  test("JSON has the keys of Python's answer, CSV the name of the series", () => {
    const loose = item("loose.png", {}, answered([1, 0, 0]));
    const { series, answers } = JSON.parse(toJson([...items, loose], bundle, "phantom/final"));
    expect(answers.length).toBe(8);
    expect(series).toEqual([
      {
        name: "DICOM series",
        uid: "1.5",
        files: ["d", "a", "b", "c", "e", "f", "g"],
        slices: 4,
        label: "Stone",
        probabilities: { Normal: 0.35, Stone: 0.55, Tumor: 0.1 },
        most: { a: 0.8, e: 0.7, f: 0.4 },
        out_of_distribution: 1,
        low_confidence: 1,
        warnings: { [LOCALIZER]: 1, "no air is seen": 1 },
        errors: { c: "cut short" },
        not_answered: 1,
      },
    ]);
    expect(Object.keys(series[0].most)).toEqual(["a", "e", "f"]);
    const rows = toCsv([...items, loose], bundle, "m").split("\r\n");
    expect(rows.map((row) => row.split(",")[1])).toEqual([
      "series",
      ...new Array(7).fill("DICOM series"),
      "",
      undefined,
    ]);
  });

  test("JSON of a series that can't be answered says why; pictures of a folder have no uid", () => {
    const failed: Partial<Item> = { state: "failed", error: "cut short" };
    const broken = ["x/1.png", "x/2.png"].map((name) => item(name, { folder: "1 x" }, failed));
    expect(JSON.parse(toJson(broken, bundle, "m")).series).toEqual([
      {
        name: "x",
        files: ["x/1.png", "x/2.png"],
        error: "none of its 2 files is a slice that can be read",
        errors: { "x/1.png": "cut short", "x/2.png": "cut short" },
      },
    ]);
  });
});
