/** What the first bytes of a file tell, before anything is decoded. */

export type Kind = "JPEG" | "PNG" | "TIFF" | "DICOM";

/** Bytes from the start of a file that `kindOf` needs. */
export const HEAD_BYTES = 132;

const MAGIC: [Kind, number[]][] = [
  ["JPEG", [0xff, 0xd8, 0xff]],
  ["PNG", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["TIFF", [0x49, 0x49, 0x2a, 0]],
  ["TIFF", [0x4d, 0x4d, 0, 0x2a]],
  ["TIFF", [0x49, 0x49, 0x2b, 0]],
  ["TIFF", [0x4d, 0x4d, 0, 0x2b]],
];

/** The format that the content of a file shows, whatever its name says; null if unknown. */
export function kindOf(data: Uint8Array): Kind | null {
  if (startsWith(data.subarray(128), [0x44, 0x49, 0x43, 0x4d])) return "DICOM";
  return MAGIC.find(([, magic]) => startsWith(data, magic))?.[0] ?? null;
}

function startsWith(data: Uint8Array, magic: number[]): boolean {
  return data.length >= magic.length && magic.every((byte, i) => data[i] === byte);
}

export interface PngHeader {
  width: number;
  height: number;
  bitDepth: number;
  colorType: number;
  interlaced: boolean;
}

/** Dimensions and pixel kind of a PNG; null where the header itself is cut short. */
export function pngHeader(data: Uint8Array): PngHeader | null {
  if (data.length < 33) return null;
  const view = new DataView(data.buffer, data.byteOffset);
  if (view.getUint32(12) !== 0x49484452) return null; // IHDR
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    bitDepth: data[24]!,
    colorType: data[25]!,
    interlaced: data[28] === 1,
  };
}

const IEND = [0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82];

/** Whether a PNG has its last chunk. */
export function pngIsComplete(data: Uint8Array): boolean {
  for (let at = data.length - 8; at >= 8; at--) {
    if (data[at] === 0x49 && IEND.every((byte, i) => data[at + i] === byte)) return true;
  }
  return false;
}

export interface JpegHeader {
  width: number;
  height: number;
  channels: number;
  complete: boolean;
}

/** Dimensions of a JPEG and whether its end is there; null where no frame header is found. */
export function jpegHeader(data: Uint8Array): JpegHeader | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let frame: Omit<JpegHeader, "complete"> | null = null;
  let at = 2;
  while (at + 4 <= data.length) {
    if (data[at] !== 0xff) return frame && { ...frame, complete: false };
    const marker = data[at + 1]!;
    if (marker === 0xff) {
      at += 1; // fill byte
      continue;
    }
    if (marker === 0xd9) return frame && { ...frame, complete: true };
    const length = view.getUint16(at + 2);
    if (isFrame(marker) && at + 10 <= data.length) {
      frame = {
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        channels: data[at + 9]!,
      };
    }
    at += 2 + length;
    if (marker === 0xda) at = endOfScan(data, at);
  }
  const ended = data[at] === 0xff && data[at + 1] === 0xd9;
  return frame && { ...frame, complete: ended };
}

function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

/** Where the next marker after coded data begins: not a stuffed byte, not a restart. */
function endOfScan(data: Uint8Array, start: number): number {
  for (let at = start; at + 1 < data.length; at++) {
    if (data[at] !== 0xff) continue;
    const next = data[at + 1]!;
    if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return data.length;
}
