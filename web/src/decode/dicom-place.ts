import type { DataSet } from "dicom-parser";

import { decimal, TAG, textOf, type Tag } from "./dicom-tags";

/**
 * SeriesInstanceUID of a slice and its position along the series: in mm along the normal of the
 * slices (DICOM PS3.3 C.7.6.2.1.1), or the instance number where none is told. Null where these
 * tags are damaged. The rules are those of `kidneyct_lib.data.dicom.place_in_series`.
 */
export function placeInSeries(dataset: DataSet): { uid: string; position: number } | null {
  const [corner, axes, number] = [TAG.corner, TAG.axes, TAG.instance].map((tag) =>
    numbers(dataset, tag),
  );
  if (!corner || !axes || !number || number.length > 1) return null;
  const uid = textOf(dataset, TAG.series);
  if (corner.length === 0 || axes.length === 0) return { uid, position: number[0] ?? 0 };
  if (corner.length !== 3 || axes.length !== 6) return null;
  const normal = cross(axes.slice(0, 3), axes.slice(3));
  return { uid, position: normal.reduce((sum, part, i) => sum + part * corner[i]!, 0) };
}

/** The decimal strings of a tag; none where it is missing or empty, null where one is no number. */
function numbers(dataset: DataSet, tag: Tag): number[] | null {
  const text = textOf(dataset, tag);
  if (text === "") return [];
  const values = text.split("\\").map(decimal);
  return values.includes(null) ? null : (values as number[]);
}

function cross(a: number[], b: number[]): number[] {
  return [
    a[1]! * b[2]! - a[2]! * b[1]!,
    a[2]! * b[0]! - a[0]! * b[2]!,
    a[0]! * b[1]! - a[1]! * b[0]!,
  ];
}
