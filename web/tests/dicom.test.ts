import { describe, expect, test } from "vitest";

import { decodeDicom } from "../src/decode/dicom";
import type { Pixels } from "../src/decode/pixels";
import {
  dicom,
  encapsulated,
  join,
  sliceElements,
  u16,
  type DicomElement,
  type Slice,
} from "./bytes";

const noJpeg = (): Promise<Pixels> => Promise.reject(new Error("no JPEG here"));
const pixels = (values: number[]): DicomElement => [0x7fe0, 0x10, "OW", values.flatMap(u16)];
const bytes = (values: number[]): DicomElement => [0x7fe0, 0x10, "OB", values];

const WINDOW: DicomElement[] = [
  [0x28, 0x1050, "DS", "100\\7"],
  [0x28, 0x1051, "DS", "201\\9"],
];
const RESCALE: DicomElement[] = [
  [0x28, 0x1052, "DS", "-1024"],
  [0x28, 0x1053, "DS", "1"],
];

async function gray(slice: Slice, data: DicomElement, syntax?: string): Promise<number[]> {
  const decoded = await decodeDicom(dicom([...sliceElements(slice), data], syntax), noJpeg);
  expect([decoded.height, decoded.width]).toEqual([slice.rows, slice.columns]);
  return [...decoded.rgb].filter((_, i) => i % 3 === 0);
}

const refusal = (data: Uint8Array) =>
  decodeDicom(data, noJpeg).then(
    () => "decoded",
    (error: Error) => error.message,
  );

describe("values to gray", () => {
  // window 100/201: share = (v - 99.5) / 200 + 0.5
  test("the file's own first window", async () => {
    const slice = { rows: 1, columns: 5, signed: true, more: WINDOW };
    const values = [-1000, 0, 100, 199, 3000];
    expect(await gray(slice, pixels(values))).toEqual([0, 1, 128, 254, 255]);
  });

  test("else the soft-tissue window, after the rescaling", async () => {
    // 40/400: share = (v - 39.5) / 399 + 0.5; of 0 HU 0.401, of 40 HU 0.5013
    const slice = { rows: 1, columns: 4, more: RESCALE };
    expect(await gray(slice, pixels([0, 1024, 1064, 4000]))).toEqual([0, 102, 128, 255]);
  });

  test("without a preamble of explicit types", async () => {
    const slice = { rows: 1, columns: 2, signed: true, more: WINDOW };
    expect(await gray(slice, pixels([-1000, 100]), "1.2.840.10008.1.2")).toEqual([0, 128]);
  });

  test("MONOCHROME1 is turned", async () => {
    const slice = { rows: 1, columns: 3, photometric: "MONOCHROME1", signed: true, more: WINDOW };
    expect(await gray(slice, pixels([-1000, 100, 3000]))).toEqual([255, 127, 0]);
  });

  test("bits above those stored are no part of a value", async () => {
    const slice = { rows: 1, columns: 2, stored: 12, more: [...WINDOW, ...RESCALE] };
    expect(await gray(slice, pixels([0xf000 + 1124, 1124]))).toEqual([128, 128]);
    const signed = { rows: 1, columns: 2, stored: 12, signed: true, more: WINDOW };
    expect(await gray(signed, pixels([0x0fff, 0x0064]))).toEqual([0, 128]); // -1 HU, 100 HU
  });

  test("bytes without window or rescaling are display values", async () => {
    expect(await gray({ rows: 2, columns: 2, bits: 8 }, bytes([0, 7, 200, 255]))).toEqual([
      0, 7, 200, 255,
    ]);
    const windowed = { rows: 1, columns: 2, bits: 8, more: WINDOW };
    expect(await gray(windowed, bytes([0, 100]))).toEqual([1, 128]);
  });
});

test("colours, interleaved or in planes", async () => {
  const slice = { rows: 1, columns: 2, bits: 8, samples: 3, photometric: "RGB" };
  const plain = dicom([...sliceElements(slice), bytes([1, 2, 3, 4, 5, 6])]);
  expect([...(await decodeDicom(plain, noJpeg)).rgb]).toEqual([1, 2, 3, 4, 5, 6]);
  const planar = { ...slice, more: [[0x28, 0x06, "US", u16(1)] as DicomElement] };
  const planes = dicom([...sliceElements(planar), bytes([1, 4, 2, 5, 3, 6])]);
  expect([...(await decodeDicom(planes, noJpeg)).rgb]).toEqual([1, 2, 3, 4, 5, 6]);
});

test("run-length coded values", async () => {
  // two planes of 16-bit values: high bytes 0 0 0 0 as a run, low bytes 0 100 200 250 as they are
  const head = [2, 64, 66, ...new Array<number>(13).fill(0)].flatMap((n) => [...u16(n), 0, 0]);
  const frame = [...head, 0xfd, 0, 3, 0, 100, 200, 250, 0];
  const elements = dicom(
    sliceElements({ rows: 2, columns: 2, more: WINDOW }),
    "1.2.840.10008.1.2.5",
  );
  const decoded = await decodeDicom(join(elements, encapsulated(frame)), noJpeg);
  expect([...decoded.rgb].filter((_, i) => i % 3 === 0)).toEqual([1, 128, 255, 255]);
});

test("baseline JPEG goes through the browser's decoder, then the window", async () => {
  const elements = dicom(
    sliceElements({ rows: 1, columns: 2, bits: 8, more: WINDOW }),
    "1.2.840.10008.1.2.4.50",
  );
  const given: number[][] = [];
  const decoded = await decodeDicom(join(elements, encapsulated([9, 8])), (data) => {
    given.push([...data]);
    return Promise.resolve({ width: 2, height: 1, rgb: Uint8Array.of(0, 0, 0, 100, 100, 100) });
  });
  expect(given).toEqual([[9, 8]]);
  expect([...decoded.rgb]).toEqual([1, 1, 1, 128, 128, 128]);
});

describe("what is refused", () => {
  const slice: Slice = { rows: 2, columns: 2 };
  const whole = pixels([1, 2, 3, 4]);

  test("a compression, by its name", async () => {
    const data = dicom([...sliceElements(slice), whole], "1.2.840.10008.1.2.4.70");
    expect(await refusal(data)).toMatch(/JPEG Lossless.*1\.2\.840\.10008\.1\.2\.4\.70.*gdcmconv/);
  });

  test("no pixels", async () => {
    expect(await refusal(dicom(sliceElements(slice)))).toMatch(/\(CT\) holds no image/);
  });

  test("too few pixels", async () => {
    expect(await refusal(dicom([...sliceElements(slice), pixels([1, 2])]))).toMatch(/cut short/);
  });

  test("more pixels than the limit, before they are read", async () => {
    const huge = dicom([...sliceElements({ rows: 20000, columns: 20000 }), pixels([1])]);
    expect(await refusal(huge)).toMatch(/20000 × 20000 = 400,000,000 pixels/);
  });

  test("several frames", async () => {
    const frames: DicomElement[] = [[0x28, 0x08, "IS", "30"]];
    const data = dicom([...sliceElements({ ...slice, more: frames }), whole]);
    expect(await refusal(data)).toMatch(/30 frames/);
  });

  test("colours of an unknown kind", async () => {
    const palette = { ...slice, photometric: "PALETTE COLOR" };
    expect(await refusal(dicom([...sliceElements(palette), whole]))).toMatch(/PALETTE COLOR/);
  });

  test("a damaged file", async () => {
    const data = dicom([...sliceElements(slice), whole]);
    expect(await refusal(data.slice(0, data.length - 3))).toMatch(/cut short|damaged/);
  });
});
