import { readFile } from "node:fs/promises";

import { afterEach, expect, test, vi } from "vitest";

import { decodeDicom } from "../src/decode/dicom";
import { rint } from "../src/decode/pixels";
import {
  dicom,
  encapsulated,
  join,
  sliceElements,
  u16,
  type DicomElement,
  type Slice,
} from "./bytes";

const LOSSLESS = "1.2.840.10008.1.2.4.57";
const JPEG_LS = "1.2.840.10008.1.2.4.80";
const JPEG_2000 = "1.2.840.10008.1.2.4.90";

/** 4 x 4 values of 12 bits: 0, 273, 546 ... 4095; made by CharLS and OpenJPEG. */
const STREAMS = {
  [JPEG_LS]: "/9j/9wALDAAEAAQBAREA/9oACAEBAAAAAIAwgGEAwgAAAABIAMRIADEAAAAAEgjxHCQEhiNEYI8A/9k=",
  [JPEG_2000]:
    "/0//UQApAAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAABCwEB/1IADAACAAEAAAQEAAH/XAAEQGD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAArAAH/k9/gaBIaOW6hgtb6JLHlff2RE9gAaoaFvljN0P9//9k=",
};
/** The same less 2048, signed. */
const SIGNED =
  "/0//UQApAAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAABiwEB/1IADAACAAEAAAQEAAH/XAAEQGD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAArAAH/k9/gaBIaOW6hgtb6JLHlff2RE9gAaoaFvljN0P9//9k=";
const SIGNED_8_BITS =
  "/0//UQApAAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAABhwEB/1IADAACAAEAAAQEAAH/XAAEQED/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAAjAAH/k9+AkBOMRHVyLyBIZ5fO6NJlfnjZf//Z";
/** With jumps in the third row, by the fourth predictor, the seventh with restarts, the first. */
const JUMPS = [
  "/9j/xAAkAAAAAAARAAAAAAAAAAAAAAAAAQIDBAUGBwgJCgsMDQ4PEP/DAAsMAAQABAEBEQD/2gAIAQEABAAAY/8ApiKYimIriIAAGXdtd3r1+xy9RmNiILKAyND/2Q==",
  "/9j/xAAkAAAAAAARAAAAAAAAAAAAAAAAAQIDBAUGBwgJCgsMDQ4PEP/DAAsMAAQABAEBEQD/3QAEAAj/2gAIAQEABwAAY/8ApiKYimIriIqq1VWqq//QX/8AYAAv6CwgKMxfd1wYZEB//9k=",
];
const SHIFTED =
  "/9j/xAAkAAAAAAARAAAAAAAAAAAAAAAAAQIDBAUGBwgJCgsMDQ4PEP/DAAsMAAQABAEBEQD/2gAIAQEAAQACU/54h4h4iYieIeIeIq7lAAn6JB6DM8Q8Q8T/2Q==";

const EVEN = Array.from({ length: 16 }, (_, i) => 273 * i);
const JUMPING = EVEN.map((value, i) => [4095, 0, 2000, 17][i - 8] ?? value);

// each value has a gray level of its own: gray = value / 16, from a window of 4096
const WINDOW: DicomElement[] = [
  [0x28, 0x1050, "DS", "2040"],
  [0x28, 0x1051, "DS", "4080"],
  [0x28, 0x1056, "CS", "LINEAR_EXACT"],
];
const grayLevels = (values: number[]) =>
  values.map((value) => Math.min(255, Math.max(0, rint(value / 16))));

function file(stream: string, syntax: string, changes: Partial<Slice> = {}): Uint8Array {
  const slice = { rows: 4, columns: 4, stored: 12, more: WINDOW, ...changes };
  const fragment = [...Buffer.from(stream, "base64")];
  return join(dicom(sliceElements(slice), { syntax }), encapsulated([fragment]));
}

async function grayOf(data: Uint8Array): Promise<number[]> {
  const noJpeg = () => Promise.reject(new Error("no JPEG here"));
  return [...(await decodeDicom(data, noJpeg)).rgb].filter((_, i) => i % 3 === 0);
}

/** Binaries come from the page's folder; here, from the packages. */
const serveBinaries = (url: URL) => readFile(`.${url.pathname}`).then((file) => new Response(file));

afterEach(() => void vi.unstubAllGlobals());

test("a decoder that does not load is told, not taken for a damaged file", async () => {
  vi.resetModules();
  const { decompress } = await import("../src/decode/codecs");
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(null, { status: 404 })));
  await expect(decompress(new Uint8Array(9), "jpeg-ls")).rejects.toThrow("did not load");
});

test.each([JPEG_LS, JPEG_2000] as const)("%s", async (syntax) => {
  vi.stubGlobal("fetch", serveBinaries);
  const stream = STREAMS[syntax];
  expect(await grayOf(file(stream, syntax))).toEqual(grayLevels(EVEN));
  const cut = Buffer.from(stream, "base64").subarray(0, -12).toString("base64");
  await expect(grayOf(file(cut, syntax))).rejects.toBeDefined();
  await expect(grayOf(file(stream, syntax, { rows: 2 }))).rejects.toThrow("of another size");
});

test("values are signed where the tags say so, whatever the compression says", async () => {
  vi.stubGlobal("fetch", serveBinaries);
  const intercept: DicomElement = [0x28, 0x1052, "DS", "2048"];
  const signed = { signed: true, more: [...WINDOW, intercept] };
  const upperHalfFirst = EVEN.map((value) => (value < 2048 ? value + 2048 : value - 2048));
  expect(await grayOf(file(SIGNED, JPEG_2000, signed))).toEqual(grayLevels(EVEN));
  for (const syntax of [JPEG_LS, JPEG_2000] as const) {
    for (const stored of [12, 16]) {
      const data = file(STREAMS[syntax], syntax, { ...signed, stored }); // its own 12 bits count
      expect(await grayOf(data)).toEqual(grayLevels(upperHalfFirst));
    }
  }
  expect(await grayOf(file(SIGNED, JPEG_2000))).toEqual(grayLevels(upperHalfFirst));
});

test("signed JPEG 2000 of 8 bits is refused: its decoder cuts off what is below zero", async () => {
  vi.stubGlobal("fetch", serveBinaries);
  const slice = { bits: 8, stored: 8, signed: true };
  await expect(grayOf(file(SIGNED_8_BITS, JPEG_2000, slice))).rejects.toThrow("signed values of 8");
});

test("lossless JPEG", async () => {
  for (const stream of JUMPS) {
    expect(await grayOf(file(stream, LOSSLESS))).toEqual(grayLevels(JUMPING));
  }
  const rough = JUMPING.map((value) => value & ~3);
  expect(await grayOf(file(SHIFTED, LOSSLESS))).toEqual(grayLevels(rough));
  const low = JUMPING.map((value) => value & 1023);
  expect(await grayOf(file(JUMPS[0]!, LOSSLESS, { stored: 10 }))).toEqual(grayLevels(low));
});

test("lossless JPEG that is cut short or of another size is refused", async () => {
  const whole = Buffer.from(JUMPS[0]!, "base64");
  for (let size = 20; size < whole.length; size += 3) {
    const cut = whole.subarray(0, size).toString("base64");
    await expect(grayOf(file(cut, LOSSLESS)), `${size} bytes`).rejects.toBeDefined();
  }
  await expect(grayOf(file(JUMPS[0]!, LOSSLESS, { rows: 5 }))).rejects.toThrow("of another size");
  const planes: Partial<Slice> = { bits: 8, stored: 8, more: [[0x28, 0x10, "US", u16(4)]] };
  await expect(grayOf(file(JUMPS[0]!, LOSSLESS, planes))).rejects.toThrow("don't fit its tags");
});
