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

/** Old archives leave out the preamble: a file begins with its meta group or with group 8. */
const DICOM_START =
  /^(\x02\0[\0-\x02]\0(UL|OB|UI)|\x08\0[\0-\x18]\0((UL|CS|UI|DA|TM)|[\0-\x40]\0\0\0))/;

/** The format that the content of a file shows, whatever its name says; null if unknown. */
export function kindOf(data: Uint8Array): Kind | null {
  if (hasPreamble(data) || DICOM_START.test(latin1(data.subarray(0, 8)))) return "DICOM";
  return MAGIC.find(([, magic]) => startsWith(data, magic))?.[0] ?? null;
}

/** Whether a DICOM file has the preamble of 128 bytes. */
export function hasPreamble(data: Uint8Array): boolean {
  return latin1(data.subarray(128, 132)) === "DICM";
}

/** Each byte as the character of its number. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
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

/** The chunks of a PNG, up to where it is cut short. */
export function* pngChunks(data: Uint8Array) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 8; at + 12 <= data.length;) {
    const length = view.getUint32(at);
    const content = data.subarray(at + 8, at + 8 + length);
    yield { type: latin1(data.subarray(at + 4, at + 8)), content };
    at += 12 + length;
  }
}

/** How many pictures a PNG holds: an animated one may hold several. */
export function pngPictures(data: Uint8Array): number {
  let frames = 0;
  for (const { type, content } of pngChunks(data)) {
    if (type === "acTL") frames = new DataView(content.buffer, content.byteOffset).getUint32(0);
    if (type === "fcTL") return Math.max(1, frames);
    if (type === "IDAT") break; // a picture before the first frame, for viewers that know no more
  }
  return frames + 1;
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
