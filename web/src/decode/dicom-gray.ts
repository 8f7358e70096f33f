import type { DataSet } from "dicom-parser";

import { TellableError } from "../errors";
import { decimal, frameTextOf, numberOf, TAG, textOf, type Tag } from "./dicom-tags";
import { isSigned, storedValues, type JpegDecoder, type Slice } from "./dicom-values";
import {
  doubt,
  isWindowFunction,
  SOFT_TISSUE,
  windowed,
  type Window,
  type WindowFunction,
} from "./hounsfield";

/** Gray bytes, and why they may not be the true gray levels of a CT slice; "" if they may be. */
export interface Gray {
  gray: Uint8Array;
  warning: string;
}

type Range = readonly [low: number, high: number];

interface Rescale {
  slope: number;
  intercept: number;
}

const HOUNSFIELD_TYPES = ["", "HU", "HU_MOD"];
const UNSPECIFIED = "US"; // some scanners say so of Hounsfield units
const SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7";
const AIR_TO_BONE: Range = [-500, 300]; // what 8 bits reach that are more than a picture
const SCANNED: Range = [-1024, 3071]; // HU that a scanner's 12 bits hold; padding lies beyond
const BELOW_ANY_WINDOW = -(2 ** 31);
const EXPORT =
  "export the CT series anew from where it is stored, or save the picture as 8-bit PNG.";

/** Gray of a slice: Hounsfield units in a window, or a picture for the screen as it is. */
export async function decodeGray(
  slice: Slice,
  inverted: boolean,
  decodeJpeg: JpegDecoder,
): Promise<Gray> {
  const rescale = rescaleOf(slice.dataset);
  if (!isPicture(slice.dataset, rescale)) {
    return decodeCt(slice, rescaleOfCt(slice.dataset, rescale), decodeJpeg);
  }
  const gray = new Uint8Array(await grayValues(slice, decodeJpeg));
  return { gray: inverted ? gray.map((value) => 255 - value) : gray, warning: "" };
}

/** Hounsfield units are shown alike, whatever the photometric interpretation. */
async function decodeCt(slice: Slice, rescale: Rescale, decodeJpeg: JpegDecoder): Promise<Gray> {
  const { dataset } = slice;
  const [window, name] = windowOf(dataset);
  const stored = await grayValues(slice, decodeJpeg);
  const units = new Float64Array(stored).map((v) => v * rescale.slope + rescale.intercept);
  const doubted = doubt(units);
  if (doubted && rescaleType(dataset) === UNSPECIFIED) {
    throw new TellableError(`The DICOM rescale is of no named kind, and ${doubted}; ${EXPORT}`);
  }
  const [low, high] = paddingOf(dataset, rescale) ?? [Infinity, -Infinity];
  const gray = new Uint8Array(units.length).map((_, i) => {
    const isPadding = stored[i]! >= low && stored[i]! <= high;
    return windowed(isPadding ? BELOW_ANY_WINDOW : units[i]!, window, name);
  });
  const isLocalizer = imageTypes(dataset).includes("LOCALIZER");
  return { gray, warning: isLocalizer ? "this is a localizer, not a slice" : doubted };
}

/** Slope and intercept where both are numbers that can be meant. */
function rescaleOf(dataset: DataSet): Rescale | null {
  const slope = decimal(frameTextOf(dataset, TAG.slope));
  const intercept = decimal(frameTextOf(dataset, TAG.intercept));
  return slope && intercept !== null ? { slope, intercept } : null;
}

/** The rescale to Hounsfield units; refused where the values can't be that. */
function rescaleOfCt(dataset: DataSet, rescale: Rescale | null): Rescale {
  const modality = modalityOf(dataset);
  if (modality !== "CT") {
    throw new TellableError(
      `The DICOM file is of modality ${modality}, not CT, so its values are no Hounsfield units; ` +
        "give CT slices, or save the picture as 8-bit PNG.",
    );
  }
  if (!rescale || dataset.elements[TAG.modalityTable]) {
    throw new TellableError(
      "The DICOM file has no usable rescale (RescaleSlope and RescaleIntercept), so its values " +
        `can't be known as Hounsfield units; ${EXPORT}`,
    );
  }
  const type = rescaleType(dataset);
  if (type !== UNSPECIFIED && !HOUNSFIELD_TYPES.includes(type)) {
    throw new TellableError(`The DICOM rescale gives ${type}, not Hounsfield units; ${EXPORT}`);
  }
  return rescale;
}

/** Whether the values are gray levels for the screen: in 8 bits, and not CT values. */
function isPicture(dataset: DataSet, rescale: Rescale | null): boolean {
  // of values in 16 bits, of which 8 are said to be used, the others may have been cut off
  if (numberOf(dataset, TAG.allocated) > 8 || isSigned(dataset)) return false;
  const captured = textOf(dataset, TAG.sopClass).startsWith(SECONDARY_CAPTURE);
  if (captured || imageTypes(dataset).includes("SECONDARY")) return true;
  if (modalityOf(dataset) !== "CT") return true;
  if (!rescale || !HOUNSFIELD_TYPES.includes(rescaleType(dataset))) return true;
  const [low, high] = rescaled([0, 2 ** numberOf(dataset, TAG.stored) - 1], rescale);
  return low > AIR_TO_BONE[0] || high < AIR_TO_BONE[1];
}

/** The window of the tags, else the usual one, and its function. */
function windowOf(dataset: DataSet): [Window, WindowFunction] {
  const name = frameTextOf(dataset, TAG.windowFunction) || "LINEAR";
  if (!isWindowFunction(name)) {
    throw new TellableError(`The DICOM window's function ${name} is not known; ${EXPORT}`);
  }
  const firstOf = (tag: Tag) => decimal(frameTextOf(dataset, tag).split("\\")[0]!);
  const center = firstOf(TAG.windowCenter);
  const width = firstOf(TAG.windowWidth);
  if (center === null || width === null || width <= 1) return [SOFT_TISSUE, "LINEAR"];
  return [{ center, width }, name];
}

/**
 * Stored values that hold no measurement, if any do. A padding value that is a usual Hounsfield
 * value is a wrong tag, and is not obeyed.
 */
function paddingOf(dataset: DataSet, rescale: Rescale): Range | null {
  const value = paddingEnd(dataset, TAG.padding);
  if (value === null) return null;
  const limit = paddingEnd(dataset, TAG.paddingLimit) ?? value;
  const padding: Range = [Math.min(value, limit), Math.max(value, limit)];
  const [low, high] = rescaled(padding, rescale);
  return high >= SCANNED[0] && low <= SCANNED[1] ? null : padding;
}

/** A padding value read as the pixels are: its sign may be written as theirs is not. */
function paddingEnd(dataset: DataSet, tag: Tag): number | null {
  if (dataset.elements[tag]?.length !== 2) return null;
  const count = 2 ** numberOf(dataset, TAG.stored);
  const value = numberOf(dataset, tag) % count;
  return isSigned(dataset) && value >= count / 2 ? value - count : value;
}

function rescaled([a, b]: Range, { slope, intercept }: Rescale): Range {
  const ends = [a, b].map((value) => value * slope + intercept);
  return [Math.min(...ends), Math.max(...ends)];
}

function grayValues(slice: Slice, decodeJpeg: JpegDecoder): Promise<ArrayLike<number>> {
  const { dataset } = slice;
  const top = numberOf(dataset, TAG.stored) - 1;
  if (dataset.elements[TAG.highBit] && numberOf(dataset, TAG.highBit) !== top) {
    throw new TellableError(
      "The DICOM values don't begin at their lowest bit (HighBit); export the image as PNG.",
    );
  }
  return storedValues(slice, decodeJpeg);
}

const modalityOf = (dataset: DataSet) => textOf(dataset, TAG.modality) || "CT";
const rescaleType = (dataset: DataSet) => frameTextOf(dataset, TAG.rescaleType);
const imageTypes = (dataset: DataSet) =>
  textOf(dataset, TAG.imageType)
    .split("\\")
    .map((value) => value.trim());
