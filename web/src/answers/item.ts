import type { Outputs } from "../model/model-worker";

/** A file that was given, and what became of it. */
export interface Item {
  readonly id: number;
  readonly name: string;
  readonly file: Blob;
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
