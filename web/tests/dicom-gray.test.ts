import { describe, expect, test } from "vitest";

import { decodeDicom } from "../src/decode/dicom";
import {
  bytes,
  dicom,
  sequence,
  sliceElements,
  u16,
  words,
  type DicomElement,
  type Slice,
} from "./bytes";

const noJpeg = () => Promise.reject(new Error("no JPEG here"));

async function read(slice: Slice, pixels: DicomElement) {
  const { rgb, warning } = await decodeDicom(dicom([...sliceElements(slice), pixels]), noJpeg);
  return { gray: [...rgb].filter((_, i) => i % 3 === 0), warning };
}

const tag = {
  center: (text: string): DicomElement => [0x28, 0x1050, "DS", text],
  width: (text: string): DicomElement => [0x28, 0x1051, "DS", text],
  curve: (text: string): DicomElement => [0x28, 0x1056, "CS", text],
  intercept: (text: string): DicomElement => [0x28, 0x1052, "DS", text],
  slope: (text: string): DicomElement => [0x28, 0x1053, "DS", text],
  type: (text: string): DicomElement => [0x28, 0x1054, "LO", text],
  modality: (text: string): DicomElement => [0x08, 0x60, "CS", text],
  imageType: (text: string): DicomElement => [0x08, 0x08, "CS", text],
  padding: (value: number): DicomElement => [0x28, 0x120, "US", u16(value)],
  paddingLimit: (value: number): DicomElement => [0x28, 0x121, "US", u16(value)],
};
const NO_RESCALE: DicomElement[] = [
  [0x28, 0x1052, "", ""],
  [0x28, 0x1053, "", ""],
];

// air, fat, an organ, bone; in the window 40/400 the share of v is (v - 39.5) / 399 + 0.5
const UNITS = [-1000, -60, 40, 1200];
const SHOWN = [0, 64, 128, 255];
const STORED = UNITS.map((value) => value + 1024);
const slice = (more: DicomElement[] = []): Slice => ({ rows: 1, columns: 4, more });
const ct = (more: DicomElement[] = []) =>
  read(slice([tag.intercept("-1024"), ...more]), words(STORED));

describe("values that are Hounsfield units", () => {
  test("rescaled, in the soft-tissue window", async () =>
    expect(await ct()).toEqual({ gray: SHOWN, warning: "" }));

  test.each([
    ["no modality", [tag.modality("")]],
    ["of the type HU", [tag.type("HU")]],
    ["of the type HU_MOD", [tag.type("HU_MOD")]],
    ["of no named type, but plausible", [tag.type("US")]],
    ["inverted in name alone", [[0x28, 0x04, "CS", "MONOCHROME1"] as DicomElement]],
  ])("%s", async (_, more) => expect((await ct(more)).gray).toEqual(SHOWN));

  test("signed", async () => {
    const signed = { ...slice(), signed: true };
    expect((await read(signed, words(UNITS))).gray).toEqual(SHOWN);
  });

  test("with a slope", async () => {
    const falling = slice([tag.slope("-1"), tag.intercept("2000")]);
    expect((await read(falling, words(UNITS.map((value) => 2000 - value)))).gray).toEqual(SHOWN);
  });

  test.each([
    ["no rescale", NO_RESCALE, "no usable rescale"],
    ["an empty rescale", [tag.slope(""), tag.intercept("")], "no usable rescale"],
    ["an intercept alone", [NO_RESCALE[1]!], "no usable rescale"],
    ["a slope of 0", [tag.slope("0")], "no usable rescale"],
    ["several slopes", [tag.slope("1\\2")], "no usable rescale"],
    ["a slope in words", [tag.slope("one")], "no usable rescale"],
    ["an endless slope", [tag.slope("1e999")], "no usable rescale"],
    ["a table of values", [[0x28, 0x3000, "SQ", []] as DicomElement], "no usable rescale"],
    ["another modality", [tag.modality("MR")], "modality MR, not CT"],
    ["another unit", [tag.type("OD")], "gives OD, not Hounsfield units"],
    [
      "a type unnamed, and no air",
      [tag.type("US"), tag.intercept("0")],
      "no named kind, and no air",
    ],
  ])("%s is refused", async (_, more, reason) => expect(ct(more)).rejects.toThrow(reason));
});

describe("the functional groups of an Enhanced file", () => {
  const inner = [
    sequence(0x28, 0x9132, [tag.center("0"), tag.width("2001")]),
    sequence(0x28, 0x9145, [tag.intercept("-1024"), tag.slope("1")]),
  ];
  const [shared, frame] = [0x9229, 0x9230].map((element) => sequence(0x5200, element, inner));
  const other = sequence(0x5200, 0x9229, [sequence(0x28, 0x9145, [tag.slope("1")])]);
  const wide = [0, 120, 133, 255]; // (v + 0.5) / 2000 + 0.5

  test.each([
    ["shared", [shared!]],
    ["of the frame", [frame!]],
    ["of both, the shared ones first", [other, frame!]],
  ])("%s", async (_, groups) => {
    expect((await read(slice([...NO_RESCALE, ...groups]), words(STORED))).gray).toEqual(wide);
  });

  test("count after the file's own tags", async () =>
    expect((await ct([tag.center("40"), tag.width("400"), shared!])).gray).toEqual(SHOWN));
});

describe("windows", () => {
  test.each([
    ["the first of several", "0\\40", "2001\\400", "LINEAR", [0, 120, 133, 255]],
    ["exact", "0", "2000", "LINEAR_EXACT", [0, 120, 133, 255]],
    ["exact, and narrow", "0", "80", "LINEAR_EXACT", [0, 0, 255, 255]],
    ["sigmoid", "0", "400", "SIGMOID", [0, 90, 153, 255]], // 1 / (1 + exp(-v / 100))
    ["without a width", "0", "", "SIGMOID", SHOWN],
    ["of the width 1", "0", "1", "SIGMOID", SHOWN],
    ["in words", "about 0", "2001", "LINEAR", SHOWN],
  ])("%s", async (_, center, width, curve, gray) =>
    expect((await ct([tag.center(center), tag.width(width), tag.curve(curve)])).gray).toEqual(gray),
  );

  test("of an unknown function", async () =>
    expect(ct([tag.curve("CURVED")])).rejects.toThrow("function CURVED is not known"));
});

describe("padding", () => {
  const pixels = [...STORED, 63536, 63538];
  const padded = async (more: DicomElement[], signed = false) => {
    const six = { ...slice([tag.intercept("-1024"), ...more]), columns: 6, signed };
    return (await read(six, words(pixels))).gray.slice(4);
  };

  test("is black", async () => {
    expect(await padded([])).toEqual([255, 255]);
    expect(await padded([tag.padding(63536)])).toEqual([0, 255]);
    expect(await padded([tag.padding(63536), tag.paddingLimit(63540)])).toEqual([0, 0]);
    expect(await padded([tag.padding(63540), tag.paddingLimit(63536)])).toEqual([0, 0]);
  });

  test("is read as the pixels are", async () => {
    const falling = [tag.slope("-1"), tag.padding(63536)]; // -2000, so 976 HU
    expect(await padded(falling, true)).toEqual([255, 255]);
    const steep = [tag.slope("-2"), tag.padding(63536)]; // 2976 HU, within what is scanned
    expect(await padded(steep, true)).toEqual([255, 255]);
    const beyond = [tag.slope("-3"), tag.padding(63536)]; // 4976 HU
    expect(await padded(beyond, true)).toEqual([0, 255]);
  });

  test("that is a usual value is not obeyed", async () =>
    expect((await ct([tag.padding(1064)])).gray).toEqual(SHOWN));
});

describe("pictures of 8 bits", () => {
  const values = [0, 7, 200, 255];
  const picture = async (more: DicomElement[], changes: Partial<Slice> = {}) =>
    (await read({ ...slice(more), bits: 8, ...changes }, bytes(values))).gray;
  const ofScanner = [tag.slope("16"), tag.intercept("-1024")]; // -1024 to 3056 HU
  const inWindow = [0, 0, 255, 255]; // -1024, -912, 2176, 3056 HU

  test.each([
    ["as they are", NO_RESCALE],
    ["with a left-over window and rescale", [tag.center("500"), tag.width("2000")]],
    ["of another modality", [tag.modality("OT"), ...ofScanner]],
    ["captured", [tag.imageType("DERIVED\\SECONDARY"), ...ofScanner]],
    [
      "captured, by their class",
      [[8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.7"] as DicomElement, ...ofScanner],
    ],
    ["of no named type", [tag.type("US"), ...ofScanner]],
    ["that don't reach air", [tag.slope("16"), tag.intercept("-400")]],
    ["that don't reach bone", [tag.slope("5"), tag.intercept("-1024")]],
  ])("%s", async (_, more) => expect(await picture(more)).toEqual(values));

  test("inverted", async () =>
    expect(await picture([], { photometric: "MONOCHROME1" })).toEqual([255, 248, 55, 0]));

  test("in 16 bits, they are none", async () => {
    const wide = { ...slice(NO_RESCALE), stored: 8 };
    await expect(read(wide, words(values))).rejects.toThrow("no usable rescale");
  });

  test("of fewer bits that are used", async () => {
    const six = { stored: 6 }; // with the rescale -1024 to -16 HU, so no bone
    expect(await picture(ofScanner, six)).toEqual(values.map((value) => value & 63));
  });

  test("that reach from air to bone are CT values", async () => {
    expect(await picture(ofScanner)).toEqual(inWindow);
    expect(await picture([tag.slope("-16"), tag.intercept("3056")])).toEqual([255, 255, 10, 0]);
  });

  test("signed, they are none", async () =>
    expect(picture(NO_RESCALE, { signed: true })).rejects.toThrow("no usable rescale"));
});

describe("warnings", () => {
  const warned = async (units: number[], more: DicomElement[] = []) => {
    const row = { rows: 1, columns: units.length, signed: true, more };
    return (await read(row, words(units))).warning;
  };
  const many = (count: number, value: number) => new Array<number>(count).fill(value);

  test("no air", async () => {
    const least = [...many(199, 40), -1250]; // 0.5 %
    expect(await warned(least)).toBe("");
    expect(await warned([...least, 40])).toBe("no air is seen, which has -1000 Hounsfield units");
    expect(await warned([...many(199, 40), -1251])).toMatch(/no air/);
  });

  test("little tissue", async () => {
    const little = "little is seen that has the Hounsfield units of fat or soft tissue";
    expect(await warned([...many(95, -1000), ...many(5, 300)])).toBe(""); // 5 %
    expect(await warned([...many(96, -1000), ...many(4, 300)])).toBe(little);
    expect(await warned([...many(80, -1000), ...many(10, -200), ...many(10, 301)])).toBe("");
    expect(await warned([...many(80, -1000), ...many(9, -200), ...many(11, 301)])).toBe(little);
  });

  test("a localizer, before all else", async () => {
    const type = [tag.imageType("ORIGINAL\\PRIMARY\\LOCALIZER")];
    expect(await warned(UNITS, type)).toBe("this is a localizer, not a slice");
    expect(await warned(many(10, 40), type)).toBe("this is a localizer, not a slice");
    expect(await warned(UNITS, [tag.imageType("ORIGINAL\\PRIMARY\\AXIAL")])).toBe("");
  });
});
