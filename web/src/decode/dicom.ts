import { parseDicom, type DataSet, type Element } from "dicom-parser";

import { TellableError } from "../errors";
import { readValues, toGray, type GrayMeaning } from "./dicom-values";
import { checkSize, grayToRgb, type Pixels } from "./pixels";
import { decodeRle } from "./rle";
import { storageOf, syntaxName, type Storage } from "./transfer-syntax";
import { firstNumber, firstWindow } from "./window";

/** Decodes a JPEG, given as a file, to RGB; the browser's own decoder outside tests. */
export type JpegDecoder = (data: Uint8Array) => Promise<Pixels>;

const TAG = {
  syntax: "x00020010",
  modality: "x00080060",
  samples: "x00280002",
  photometric: "x00280004",
  planar: "x00280006",
  frames: "x00280008",
  rows: "x00280010",
  columns: "x00280011",
  allocated: "x00280100",
  stored: "x00280101",
  signed: "x00280103",
  windowCenter: "x00281050",
  windowWidth: "x00281051",
  intercept: "x00281052",
  slope: "x00281053",
  modalityTable: "x00283000",
  pixels: "x7fe00010",
} as const;

/** Decode a DICOM slice to RGB, gray by the rules of `kidneyct_lib.images`. */
export async function decodeDicom(data: Uint8Array, decodeJpeg: JpegDecoder): Promise<Pixels> {
  const dataset = parse(data);
  const element = dataset.elements[TAG.pixels];
  if (!element) {
    const modality = dataset.string(TAG.modality) || "no modality";
    throw new TellableError(
      `The DICOM file (${modality}) holds no image or is cut short; export the image series.`,
    );
  }
  const height = dataset.uint16(TAG.rows) ?? 0;
  const width = dataset.uint16(TAG.columns) ?? 0;
  checkSize(width, height);
  const frames = Number(dataset.string(TAG.frames) || 1);
  if (frames > 1) {
    throw new TellableError(`The DICOM file holds ${frames} frames; export one file per slice.`);
  }
  return { width, height, rgb: await rgbOf(dataset, element, width, height, decodeJpeg) };
}

function parse(data: Uint8Array): DataSet {
  try {
    return parseDicom(data);
  } catch {
    // the parser throws objects and strings of many kinds
    throw new TellableError(
      "The DICOM file is damaged, cut short or of an unknown variant; copy or export it again.",
    );
  }
}

async function rgbOf(
  dataset: DataSet,
  element: Element,
  width: number,
  height: number,
  decodeJpeg: JpegDecoder,
): Promise<Uint8Array> {
  const storage = knownStorage(dataset);
  const samples = dataset.uint16(TAG.samples) ?? 1;
  const photometric = (dataset.string(TAG.photometric) ?? "").trim();
  const bitsAllocated = dataset.uint16(TAG.allocated) ?? 16;
  checkColours(photometric, samples, bitsAllocated, storage);

  if (storage === "jpeg" && samples === 3) {
    return sameSize(await decodeJpeg(fragments(dataset, element)), width, height).rgb;
  }
  const bytes = await storedBytes();
  if (samples === 3) return interleaved(bytes, width * height, planar());
  const format = {
    bitsAllocated,
    bitsStored: dataset.uint16(TAG.stored) ?? bitsAllocated,
    signed: dataset.uint16(TAG.signed) === 1,
    littleEndian: storage !== "big",
  };
  const values = readValues(bytes, width * height, format);
  const displayValues = bitsAllocated === 8 && !format.signed;
  return grayToRgb(toGray(values, grayMeaning(dataset, photometric, displayValues)));

  async function storedBytes(): Promise<Uint8Array> {
    if (storage === "rle") {
      const frame = fragments(dataset, element);
      return decodeRle(frame, width * height, samples, bitsAllocated / 8);
    }
    if (storage === "jpeg") {
      const { rgb } = sameSize(await decodeJpeg(fragments(dataset, element)), width, height);
      return rgb.filter((_, i) => i % 3 === 0);
    }
    return dataset.byteArray.subarray(element.dataOffset, element.dataOffset + element.length);
  }

  function planar(): boolean {
    return storage !== "rle" && dataset.uint16(TAG.planar) === 1;
  }
}

function knownStorage(dataset: DataSet): Storage {
  const uid = (dataset.string(TAG.syntax) ?? "").trim();
  const storage = storageOf(uid);
  if (storage) return storage;
  throw new TellableError(
    `The DICOM compression ${syntaxName(uid)} can't be decoded here; decompress the file first, ` +
      "for example with 'gdcmconv --raw IN OUT', or export it as PNG.",
  );
}

function checkColours(photometric: string, samples: number, bits: number, storage: Storage): void {
  const gray = samples === 1 && photometric.startsWith("MONOCHROME");
  const known = storage === "jpeg" ? photometric.startsWith("YBR_FULL") : photometric === "RGB";
  if (gray || (samples === 3 && bits === 8 && known)) return;
  throw new TellableError(
    `DICOM colours of the kind ${photometric || "unnamed"} with ${bits} bits are not read; ` +
      "export the image as PNG.",
  );
}

function grayMeaning(dataset: DataSet, photometric: string, displayValues: boolean): GrayMeaning {
  if (dataset.elements[TAG.modalityTable]) {
    throw new TellableError(
      "DICOM with a table of values (Modality LUT) is not read here; export the image as PNG.",
    );
  }
  const slope = firstNumber(dataset.string(TAG.slope));
  const intercept = firstNumber(dataset.string(TAG.intercept));
  return {
    window: firstWindow(dataset.string(TAG.windowCenter), dataset.string(TAG.windowWidth)),
    rescale: slope !== null && intercept !== null ? { slope, intercept } : null,
    rescaled: dataset.elements[TAG.slope] !== undefined,
    displayValues,
    inverted: photometric === "MONOCHROME1",
  };
}

/** The compressed data of the one frame: all fragments of it, joined. */
function fragments(dataset: DataSet, element: Element): Uint8Array {
  const parts = (element.fragments ?? []).map((fragment) =>
    dataset.byteArray.subarray(fragment.position, fragment.position + fragment.length),
  );
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function sameSize(pixels: Pixels, width: number, height: number): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  throw new TellableError("The picture in the DICOM file is of another size than its tags say.");
}

function interleaved(bytes: Uint8Array, pixels: number, planar: boolean): Uint8Array {
  if (bytes.length < pixels * 3) {
    throw new TellableError("The DICOM file is cut short; copy or export it again.");
  }
  if (!planar) return bytes.slice(0, pixels * 3);
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    for (let channel = 0; channel < 3; channel++)
      rgb[3 * i + channel] = bytes[channel * pixels + i]!;
  }
  return rgb;
}
