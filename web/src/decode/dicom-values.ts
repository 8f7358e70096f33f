import type { DataSet, Element } from "dicom-parser";

import { TellableError } from "../errors";
import { decompress } from "./codecs";
import { numberOf, TAG } from "./dicom-tags";
import type { Pixels } from "./pixels";
import { decodeRle } from "./rle";
import { BIG_ENDIAN, storageOf, syntaxName } from "./transfer-syntax";

/** Decodes a JPEG, given as a file, to RGB; the browser's own decoder outside tests. */
export type JpegDecoder = (data: Uint8Array) => Promise<Pixels>;

/** A DICOM file of one frame. */
export interface Slice {
  dataset: DataSet;
  pixelData: Element;
  syntax: string;
  width: number;
  height: number;
  /** Values of a pixel: 1 of gray, 3 of colour. */
  samples: number;
}

/** Integers as stored, before any rescaling; those of a pixel lie side by side. */
export async function storedValues(
  slice: Slice,
  decodeJpeg: JpegDecoder,
): Promise<ArrayLike<number>> {
  const [allocated, stored] = bitsOf(slice.dataset);
  const storage = storageOf(slice.syntax);
  if (storage === "jpeg" && allocated === 8) return baselineValues(slice, decodeJpeg);
  if (storage === null || storage === "jpeg") {
    throw new TellableError(
      `The DICOM compression ${syntaxName(slice.syntax)} can't be decoded here; decompress the ` +
        "file first, for example with 'gdcmconv --raw IN OUT'.",
    );
  }
  const signed = isSigned(slice.dataset);
  if (storage === "plain") return significant(plainValues(slice, allocated), stored, signed);
  if (storage === "rle") return significant(rleValues(slice, allocated), stored, signed);
  const frame = sameSize(await decompress(compressed(slice), storage), slice);
  checkFits(storage === "jpeg-2000" ? stored : frame.bits, allocated, stored);
  return significant(frame.values, storage === "jpeg-lossless" ? stored : frame.bits, signed);
}

/** A stream's own bits against those of the tags, as Python compares them before it decodes. */
function checkFits(bits: number, allocated: number, stored: number): void {
  const whole = allocated === 8 ? bits <= 8 && stored === 8 : allocated === 16 && bits > 8;
  if (whole && bits <= 16) return;
  throw new TellableError(
    "The DICOM file's compressed pixels don't fit its tags; export it again.",
  );
}

/** Bits of a value: those it takes, and those that count. */
function bitsOf(dataset: DataSet): [allocated: number, stored: number] {
  const allocated = numberOf(dataset, TAG.allocated);
  const stored = numberOf(dataset, TAG.stored);
  if ([8, 16, 32].includes(allocated) && stored > 0 && stored <= allocated) {
    return [allocated, stored];
  }
  throw new TellableError(
    `DICOM values of ${stored} bits in ${allocated} are not read; export the image as PNG.`,
  );
}

export function isSigned(dataset: DataSet): boolean {
  const representation = numberOf(dataset, TAG.signed);
  if (representation > 1) throw new Error(`pixel representation ${representation}`);
  return representation === 1;
}

/** Values without the bits above those that count, and with their sign. */
function significant(
  raw: ArrayLike<number>,
  bits: number,
  signed: boolean,
): Int32Array | Uint32Array {
  const values = signed ? new Int32Array(raw.length) : new Uint32Array(raw.length);
  const shift = 32 - bits;
  for (let i = 0; i < raw.length; i++) {
    const top = raw[i]! << shift;
    values[i] = signed ? top >> shift : top >>> shift;
  }
  return values;
}

async function baselineValues(slice: Slice, decodeJpeg: JpegDecoder): Promise<Uint8Array> {
  const { rgb } = sameSize(await decodeJpeg(compressed(slice)), slice);
  return slice.samples === 3 ? rgb : rgb.filter((_, i) => i % 3 === 0);
}

function rleValues(slice: Slice, bits: number): Uint32Array {
  const { width, height, samples } = slice;
  return numbers(decodeRle(compressed(slice), width * height, samples, bits / 8), bits, true);
}

function plainValues(slice: Slice, bits: number): Uint32Array {
  const { dataset, pixelData, width, height, samples } = slice;
  const size = (width * height * samples * bits) / 8;
  const bytes = dataset.byteArray.subarray(
    pixelData.dataOffset,
    pixelData.dataOffset + pixelData.length,
  );
  if (bytes.length < size) throw cutShort();
  if (bytes.length >= 2 * size && bytes.length > size + 1) {
    throw severalFrames(Math.floor(bytes.length / size)); // one byte may be padding
  }
  const big = slice.syntax === BIG_ENDIAN;
  const swapped = big && bits === 8 && pixelData.vr === "OW";
  const ordered = swapped ? bytes.map((_, i) => bytes[i ^ 1]!) : bytes;
  const values = numbers(ordered.subarray(0, size), bits, !big);
  return samples === 3 && isPlanar(dataset) ? interleaved(values) : values;
}

function numbers(bytes: Uint8Array, bits: number, littleEndian: boolean): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Uint32Array((8 * bytes.length) / bits).map((_, i) => {
    if (bits === 8) return bytes[i]!;
    return bits === 16 ? view.getUint16(2 * i, littleEndian) : view.getUint32(4 * i, littleEndian);
  });
}

function isPlanar(dataset: DataSet): boolean {
  const planar = numberOf(dataset, TAG.planar);
  if (planar > 1) throw new Error(`planar configuration ${planar}`);
  return planar === 1;
}

/** Values of three planes, those of a pixel side by side. */
function interleaved(planes: Uint32Array): Uint32Array {
  const pixels = planes.length / 3;
  return planes.map((_, i) => planes[(i % 3) * pixels + Math.floor(i / 3)]!);
}

const UNDEFINED_LENGTH = 0xffffffff; // which the parser leaves where it finds no end

/** The compressed data of the one frame: all fragments of it, joined. */
function compressed({ dataset, pixelData }: Slice): Uint8Array {
  const { fragments = [], basicOffsetTable = [], length } = pixelData;
  if (length === UNDEFINED_LENGTH) throw cutShort();
  if (basicOffsetTable.length > 1) throw severalFrames(basicOffsetTable.length);
  const joined = new Uint8Array(fragments.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of fragments) {
    joined.set(dataset.byteArray.subarray(part.position, part.position + part.length), at);
    at += part.length;
  }
  return joined;
}

function sameSize<T extends { width: number; height: number }>(picture: T, slice: Slice): T {
  if (picture.width === slice.width && picture.height === slice.height) return picture;
  throw new TellableError("The picture in the DICOM file is of another size than its tags say.");
}

export function severalFrames(count: number): TellableError {
  return new TellableError(`The DICOM file holds ${count} frames; export one file per slice.`);
}

function cutShort(): TellableError {
  return new TellableError("The DICOM file is cut short; copy or export it again.");
}
