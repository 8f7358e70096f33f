import { answerCalls, type Moved } from "../workers";
import { decodeFile } from "./decode";
import type { Pixels } from "./pixels";
import { placeOf, type Place } from "./place";

/** What the page needs of a file: the pixels for the model, and a small picture for the table. */
export interface Decoded {
  pixels: Pixels;
  thumbnail: ImageBitmap;
}

const THUMBNAIL_SIDE = 96;
const PICTURE_SIDE = 1024;

async function decode(file: Blob): Promise<Moved<Decoded>> {
  const pixels = await decodeFile(file);
  const thumbnail = await bitmapOf(pixels, THUMBNAIL_SIDE);
  return { value: { pixels, thumbnail }, transfer: [pixels.rgb.buffer, thumbnail] };
}

/** The file's picture as the model sees it, for the screen. */
async function picture(file: Blob): Promise<Moved<ImageBitmap>> {
  const bitmap = await bitmapOf(await decodeFile(file), PICTURE_SIDE);
  return { value: bitmap, transfer: [bitmap] };
}

/** Told before anything is decoded: a file that can't be decoded has a place in its series too. */
async function place(file: Blob): Promise<Moved<Place>> {
  return { value: await placeOf(file), transfer: [] };
}

/** A bitmap of at most `side` pixels a side. */
async function bitmapOf({ width, height, rgb }: Pixels, side: number): Promise<ImageBitmap> {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0, j = 0; i < rgb.length; j += 4) {
    rgba[j] = rgb[i++]!;
    rgba[j + 1] = rgb[i++]!;
    rgba[j + 2] = rgb[i++]!;
  }
  const scale = Math.min(1, side / Math.max(width, height));
  return createImageBitmap(new ImageData(rgba, width, height), {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: "medium",
  });
}

answerCalls({ place, decode, picture });
