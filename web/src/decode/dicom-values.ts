import { TellableError } from "../errors";
import { SOFT_TISSUE, windowed, type Window } from "./window";

/** How one value is stored in the bytes of a DICOM file. */
export interface ValueFormat {
  bitsAllocated: number;
  bitsStored: number;
  signed: boolean;
  littleEndian: boolean;
}

/** Stored values, unused upper bits removed and the sign extended, as pydicom does. */
export function readValues(bytes: Uint8Array, count: number, format: ValueFormat): Float64Array {
  const { bitsAllocated, bitsStored, signed, littleEndian } = format;
  if (![8, 16, 32].includes(bitsAllocated)) {
    throw new TellableError(
      `DICOM values of ${bitsAllocated} bits are not read; export the image as PNG.`,
    );
  }
  const size = bitsAllocated / 8;
  if (bytes.length < count * size) {
    throw new TellableError("The DICOM file is cut short; copy or export it again.");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shift = 32 - Math.min(Math.max(bitsStored, 1), bitsAllocated);
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * size;
    const stored =
      size === 1
        ? view.getUint8(at)
        : size === 2
          ? view.getUint16(at, littleEndian)
          : view.getUint32(at, littleEndian);
    const top = stored << shift;
    values[i] = signed ? top >> shift : (top >>> 0) >>> shift;
  }
  return values;
}

/** What the tags say about the gray of the stored values. */
export interface GrayMeaning {
  window: Window | null;
  rescale: { slope: number; intercept: number } | null;
  /** Slope without intercept counts as a sign of Hounsfield units too. */
  rescaled: boolean;
  displayValues: boolean;
  inverted: boolean;
}

/** Gray bytes: the file's own window, else soft tissue; a screenshot's bytes stay as they are. */
export function toGray(values: Float64Array, meaning: GrayMeaning): Uint8Array {
  const { window, rescale, rescaled, displayValues, inverted } = meaning;
  const gray = new Uint8Array(values.length);
  const asStored = window === null && !rescaled && displayValues;
  const chosen = window ?? SOFT_TISSUE;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const unit = rescale ? value * rescale.slope + rescale.intercept : value;
    const level = asStored ? value : windowed(unit, chosen);
    gray[i] = inverted ? 255 - level : level;
  }
  return gray;
}
