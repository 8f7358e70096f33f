import { describe, expect, test } from "vitest";

import { unknownKind } from "../src/decode/decode";
import { jpegHeader, kindOf, pngHeader, pngIsComplete, pngPictures } from "../src/decode/header";
import { decodePng } from "../src/decode/raster";
import { ascii, join } from "./bytes";

const PNG_START = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const IEND = [0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82];

describe("kind by content", () => {
  test.each([
    ["JPEG", [0xff, 0xd8, 0xff, 0xe0]],
    ["PNG", PNG_START],
    ["TIFF", [...ascii("II*\0")]],
    ["TIFF", [...ascii("MM\0*")]],
    ["DICOM", [...new Array<number>(128).fill(0), ...ascii("DICM")]],
    ["DICOM", [2, 0, 0, 0, ...ascii("UL")]], // no preamble, but a meta group
    ["DICOM", [2, 0, 2, 0, ...ascii("UI")]],
    ["DICOM", [8, 0, 5, 0, ...ascii("CS")]], // nor that
    ["DICOM", [8, 0, 0x18, 0, 26, 0, 0, 0]], // nor types of elements
  ])("%s", (kind, bytes) => expect(kindOf(Uint8Array.from(bytes))).toBe(kind));

  test.each([
    [""],
    ["GIF89a"],
    ["words"],
    ["BM"],
    ["\x02\0\x10\0UI"], // a later element of the meta group
    ["\x08\0\x05\0PN"], // of a type that no first element has
    ["\x08\0\x05\0\x41\0\0\0"], // longer than any first element
    ["\x08\0\x19\0CS"],
    ["\0\x08\0\x05CS"], // highest byte first
  ])("%s is none", (text) => expect(kindOf(ascii(text))).toBeNull());

  test("an unknown file's message shows how it begins", () =>
    expect(unknownKind(ascii("hello\nthere, all"))).toMatch(/begins with “hello·th”/));
});

describe("PNG", () => {
  const header = [
    0,
    0,
    0,
    13,
    ...ascii("IHDR"),
    0,
    0,
    0x4e,
    0x20,
    0,
    0,
    0,
    7,
    16,
    0,
    0,
    0,
    1,
    1,
    2,
    3,
    4,
  ];
  const whole = join(PNG_START, header, IEND);

  test("dimensions and kind of pixel", () =>
    expect(pngHeader(whole)).toEqual({
      width: 20000,
      height: 7,
      bitDepth: 16,
      colorType: 0,
      interlaced: true,
    }));

  test("cut before the header's end", () => expect(pngHeader(whole.slice(0, 30))).toBeNull());

  test("pictures of an animated one", async () => {
    const chunk = (type: string, data: number[]) => [
      0,
      0,
      0,
      data.length,
      ...ascii(type),
      ...data,
      0,
      0,
      0,
      0,
    ];
    const animation = (frames: number) => chunk("acTL", [0, 0, 0, frames, 0, 0, 0, 0]);
    const [first, picture] = [chunk("fcTL", []), chunk("IDAT", [1, 2])];
    const png = (...chunks: number[][]) => join(PNG_START, header, ...chunks, IEND);
    expect(pngPictures(png(picture))).toBe(1);
    expect(pngPictures(png(picture, animation(2)))).toBe(1); // too late to count
    expect(pngPictures(png(animation(1), first, picture))).toBe(1);
    expect(pngPictures(png(animation(2), first, picture))).toBe(2);
    expect(pngPictures(png(animation(1), picture, first))).toBe(2); // one beside the animation
    await expect(decodePng(png(animation(2), first, picture))).rejects.toThrow("holds 2 pages");
  });

  test("its end", () => {
    expect(pngIsComplete(whole)).toBe(true);
    expect(pngIsComplete(join(whole, [1, 2, 3]))).toBe(true); // bytes after the end do no harm
    expect(pngIsComplete(whole.slice(0, -1))).toBe(false);
  });
});

describe("JPEG", () => {
  const thumbnail = [0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0]; // has an end of its own
  const frame = [0xff, 0xc2, 0, 11, 8, 0x02, 0x00, 0x01, 0x00, 1, 1, 0x11, 0];
  const scan = [0xff, 0xda, 0, 4, 0, 0, 1, 2, 0xff, 0x00, 3, 0xff, 0xd3, 4];
  const whole = join([0xff, 0xd8], thumbnail, frame, scan, scan, [0xff, 0xd9]);

  test("dimensions, channels, end", () =>
    expect(jpegHeader(whole)).toEqual({ width: 256, height: 512, channels: 1, complete: true }));

  test("cut anywhere after the frame header, it has no end", () => {
    const start = 2 + thumbnail.length + frame.length;
    for (let size = start; size < whole.length; size++) {
      expect(jpegHeader(whole.slice(0, size))?.complete, `${size} bytes`).toBe(false);
    }
  });

  test("cut before the frame header, nothing is known", () =>
    expect(jpegHeader(whole.slice(0, 10))).toBeNull());

  test("bytes after the end do no harm", () =>
    expect(jpegHeader(join(whole, [0, 0, 9]))?.complete).toBe(true));
});
