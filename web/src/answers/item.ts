import type { Outputs } from "../model/model-worker";

/** What tells which series a file is of, and where it lies there. */
export interface Membership {
  /** SeriesInstanceUID of a DICOM file; "" of others. */
  uid: string;
  /** Along the slices' normal, in mm, or the number of the instance. */
  position: number;
  /** The folder it was given in, one for each time that a folder is given; "" of a loose file. */
  folder: string;
}

/** A file that was given, and what became of it. */
export interface Item {
  readonly id: number;
  readonly name: string;
  readonly file: Blob;
  /** Where it belongs, if it belongs to a series. */
  readonly place?: Membership;
  state: "waiting" | "working" | "answered" | "failed" | "cancelled";
  width?: number;
  height?: number;
  /** Why the picture may not be what the model needs; "" where nothing says so. */
  warning?: string;
  thumbnail?: ImageBitmap;
  outputs?: Outputs;
  error?: string;
}

export const isDone = (item: Item) => item.state !== "waiting" && item.state !== "working";
