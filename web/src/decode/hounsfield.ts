import { rint } from "./pixels";

/** Centre and width of a window, in Hounsfield units. */
export interface Window {
  center: number;
  width: number;
}

/** The usual abdominal window. */
export const SOFT_TISSUE: Window = { center: 40, width: 400 };

/** The functions of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3: from 0, black, to 1, white. */
const SHARES = {
  LINEAR: (value: number, { center, width }: Window) =>
    (value - (center - 0.5)) / (width - 1) + 0.5,
  LINEAR_EXACT: (value: number, { center, width }: Window) => (value - center) / width + 0.5,
  SIGMOID: (value: number, { center, width }: Window) =>
    1 / (1 + Math.exp((-4 * (value - center)) / width)),
};

export type WindowFunction = keyof typeof SHARES;

export function isWindowFunction(name: string): name is WindowFunction {
  return Object.hasOwn(SHARES, name);
}

/** Gray byte of a value in Hounsfield units. */
export function windowed(
  hounsfield: number,
  window: Window,
  name: WindowFunction = "LINEAR",
): number {
  return rint(255 * Math.min(1, Math.max(0, SHARES[name](hounsfield, window))));
}

type Range = readonly [low: number, high: number];

const NOT_AIR = -300;
const AIR: Range = [-1250, -700];
const FAT_TO_ORGANS: Range = [-200, 300];
const LEAST_AIR = 0.005; // shares of all pixels
const LEAST_TISSUE = 0.05;
const LEAST_TISSUE_OF_BODY = 0.5; // of the pixels that are no air

/**
 * Why these values are hardly Hounsfield units of a body; "" if they may be.
 *
 * Values with a lost offset of 1024 or 32768 have no air, values from which it was taken twice no
 * tissue.
 */
export function doubt(hounsfield: Float64Array): string {
  const air = shareOf(hounsfield, within(AIR));
  if (air < LEAST_AIR) return "no air is seen, which has -1000 Hounsfield units";
  const tissue = shareOf(hounsfield, within(FAT_TO_ORGANS));
  const body = shareOf(hounsfield, (value) => value > NOT_AIR);
  if (tissue < Math.max(LEAST_TISSUE, LEAST_TISSUE_OF_BODY * body)) {
    return "little is seen that has the Hounsfield units of fat or soft tissue";
  }
  return "";
}

const within =
  ([low, high]: Range) =>
  (value: number) =>
    value >= low && value <= high;

function shareOf(values: Float64Array, holds: (value: number) => boolean): number {
  return values.reduce((count, value) => count + Number(holds(value)), 0) / values.length;
}
