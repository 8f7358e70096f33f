import { TellableError } from "../errors";
import { pngChunks, type PngHeader } from "./header";
import { inflate } from "./inflate";

/**
 * Values of a gray PNG of 16 bits. Browsers keep only the upper eight, which would turn a slice
 * saved with 12 significant bits nearly black.
 */
export async function decodeGray16(data: Uint8Array, header: PngHeader): Promise<Uint16Array> {
  if (header.interlaced) {
    throw new TellableError("Interlaced 16-bit PNG is not read here; save it without interlace.");
  }
  const { width, height } = header;
  const stride = width * 2;
  const raw = await inflate(imageData(data), (stride + 1) * height);
  const values = new Uint16Array(width * height);
  let above: Uint8Array = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1);
    const row = raw.subarray(start + 1, start + 1 + stride);
    unfilter(raw[start]!, row, above);
    for (let x = 0; x < width; x++) {
      values[y * width + x] = (row[2 * x]! << 8) | row[2 * x + 1]!;
    }
    above = row;
  }
  return values;
}

/** The contents of all IDAT chunks. */
function imageData(data: Uint8Array): Uint8Array<ArrayBuffer>[] {
  return [...pngChunks(data)]
    .filter(({ type }) => type === "IDAT")
    .map(({ content }) => content.slice());
}

/** Undo a PNG row filter (PNG specification, section 9) in place; two bytes a pixel. */
export function unfilter(filter: number, row: Uint8Array, above: Uint8Array): void {
  for (let i = 0; i < row.length; i++) {
    const left = i >= 2 ? row[i - 2]! : 0;
    const up = above[i]!;
    const corner = i >= 2 ? above[i - 2]! : 0;
    row[i] = row[i]! + predicted(filter, left, up, corner);
  }
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4:
      return paeth(left, up, corner);
    default:
      throw new Error(`unknown row filter ${filter}`);
  }
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const a = Math.abs(guess - left);
  const b = Math.abs(guess - up);
  const c = Math.abs(guess - corner);
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}
