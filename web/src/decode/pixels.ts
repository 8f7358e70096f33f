import { TellableError } from "../errors";

/** A decoded picture: RGB, three bytes a pixel, rows from the top. */
export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array;
  /** Why this may not be a CT slice in its true gray levels; "" where nothing says so. */
  warning: string;
}

/** Largest accepted width x height; a CT slice has 512 x 512 to 2048 x 2048 pixels. */
export const PIXEL_LIMIT = 8192 * 8192;

export function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1) {
    throw new TellableError("The image has no pixels; copy or export it again.");
  }
  if (width * height > PIXEL_LIMIT) {
    const pixels = (width * height).toLocaleString("en-US");
    throw new TellableError(
      `The image has ${width} × ${height} = ${pixels} pixels, above the limit of ` +
        `${PIXEL_LIMIT.toLocaleString("en-US")}; scale it down.`,
    );
  }
}

/** Round to the nearest integer, halves to the even one, as NumPy's rint does. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Three equal channels of each gray value. */
export function grayToRgb(gray: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(gray.length * 3);
  for (let i = 0, j = 0; i < gray.length; i++) {
    const value = gray[i]!;
    rgb[j++] = value;
    rgb[j++] = value;
    rgb[j++] = value;
  }
  return rgb;
}

/** Drop the fourth channel, which is opaque. */
export function rgbaToRgb(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i]!;
    rgb[j++] = rgba[i + 1]!;
    rgb[j++] = rgba[i + 2]!;
  }
  return rgb;
}

const BIT_DEPTHS = [8, 10, 12, 14, 16];

/** Gray bytes of unsigned values, by the smallest common bit depth that holds their maximum. */
export function scaleUnsigned(values: Uint16Array): Uint8Array {
  const top = values.reduce((a, b) => Math.max(a, b), 0);
  const bits = BIT_DEPTHS.find((depth) => top < 2 ** depth)!;
  const factor = 255 / (2 ** bits - 1);
  return Uint8Array.from(values, (value) => rint(value * factor));
}
