import { deflateSync } from "node:zlib";

import { describe, expect, test } from "vitest";

import { decimal } from "../src/decode/dicom-tags";
import { SOFT_TISSUE, windowed } from "../src/decode/hounsfield";
import { checkSize, grayToRgb, rgbaToRgb, rint, scaleUnsigned } from "../src/decode/pixels";
import { decodeGray16, unfilter } from "../src/decode/png16";
import { ascii, join } from "./bytes";

test("halves are rounded to the even number, as NumPy does", () =>
  expect([0.5, 1.5, 2.5, 2.4, 2.6, 254.5].map(rint)).toEqual([0, 2, 2, 2, 3, 254]));

test("the size limit", () => {
  expect(() => checkSize(8192, 8192)).not.toThrow();
  expect(() => checkSize(8193, 8192)).toThrow(/scale it down/);
  expect(() => checkSize(0, 5)).toThrow(/no pixels/);
});

test("channels", () => {
  expect([...grayToRgb(Uint8Array.of(3, 9))]).toEqual([3, 3, 3, 9, 9, 9]);
  expect([...rgbaToRgb(Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255))]).toEqual([
    1, 2, 3, 4, 5, 6,
  ]);
});

test.each([
  [
    [0, 255],
    [0, 255],
  ],
  [
    [0, 512, 1023],
    [0, 128, 255],
  ],
  [
    [0, 256, 4095],
    [0, 16, 255],
  ],
  [
    [0, 65535],
    [0, 255],
  ],
])("values %j of the smallest bit depth that holds them", (values, gray) =>
  expect([...scaleUnsigned(Uint16Array.from(values))]).toEqual(gray),
);

describe("window", () => {
  test("ends and middle", () => {
    const gray = [-1000, -160, -159, 40, 240, 1000].map((v) => windowed(v, SOFT_TISSUE));
    expect(gray).toEqual([0, 0, 1, 128, 255, 255]);
  });

  test("the exact and the sigmoid function", () => {
    const window = { center: 40, width: 400 };
    const exact = [-160, -159, 40, 239, 240].map((v) => windowed(v, window, "LINEAR_EXACT"));
    expect(exact).toEqual([0, 1, 128, 254, 255]);
    const sigmoid = [-1e9, -60, 40, 140, 1e9].map((v) => windowed(v, window, "SIGMOID"));
    expect(sigmoid).toEqual([0, 69, 128, 186, 255]); // 255 / (1 + e), 255 / 2, 255 e / (1 + e)
  });
});

test("decimal strings as numbers", () => {
  const numbers = ["40", " -1024.5 ", "+4e2", ".5", "5.", "0"];
  expect(numbers.map(decimal)).toEqual([40, -1024.5, 400, 0.5, 5, 0]);
  const none = ["", " ", "1\\2", "0x10", "1,5", "about 1", "Infinity", "1e999", "e5", "."];
  expect(none.map(decimal)).toEqual(none.map(() => null));
});

describe("PNG of 16 bits", () => {
  const header = { width: 2, height: 2, bitDepth: 16, colorType: 0, interlaced: false };

  function png(rows: number[]): Uint8Array {
    const data = deflateSync(Uint8Array.from(rows));
    const chunk = (part: Uint8Array) =>
      join([0, 0, 0, part.length], ascii("IDAT"), part, [0, 0, 0, 0]);
    // in two chunks, as an encoder may divide it
    return join(new Uint8Array(8), chunk(data.subarray(0, 5)), chunk(data.subarray(5)));
  }

  test("values, high byte first, rows unfiltered", async () => {
    const rows = [1, 0x01, 0x02, 0x01, 0x01, 2, 0x00, 0x01, 0x10, 0x00]; // left, then above
    expect([...(await decodeGray16(png(rows), header))]).toEqual([0x0102, 0x0203, 0x0103, 0x1203]);
  });

  test("cut short", async () =>
    expect(decodeGray16(png([0, 1, 2, 3, 4]), header)).rejects.toThrow());

  test("the average and the Paeth filter, by hand", () => {
    const above = Uint8Array.of(10, 20, 30, 40);
    const average = Uint8Array.of(1, 1, 1, 1);
    unfilter(3, average, above);
    expect([...average]).toEqual([6, 11, 19, 26]); // 1 + floor((left + above) / 2)
    const paeth = Uint8Array.of(1, 1, 1, 1);
    unfilter(4, paeth, above);
    expect([...paeth]).toEqual([11, 21, 31, 41]); // above is nearest to left + above - corner
    const left = Uint8Array.of(5, 5, 5, 5);
    unfilter(4, left, Uint8Array.of(10, 20, 10, 20));
    expect([...left]).toEqual([15, 25, 20, 30]); // then left is
    const corner = Uint8Array.of(246, 246, 1, 1);
    unfilter(4, corner, Uint8Array.of(20, 20, 30, 30));
    expect([...corner]).toEqual([10, 10, 21, 21]); // then the corner is
  });
});
