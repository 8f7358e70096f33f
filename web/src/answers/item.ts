import type { Outputs } from "../model/model-worker";

/** A file that was given, and what became of it. */
export interface Item {
  readonly id: number;
  readonly name: string;
  readonly file: Blob;
  state: "waiting" | "working" | "answered" | "failed" | "cancelled";
  width?: number;
  height?: number;
  thumbnail?: ImageBitmap;
  outputs?: Outputs;
  error?: string;
}

export const isDone = (item: Item) => item.state !== "waiting" && item.state !== "working";
