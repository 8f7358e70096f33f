import type { DataSet } from "dicom-parser";

import { TellableError } from "../errors";
import { readDicom, type DicomFile } from "./dicom-file";
import { decodeGray } from "./dicom-gray";
import { decimal, numberOf, TAG, textOf } from "./dicom-tags";
import { severalFrames, storedValues, type JpegDecoder, type Slice } from "./dicom-values";
import { checkSize, grayToRgb, type Pixels } from "./pixels";
import { storageOf, syntaxName } from "./transfer-syntax";

/** Decode a DICOM slice to RGB by the rules of `kidneyct_lib.data.dicom`, which tells them. */
export async function decodeDicom(data: Uint8Array, decodeJpeg: JpegDecoder): Promise<Pixels> {
  const slice = sliceOf(await readDicom(data));
  const { dataset, width, height, samples } = slice;
  const photometric = textOf(dataset, TAG.photometric);
  if (samples === 1 && ["MONOCHROME1", "MONOCHROME2"].includes(photometric)) {
    const inverted = photometric === "MONOCHROME1";
    const { gray, warning } = await decodeGray(slice, inverted, decodeJpeg);
    return { width, height, rgb: grayToRgb(gray), warning };
  }
  checkColours(slice, photometric);
  const rgb = new Uint8Array(await storedValues(slice, decodeJpeg));
  return { width, height, rgb, warning: "" };
}

function sliceOf({ dataset, syntax }: DicomFile): Slice {
  const pixelData = dataset.elements[TAG.pixels];
  if (!pixelData) {
    const modality = textOf(dataset, TAG.modality) || "no modality";
    throw new TellableError(
      `The DICOM file (${modality}) holds no image or is cut short; export the image series.`,
    );
  }
  const width = numberOf(dataset, TAG.columns);
  const height = numberOf(dataset, TAG.rows);
  checkSize(width, height);
  checkFrames(dataset);
  return { dataset, pixelData, syntax, width, height, samples: numberOf(dataset, TAG.samples) };
}

function checkFrames(dataset: DataSet): void {
  const text = textOf(dataset, TAG.frames) || "1";
  const frames = decimal(text);
  if (frames === null || frames < 0 || frames % 1) throw new Error(`${text} frames`);
  if (frames > 1) throw severalFrames(frames);
}

function checkColours({ dataset, syntax, samples }: Slice, photometric: string): void {
  const bits = numberOf(dataset, TAG.allocated);
  const storage = storageOf(syntax);
  const known =
    storage === "jpeg"
      ? photometric.startsWith("YBR_FULL")
      : photometric === "RGB" && (storage === "plain" || storage === "rle");
  if (samples === 3 && bits === 8 && known) return;
  throw new TellableError(
    `DICOM colours of the kind ${photometric || "unnamed"} with ${bits} bits, stored as ` +
      `${syntaxName(syntax)}, are not read; export the image as PNG.`,
  );
}
