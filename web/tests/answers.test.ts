import { describe, expect, test } from "vitest";

import { escapeCell, safeText, toCsv } from "../src/answers/csv";
import type { Item } from "../src/answers/item";
import { toJson } from "../src/answers/json";
import { judge } from "../src/answers/judge";
import { parseBundle, type Bundle } from "../src/model/bundle";
import type { Outputs } from "../src/model/model-worker";
import { overlayPixels, peakPlace } from "../src/view/overlay";
import { accuracyText, backboneText, percent, progressText, warningsOf } from "../src/view/wording";

const measured = (accuracy: number) => ({
  n: 380,
  groups: 90,
  accuracy,
  accuracy_ci95: [accuracy - 0.1, accuracy + 0.05],
});

const RAW = {
  format: 1,
  study: "phantom",
  scheme: "patient",
  recipe: "published",
  backbone: "resnet50",
  weights: "imagenet",
  classes: ["Normal", "Stone"],
  operating_points: {
    distance: 42,
    confidence: 0.6,
    recall: { Stone: { target_recall: 0.99, threshold: 0.02 } },
  },
  metrics: { slice: measured(0.947), patient: measured(0.502) },
  files: { "model-int8.onnx": { bytes: 3, sha256: "abc" } },
  intended_use: "Research use only.",
};
const bundle: Bundle = parseBundle(RAW, "phantom/patient");

const answer = (probabilities: number[], distance: number): Outputs => ({
  probabilities,
  distance,
  maps: new Float32Array(),
  mapShape: [0, 0, 2],
});

const say = (probabilities: number[], distance = 1) =>
  judge(probabilities, distance, bundle.classes, bundle.operating_points);

describe("judgement", () => {
  test("limits are crossed as the export means them", () => {
    expect(say([0.6, 0.4], 42)).toMatchObject({
      answer: 0,
      outOfDistribution: false,
      lowConfidence: false,
    });
    expect(say([0.59, 0.41], 42.1)).toMatchObject({ outOfDistribution: true, lowConfidence: true });
  });

  test("a class is not ruled out from its limit on, unless it is the answer", () => {
    expect(say([0.98, 0.02]).notRuledOut).toEqual(["Stone"]);
    expect(say([0.981, 0.019]).notRuledOut).toEqual([]);
    expect(say([0.1, 0.9]).notRuledOut).toEqual([]);
  });

  test("points that were not measured warn of nothing", () => {
    const bare = parseBundle({ ...RAW, operating_points: {} }, "x").operating_points;
    const said = judge([0.5, 0.5], 1e9, bundle.classes, bare);
    expect(said).toMatchObject({ outOfDistribution: false, lowConfidence: false, notRuledOut: [] });
  });
});

describe("words", () => {
  test("warnings name value, limit and what follows", () => {
    const probabilities = [0.55, 0.45];
    const warnings = warningsOf(
      { outputs: answer(probabilities, 50) },
      say(probabilities, 50),
      bundle,
    );
    expect(warnings.map(({ kind }) => kind)).toEqual(["distribution", "confidence", "missed"]);
    expect(warnings[0]!.long).toMatch(/distance 50\.0, limit 42\.0\). Do not rely/);
    expect(warnings[1]!.long).toMatch(/55\.0\s%, is below 60\.0\s%/);
    expect(warnings[2]!.long).toMatch(/Stone.*45\.0\s%.*2\.0\s%.*find 99\.0\s% of the slices/);
    const plain = { outputs: answer([0.99, 0.01], 1), warning: "" };
    expect(warningsOf(plain, say([0.99, 0.01]), bundle)).toEqual([]);
  });

  test("a doubtful picture comes before all else", () => {
    const item = { outputs: answer([0.55, 0.45], 50), warning: "no air is seen" };
    const [first, ...others] = warningsOf(item, say([0.55, 0.45], 50), bundle);
    expect(first).toEqual({
      kind: "doubtful",
      short: "doubtful picture",
      long: "Doubtful picture: no air is seen. Do not rely on the answer.",
    });
    expect(others.length).toBe(3);
  });

  test("numbers", () => {
    expect(percent(0.0005)).toBe("0.1\u00a0%");
    expect(accuracyText(bundle.metrics.patient!)).toMatch(
      /50\.2\s% of slices \(95\s% interval 40\.2 to 55\.2\)/,
    );
    expect(backboneText({ ...bundle, weights: "none" })).toMatch(/untrained backbone/);
    expect(progressText(1, 1, 0)).toBe("1 of 1 file done.");
    expect(progressText(3, 9, 2)).toBe("3 of 9 files done, 2 could not be read.");
  });
});

describe("files to keep", () => {
  const maps = Float32Array.of(1, -2, 0.5, 4);
  const outputs = {
    probabilities: [0.9, 0.1],
    distance: 50,
    maps,
    mapShape: [1, 2, 2] as [number, number, number],
  };
  const items: Item[] = [
    {
      id: 1,
      name: 'a "b", c.png',
      file: new Blob(),
      state: "answered",
      outputs,
      width: 4,
      height: 2,
      warning: "no air, it seems",
    },
    { id: 2, name: "=1+1.png", file: new Blob(), state: "failed", error: "cut short, sorry" },
    { id: 3, name: "late.png", file: new Blob(), state: "cancelled" },
  ];

  test("CSV", () =>
    expect(toCsv(items, bundle, "phantom/patient").split("\r\n")).toEqual([
      "file,series,answer,p_Normal,p_Stone,distance,out_of_distribution,low_confidence,warning,not_ruled_out,error,model",
      '"a ""b"", c.png",,Normal,0.900000,0.100000,50,true,false,"no air, it seems",Stone,,phantom/patient',
      '\'=1+1.png,,,,,,,,,,"cut short, sorry",phantom/patient',
      "late.png,,,,,,,,,,not answered,phantom/patient",
      "",
    ]));

  test("cells", () => {
    expect(["plain", "a,b", 'a"b', "a\nb"].map(escapeCell)).toEqual([
      "plain",
      '"a,b"',
      '"a""b"',
      '"a\nb"',
    ]);
    expect(["=a", "+a", "-a", "@a", "a=b"].map(safeText)).toEqual([
      "'=a",
      "'+a",
      "'-a",
      "'@a",
      "a=b",
    ]);
  });

  test("JSON, with maps that can be read back", () => {
    const { answers, model } = JSON.parse(toJson(items, bundle, "phantom/patient"));
    expect(model).toEqual({ name: "phantom/patient", sha256: "abc" });
    const bytes = Uint8Array.from(atob(answers[0].maps_float32_base64), (c) => c.charCodeAt(0));
    expect([...new Float32Array(bytes.buffer)]).toEqual([...maps]);
    expect(answers[0].warning).toBe("no air, it seems");
    const plain = { ...items[0]!, warning: "" };
    expect(toJson([plain], bundle, "phantom/patient")).not.toContain("warning");
    expect(answers[1]).toEqual({ file: "=1+1.png", error: "cut short, sorry" });
  });
});

describe("class maps", () => {
  // 3 x 3 cells, two classes: the second is strongest at the lower left
  const maps = new Float32Array(18).fill(-1);
  maps[2 * 4] = 2; // class 0 in the middle
  maps[2 * 6 + 1] = 8; // class 1 at row 2, column 0
  const outputs = { maps, mapShape: [3, 3, 2] as [number, number, number] };

  test("full colour is the highest value of any class; below 0 nothing is seen", () => {
    const alpha = (k: number) => [...overlayPixels(outputs, k)].filter((_, i) => i % 4 === 3);
    expect(alpha(1)).toEqual([0, 0, 0, 0, 0, 0, 255, 0, 0]);
    expect(alpha(0)).toEqual([0, 0, 0, 0, 64, 0, 0, 0, 0]);
  });

  test("the place of the highest value in words", () => {
    expect(peakPlace(outputs, 0)).toBe("centre");
    expect(peakPlace(outputs, 1)).toBe("lower left");
    expect(peakPlace({ ...outputs, maps: new Float32Array(18) }, 0)).toBeNull();
  });
});

test.each([
  [{ ...RAW, format: 2 }, /format is 2/],
  [{ ...RAW, classes: ["one"] }, /no classes/],
  [{ ...RAW, files: { "model.tflite": {} } }, /no ONNX file/],
  [null, /format is undefined/],
])("a description that can't be used says why", (raw, words) =>
  expect(() => parseBundle(raw, "phantom/patient")).toThrow(words),
);
