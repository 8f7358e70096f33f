import { rint } from "./pixels";

/** Centre and width of a window, in Hounsfield units. */
export interface Window {
  center: number;
  width: number;
}

/** The usual abdominal window. */
export const SOFT_TISSUE: Window = { center: 40, width: 400 };

/** Gray byte of a value in Hounsfield units: DICOM PS3.3 C.11.2.1.2.1, the LINEAR function. */
export function windowed(hounsfield: number, { center, width }: Window): number {
  const share = (hounsfield - (center - 0.5)) / (width - 1) + 0.5;
  return rint(255 * Math.min(1, Math.max(0, share)));
}

/** First window of the two tags' text ("50\\20"), or null where there is no usable one. */
export function firstWindow(centers?: string, widths?: string): Window | null {
  const center = firstNumber(centers);
  const width = firstNumber(widths);
  return center !== null && width !== null && width > 1 ? { center, width } : null;
}

/** First number of a DICOM decimal string, or null. */
export function firstNumber(text?: string): number | null {
  const first = text?.split("\\")[0]?.trim();
  if (!first) return null;
  const value = Number(first);
  return Number.isFinite(value) ? value : null;
}
