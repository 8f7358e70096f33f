import { deflateRawSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { decodeDicom } from "../src/decode/dicom";
import type { Pixels } from "../src/decode/pixels";
import {
  body,
  bytes,
  dicom,
  encapsulated,
  join,
  metaGroup,
  sliceElements,
  u16,
  words,
  type DicomElement,
  type Slice,
} from "./bytes";

const noJpeg = (): Promise<Pixels> => Promise.reject(new Error("no JPEG here"));

const RLE = "1.2.840.10008.1.2.5";
const JPEG = "1.2.840.10008.1.2.4.50";
const DEFLATED = "1.2.840.10008.1.2.1.99";
const IMPLICIT = "1.2.840.10008.1.2";
const BIG_ENDIAN = "1.2.840.10008.1.2.2";

/** The window 100/201 without rescale: share = (v - 99.5) / 200 + 0.5. */
const WINDOW: DicomElement[] = [
  [0x28, 0x1050, "DS", "100"],
  [0x28, 0x1051, "DS", "201"],
];
const SLICE: Slice = { rows: 1, columns: 5, signed: true, more: WINDOW };
const VALUES = [-1000, 0, 100, 199, 3000];
const GRAY = [0, 1, 128, 254, 255];

async function grayOf(data: Uint8Array): Promise<number[]> {
  const { rgb } = await decodeDicom(data, noJpeg);
  return [...rgb].filter((_, i) => i % 3 === 0);
}

const refusal = (data: Uint8Array) =>
  decodeDicom(data, noJpeg).then(
    () => "decoded",
    (error: Error) => error.message,
  );

describe("how a file is written", () => {
  const elements = [...sliceElements(SLICE), words(VALUES)];

  test("with types of elements, or without", async () => {
    expect(await grayOf(dicom(elements))).toEqual(GRAY);
    expect(await grayOf(dicom(elements, { syntax: IMPLICIT, implicit: true }))).toEqual(GRAY);
  });

  test("otherwise than its syntax says", async () => {
    expect(await grayOf(dicom(elements, { syntax: IMPLICIT }))).toEqual(GRAY);
    expect(await grayOf(dicom(elements, { implicit: true }))).toEqual(GRAY);
  });

  test("highest byte first", async () => {
    const encoding = { syntax: BIG_ENDIAN, bigEndian: true };
    const turned = VALUES.flatMap((value) => u16(value).toReversed());
    const pixels: DicomElement = [0x7fe0, 0x10, "OW", turned];
    const data = dicom([...sliceElements(SLICE, encoding), pixels], encoding);
    expect(await grayOf(data)).toEqual(GRAY);
    const slice = { rows: 1, columns: 4, bits: 8, more: [[0x08, 0x60, "CS", "OT"]] } as Slice;
    const swapped: DicomElement = [0x7fe0, 0x10, "OW", [2, 1, 4, 3]]; // bytes in words
    const small = dicom([...sliceElements(slice, encoding), swapped], encoding);
    expect(await grayOf(small)).toEqual([1, 2, 3, 4]);
  });

  test("without the preamble, or the meta group", async () => {
    expect(await grayOf(join(metaGroup(), body(elements)))).toEqual(GRAY);
    expect(await grayOf(body(elements))).toEqual(GRAY);
    expect(await grayOf(body(elements, { implicit: true }))).toEqual(GRAY);
  });

  test("deflated, with a checksum, a size and padding after the end", async () => {
    const deflated = deflateRawSync(body(elements));
    const start = dicom([], { syntax: DEFLATED });
    expect(await grayOf(join(start, deflated))).toEqual(GRAY);
    expect(await grayOf(join(start, deflated, [1, 2, 3, 4, 5, 6, 7, 8, 0]))).toEqual(GRAY);
    expect(await refusal(join(start, deflated.subarray(0, -9)))).not.toBe("decoded");
  });

  test("with padding after the pixels, cut short", async () => {
    const padding: DicomElement = [0xfffc, 0xfffc, "OB", [0, 0, 0, 0]];
    expect(await grayOf(dicom([...elements, padding]).slice(0, -3))).toEqual(GRAY);
  });
});

describe("stored values", () => {
  test("bits above those stored are no part of a value", async () => {
    const slice = { ...SLICE, columns: 2, stored: 12 };
    const signed = dicom([...sliceElements(slice), words([0x0fff, 0xf064])]);
    expect(await grayOf(signed)).toEqual([0, 128]); // -1, 100
    const unsigned = dicom([...sliceElements({ ...slice, signed: false }), words([0xf064, 0x64])]);
    expect(await grayOf(unsigned)).toEqual([128, 128]);
  });

  test("of 32 bits", async () => {
    const slice = { ...SLICE, columns: 2, bits: 32 };
    const pixels: DicomElement = [0x7fe0, 0x10, "OW", [100, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]];
    expect(await grayOf(dicom([...sliceElements(slice), pixels]))).toEqual([128, 0]);
    const unsigned = { ...slice, signed: false };
    expect(await grayOf(dicom([...sliceElements(unsigned), pixels]))).toEqual([128, 255]);
  });

  test("run-length coded", async () => {
    // two planes of 16-bit values: high bytes 0 0 0 0 as a run, low bytes 0 100 200 250 as they are
    const head = [2, 64, 66, ...new Array<number>(13).fill(0)].flatMap((n) => [...u16(n), 0, 0]);
    const frame = [...head, 0xfd, 0, 3, 0, 100, 200, 250, 0];
    const start = dicom(sliceElements({ ...SLICE, rows: 2, columns: 2 }), { syntax: RLE });
    expect(await grayOf(join(start, encapsulated([frame])))).toEqual([1, 128, 255, 255]);
    expect(await grayOf(join(start, encapsulated([frame.slice(0, 66), frame.slice(66)])))).toEqual(
      [1, 128, 255, 255], // in two fragments
    );
    const cut = encapsulated([frame.slice(0, -2)]);
    await expect(grayOf(join(start, cut))).rejects.toThrow("an RLE segment is cut short");
  });

  test("of baseline JPEG, by the browser's decoder", async () => {
    const slice = { rows: 1, columns: 2, bits: 8, photometric: "MONOCHROME1" };
    const start = dicom(sliceElements(slice), { syntax: JPEG });
    const given: number[][] = [];
    const decoded = await decodeDicom(join(start, encapsulated([[9, 8]])), (data) => {
      given.push([...data]);
      const rgb = Uint8Array.of(0, 0, 0, 100, 100, 100);
      return Promise.resolve({ width: 2, height: 1, rgb, warning: "" });
    });
    expect(given).toEqual([[9, 8]]);
    expect([...decoded.rgb]).toEqual([255, 255, 255, 155, 155, 155]);
  });
});

describe("colours", () => {
  const slice: Slice = {
    rows: 1,
    columns: 2,
    bits: 8,
    samples: 3,
    photometric: "RGB",
    more: [[0x28, 0x06, "US", u16(0)]],
  };
  const planar: Slice = { ...slice, more: [[0x28, 0x06, "US", u16(1)]] };
  const interleaved = bytes([1, 2, 3, 4, 5, 6]);
  const rgbOf = async (data: Uint8Array) => [...(await decodeDicom(data, noJpeg)).rgb];

  test("side by side, or in planes", async () => {
    expect(await rgbOf(dicom([...sliceElements(slice), interleaved]))).toEqual([1, 2, 3, 4, 5, 6]);
    const planes = dicom([...sliceElements(planar), bytes([1, 4, 2, 5, 3, 6])]);
    expect(await rgbOf(planes)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("the full YBR of baseline JPEG, turned by its decoder", async () => {
    const elements = sliceElements({ ...slice, photometric: "YBR_FULL_422" });
    const data = join(dicom(elements, { syntax: JPEG }), encapsulated([[9, 8]]));
    const rgb = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const jpeg = () => Promise.resolve({ width: 2, height: 1, rgb, warning: "" });
    expect((await decodeDicom(data, jpeg)).rgb).toEqual(rgb);
    const other = () => Promise.resolve({ width: 1, height: 2, rgb, warning: "" });
    await expect(decodeDicom(data, other)).rejects.toThrow("of another size");
  });

  test.each([
    ["YBR_FULL", 8, "1.2.840.10008.1.2.1", "Explicit VR Little Endian"],
    ["RGB", 16, "1.2.840.10008.1.2.1", "16 bits"],
    ["RGB", 8, JPEG, "JPEG Baseline"],
    ["RGB", 8, "1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless"],
    ["PALETTE COLOR", 8, "1.2.840.10008.1.2.1", "PALETTE COLOR"],
  ])("other kinds are refused: %s, %i bits, %s", async (photometric, bits, syntax, words) => {
    const elements = [...sliceElements({ ...slice, photometric, bits }), interleaved];
    expect(await refusal(dicom(elements, { syntax }))).toMatch(
      new RegExp(`DICOM colours of the kind ${photometric}.*${words}|${words}.*are not read`),
    );
  });
});

describe("what is refused", () => {
  const refused = (slice: Partial<Slice>, pixels?: DicomElement, syntax?: string) =>
    refusal(
      dicom([...sliceElements({ ...SLICE, ...slice }), ...(pixels ? [pixels] : [])], { syntax }),
    );
  const withTag = (tag: DicomElement) => refused({ more: [tag] }, words(VALUES));

  test("a compression that is not read, by its name", async () => {
    const syntax = "1.2.840.10008.1.2.4.51";
    expect(await refused({}, words(VALUES), syntax)).toMatch(/JPEG Extended.*4\.51.*gdcmconv/);
    expect(await refused({}, words(VALUES), JPEG)).toMatch(/JPEG Baseline.*gdcmconv/); // 16 bits
  });

  test("no pixels", async () => expect(await refused({})).toMatch(/\(CT\) holds no image/));

  test("too few pixels", async () => expect(await refused({}, words([1, 2]))).toMatch(/cut short/));

  test("more pixels than the limit, before they are read", async () =>
    expect(await refused({ rows: 20000, columns: 20000 }, words([1]))).toMatch(
      /20000 × 20000 = 400,000,000 pixels/,
    ));

  test("several frames, named or not", async () => {
    expect(await withTag([0x28, 0x08, "IS", "30"])).toMatch(/holds 30 frames/);
    expect(await refused({}, words([...VALUES, ...VALUES]))).toMatch(/holds 2 frames/);
    const start = dicom(sliceElements(SLICE), { syntax: RLE });
    const table = [0, 10];
    expect(
      await refusal(
        join(
          start,
          encapsulated(
            [
              [1, 2],
              [3, 4],
            ],
            table,
          ),
        ),
      ),
    ).toMatch(/2 frames/);
  });

  test("a number of frames that is none", async () => {
    for (const text of ["1A", "-1", "1.5"]) {
      expect(await withTag([0x28, 0x08, "IS", text]), text).toBe(`${text} frames`);
    }
    expect(await grayOf(dicom([...sliceElements(SLICE), words(VALUES)]))).toEqual(GRAY);
  });

  test("bits that don't fit", async () => {
    expect(await refused({ bits: 12 }, words(VALUES))).toMatch(/values of 12 bits in 12/);
    expect(await refused({ stored: 17 }, words(VALUES))).toMatch(/values of 17 bits in 16/);
    expect(await withTag([0x28, 0x102, "US", u16(11)])).toMatch(/HighBit/);
  });

  test("a file without a tag that it needs", async () => {
    for (const element of [0x02, 0x10, 0x11, 0x100, 0x101, 0x103]) {
      expect(await withTag([0x28, element, "", ""]), String(element)).toMatch(/lacks x0028/);
    }
  });

  test("a file that is cut short", async () => {
    const whole = dicom([...sliceElements(SLICE), words(VALUES)]);
    for (let size = 132; size < whole.length - 1; size += 7) {
      expect(await refusal(whole.slice(0, size)), `${size} bytes`).not.toBe("decoded");
    }
    const start = dicom(sliceElements(SLICE), { syntax: RLE });
    const endless = encapsulated([[1, 2]]).slice(0, -8);
    expect(await refusal(join(start, endless))).toMatch(/cut short/);
  });
});
