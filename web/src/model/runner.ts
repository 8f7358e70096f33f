import type { Pixels } from "../decode/pixels";
import { TellableError, messageOf } from "../errors";
import { WorkerClient } from "../workers";
import type { Outputs } from "./model-worker";
import workerUrl from "./model-worker?worker&url";

/** A loaded model, run in a worker of its own so that the page stays responsive. */
export class Runner {
  private worker: WorkerClient | null = null;

  constructor(private readonly model: ArrayBuffer) {}

  /** Start the runtime; the first picture would wait for it otherwise. */
  async start(): Promise<void> {
    if (typeof WebAssembly !== "object") {
      throw new TellableError(
        "This browser has no WebAssembly, which runs the model; use a current one, or allow it.",
      );
    }
    const worker = new WorkerClient(workerUrl);
    try {
      await worker.call("load", this.model);
    } catch (error) {
      worker.close();
      throw new TellableError(
        `The model could not be started (${messageOf(error)}); reload the page, or use a ` +
          "current browser.",
      );
    }
    this.worker = worker;
  }

  async run(pixels: Pixels): Promise<Outputs> {
    if (!this.worker) await this.start();
    const { width, height } = pixels;
    try {
      return await this.worker!.call<Outputs>("run", pixels, [pixels.rgb.buffer]);
    } catch (error) {
      this.close(); // a runtime that has run out of memory answers nothing more
      throw new TellableError(
        `The model could not read this picture of ${width} × ${height} pixels ` +
          `(${messageOf(error)}); scale it down.`,
      );
    }
  }

  close(): void {
    this.worker?.close();
    this.worker = null;
  }
}
