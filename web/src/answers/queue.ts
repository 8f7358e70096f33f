import type { Decoded } from "../decode/decode-worker";
import { messageOf } from "../errors";
import type { Outputs } from "../model/model-worker";
import type { Item } from "./item";

export interface Stations {
  decode(file: Blob): Promise<Decoded>;
  run(pixels: Decoded["pixels"]): Promise<Outputs>;
  onChange(item: Item): void;
}

type Ahead = { item: Item; decoded: Promise<Decoded | Error> };

/** Answers items one after another; the next one is decoded while the model reads the last. */
export class Queue {
  private waiting: Item[] = [];
  private running: Promise<void> | null = null;
  private abandoned = false;

  constructor(private readonly stations: Stations) {}

  add(items: Item[]): Promise<void> {
    this.waiting.push(...items);
    this.running ??= this.work().finally(() => (this.running = null));
    return this.running;
  }

  /** Give up what waits; the picture under way is still answered. */
  cancel(): void {
    for (const item of this.waiting.splice(0)) this.change(item, { state: "cancelled" });
  }

  /** Cancel, and take no notice of the picture under way either. */
  abandon(): void {
    this.waiting = [];
    this.abandoned = true;
  }

  private async work(): Promise<void> {
    await Promise.resolve(); // `running` is set before the first item is taken
    let next = this.take();
    while (next) {
      const current = next;
      const decoded = await current.decoded;
      next = this.take();
      await this.answer(current.item, decoded);
      next ??= this.take();
    }
  }

  private take(): Ahead | null {
    const item = this.waiting.shift();
    if (!item) return null;
    this.change(item, { state: "working", error: undefined });
    return { item, decoded: settled(this.stations.decode(item.file)) };
  }

  private async answer(item: Item, decoded: Decoded | Error): Promise<void> {
    try {
      if (decoded instanceof Error) throw decoded;
      const { width, height, warning } = decoded.pixels;
      Object.assign(item, { width, height, warning, thumbnail: decoded.thumbnail });
      this.change(item, { outputs: await this.stations.run(decoded.pixels), state: "answered" });
    } catch (error) {
      this.change(item, { error: messageOf(error), state: "failed" });
    }
  }

  private change(item: Item, news: Partial<Item>): void {
    if (this.abandoned) return;
    Object.assign(item, news);
    this.stations.onChange(item);
  }
}

/** A refusal kept as a value, so that none is unheard while another picture is read. */
function settled<T>(promise: Promise<T>): Promise<T | Error> {
  return promise.catch((error: unknown) =>
    error instanceof Error ? error : new Error(messageOf(error)),
  );
}
