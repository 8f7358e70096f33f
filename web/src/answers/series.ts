import type { Bundle } from "../model/bundle";
import type { Item } from "./item";
import { judge } from "./judge";
import { comparePaths } from "./natural";

/** Slices that belong together, in their order; `kidneyct_lib.deployment.series` has the rules. */
export interface Series {
  /** Tells it from all others, and stays the same while files are added. */
  key: string;
  name: string;
  /** The folder that all its files lie in, as far as their names tell. */
  folder: string;
  /** SeriesInstanceUID; "" of other images. */
  uid: string;
  items: Item[];
}

/** The one answer for a series: the mean of its slices' probabilities. */
export interface SeriesAnswer {
  /** Index of the class. */
  answer: number;
  probabilities: number[];
  /** The slices that speak most for the answer, the strongest first. */
  most: Item[];
}

export interface Pooled {
  /** Null where no slice is answered yet, or none can be read. */
  said: SeriesAnswer | null;
  /** How many slices have a part in the answer. */
  slices: number;
  outOfDistribution: number;
  lowConfidence: number;
  /** Slices with a part in the answer that may not show true gray levels. */
  doubtful: number;
  localizers: number;
  /** {warning: how many files have it}. */
  warnings: Record<string, number>;
  failed: Item[];
  /** Files still to be read, or left unread when the work was stopped. */
  unread: number;
}

const SHOWN = 3; // slices that speak most for the answer
const NAMELESS = "DICOM series";

/** Suffixes that promise an image, also of formats that are refused when read. */
const PROMISES_IMAGE = /\.(bmp|dcm|gif|jpe?g|png|tiff?|webp)$/i;

/** Whether a file of a folder is one of its images, and not clutter. */
export function isOfSeries(path: string, isImage: boolean): boolean {
  return isImage || PROMISES_IMAGE.test(path);
}

/** Whether a path inside a given folder is hidden; the folder itself may be. */
export function isHidden(path: string): boolean {
  return path
    .split("/")
    .slice(1)
    .some((name) => name.startsWith("."));
}

/**
 * The series of two files or more among items, in the order of their first files, and the items
 * that are of none.
 */
export function group(items: Item[]): { series: Series[]; singles: Item[] } {
  const found = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key) found.set(key, found.get(key) ?? []).get(key)!.push(item);
  }
  const several = [...found].filter(([, members]) => members.length > 1);
  const inSeries = new Set(several.flatMap(([, members]) => members));
  const series = several.map(([key, members]): Series => {
    const folder = folderOf(members);
    const { uid } = members[0]!.place!;
    return { key, uid, folder, name: folder || NAMELESS, items: members.toSorted(byPosition) };
  });
  return {
    series: numbered(series),
    singles: items.filter((item) => !inSeries.has(item)),
  };
}

function keyOf({ place }: Item): string | null {
  if (place?.uid) return `uid ${place.uid}`;
  return place?.folder ? `folder ${place.folder}` : null;
}

function byPosition(a: Item, b: Item): number {
  return a.place!.position - b.place!.position || comparePaths(a.name, b.name);
}

function folderOf(items: Item[]): string {
  const [first, ...others] = items.map(({ name }) => name.split("/").slice(0, -1));
  const shared = others.reduce((folders, other) => {
    const end = folders.findIndex((folder, i) => folder !== other[i]);
    return end < 0 ? folders : folders.slice(0, end);
  }, first!);
  return shared.join("/");
}

/** Names that several series have get numbers. */
function numbered(series: Series[]): Series[] {
  return series.map((one) => {
    const same = series.filter(({ name }) => name === one.name);
    if (same.length === 1) return one;
    const apart = one.name === NAMELESS ? " " : ", series ";
    return { ...one, name: `${one.name}${apart}${same.indexOf(one) + 1}` };
  });
}

/** Localizers and files that can't be read have no part in the answer. */
export function pool(items: Item[], { classes, operating_points: points }: Bundle): Pooled {
  const answered = items.filter((item) => item.outputs);
  const slices = answered.filter((item) => !isLocalizer(item));
  const judged = slices.map(({ outputs }) =>
    judge(outputs!.probabilities, outputs!.distance, classes, points),
  );
  const warnings: Record<string, number> = {};
  for (const { warning } of answered) {
    if (warning) warnings[warning] = (warnings[warning] ?? 0) + 1;
  }
  const failed = items.filter(({ state }) => state === "failed");
  return {
    said: slices.length > 0 ? mean(slices) : null,
    slices: slices.length,
    outOfDistribution: judged.filter((one) => one.outOfDistribution).length,
    lowConfidence: judged.filter((one) => one.lowConfidence).length,
    doubtful: slices.filter(({ warning }) => warning).length,
    localizers: answered.length - slices.length,
    warnings,
    failed,
    unread: items.length - answered.length - failed.length,
  };
}

/** Whether a file shows where slices were taken, and is none itself. */
export function isLocalizer({ warning }: Pick<Item, "warning">): boolean {
  return warning?.includes("localizer") ?? false;
}

function mean(slices: Item[]): SeriesAnswer {
  const rows = slices.map(({ outputs }) => outputs!.probabilities);
  const probabilities = rows[0]!.map((_, k) => {
    const sum = rows.reduce((total, row) => total + row[k]!, 0);
    return sum / rows.length;
  });
  const answer = probabilities.indexOf(Math.max(...probabilities));
  const most = slices
    .toSorted((a, b) => b.outputs!.probabilities[answer]! - a.outputs!.probabilities[answer]!)
    .slice(0, SHOWN);
  return { answer, probabilities, most };
}

/** All items as the page lists them: series after series, then those of none. */
export const inOrder = (items: Item[]): Item[] => {
  const { series, singles } = group(items);
  return [...series.flatMap((one) => one.items), ...singles];
};

/** A file's name below the folder of its series. */
export const nameIn = ({ folder }: Series, { name }: Item) =>
  folder ? name.slice(folder.length + 1) : name;

