import type { DataSet } from "dicom-parser";

/** The tags that are read of a slice, as the parser names them (DICOM PS3.6). */
export const TAG = {
  syntax: "x00020010",
  imageType: "x00080008",
  sopClass: "x00080016",
  modality: "x00080060",
  series: "x0020000e",
  instance: "x00200013",
  corner: "x00200032",
  axes: "x00200037",
  samples: "x00280002",
  photometric: "x00280004",
  planar: "x00280006",
  frames: "x00280008",
  rows: "x00280010",
  columns: "x00280011",
  allocated: "x00280100",
  stored: "x00280101",
  highBit: "x00280102",
  signed: "x00280103",
  padding: "x00280120",
  paddingLimit: "x00280121",
  windowCenter: "x00281050",
  windowWidth: "x00281051",
  intercept: "x00281052",
  slope: "x00281053",
  rescaleType: "x00281054",
  windowFunction: "x00281056",
  modalityTable: "x00283000",
  frameWindow: "x00289132",
  frameRescale: "x00289145",
  sharedGroups: "x52009229",
  frameGroups: "x52009230",
  pixels: "x7fe00010",
} as const;

export type Tag = (typeof TAG)[keyof typeof TAG];

/** The sequence of the functional groups that may hold a tag (DICOM PS3.3, C.7.6.16.2). */
const HOLDERS: Partial<Record<Tag, Tag>> = {
  [TAG.slope]: TAG.frameRescale,
  [TAG.intercept]: TAG.frameRescale,
  [TAG.rescaleType]: TAG.frameRescale,
  [TAG.windowCenter]: TAG.frameWindow,
  [TAG.windowWidth]: TAG.frameWindow,
  [TAG.windowFunction]: TAG.frameWindow,
};

/** Text of a tag without its padding; "" where it is missing or empty. */
export function textOf(dataset: DataSet, tag: Tag): string {
  return dataset.string(tag) ?? "";
}

/** Text of a tag of the file, else of the functional groups of its one frame. */
export function frameTextOf(dataset: DataSet, tag: Tag): string {
  if (dataset.elements[tag]) return textOf(dataset, tag);
  const holders = [TAG.sharedGroups, TAG.frameGroups].map((groups) =>
    firstItem(firstItem(dataset, groups), HOLDERS[tag]!),
  );
  const holder = holders.find((item) => item?.elements[tag]);
  return holder ? textOf(holder, tag) : "";
}

function firstItem(dataset: DataSet | undefined, sequence: Tag): DataSet | undefined {
  return dataset?.elements[sequence]?.items?.[0]?.dataSet;
}

/** A number that no file of pixels can do without. */
export function numberOf(dataset: DataSet, tag: Tag): number {
  const value = dataset.uint16(tag);
  if (value === undefined) throw new Error(`the DICOM file lacks ${tag}`);
  return value;
}

/** A DICOM decimal string as a number; null where it is missing, several or no number. */
export function decimal(text: string): number | null {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}
