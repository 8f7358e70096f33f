import { toCsv } from "./answers/csv";
import { isDone, type Item } from "./answers/item";
import { toJson } from "./answers/json";
import { judge } from "./answers/judge";
import { Queue } from "./answers/queue";
import type { Decoded } from "./decode/decode-worker";
import decodeWorkerUrl from "./decode/decode-worker?worker&url";
import { messageOf } from "./errors";
import { loadOffers, type Offer } from "./model/catalog";
import { loadModel } from "./model/download";
import { Runner } from "./model/runner";
import { Detail } from "./view/detail";
import { byId, saveFile } from "./view/dom";
import { listenForFiles } from "./view/drop-zone";
import { ModelCard } from "./view/model-card";
import { AnswerTable } from "./view/table";
import { percent, progressText } from "./view/wording";
import { WorkerClient } from "./workers";

const ANNOUNCE_EVERY = 3000; // milliseconds between two spoken lines of progress

/** The page: files in, answers of the chosen model out. */
export class App {
  private items: Item[] = [];
  private lastId = 0;
  private offer: Offer | null = null;
  private runner: Promise<Runner> | null = null;
  private announced = 0;

  private readonly decoder = new WorkerClient(decodeWorkerUrl);
  private readonly card = new ModelCard();
  private readonly table = new AnswerTable((item) => this.open(item, true));
  private readonly detail = new Detail((file) => this.decoder.call("picture", file));
  private queue = this.newQueue();

  async start(): Promise<void> {
    listenForFiles((files) => this.add(files));
    byId("cancel").onclick = () => this.queue.cancel();
    byId("clear").onclick = () => this.clear();
    byId("save-csv").onclick = () => this.save("csv", "text/csv", toCsv);
    byId("save-json").onclick = () => this.save("json", "application/json", toJson);
    byId("previous").onclick = () => this.step(-1);
    byId("next").onclick = () => this.step(1);
    try {
      const offers = await loadOffers();
      this.card.offer(offers, (offer) => this.choose(offer));
      await this.choose(offers[0]!);
    } catch (error) {
      this.card.fail(messageOf(error));
      byId<HTMLInputElement>("files").disabled = true;
    }
  }

  /** Load a model; files already given are answered anew by it. */
  private async choose(offer: Offer): Promise<void> {
    this.queue.abandon();
    void this.runner?.then((runner) => runner.close()).catch(() => undefined);
    this.offer = offer;
    this.card.show(offer.bundle);
    this.card.progress(0);
    const loading = this.load(offer);
    this.runner = loading;
    this.queue = this.newQueue();
    this.detail.hide();
    this.table.reset(offer.bundle);
    for (const item of this.items) Object.assign(item, { state: "waiting", outputs: undefined });
    try {
      await loading;
      if (this.runner !== loading) return;
      this.card.ready();
    } catch (error) {
      if (this.runner === loading) this.card.fail(messageOf(error));
    }
    if (this.runner === loading) this.enqueue(this.items);
  }

  private async load(offer: Offer): Promise<Runner> {
    const show = (share: number) => this.offer === offer && this.card.progress(share);
    const runner = new Runner(await loadModel(offer, show));
    show(1);
    await runner.start();
    return runner;
  }

  private add(files: File[]): void {
    const items = files.map((file): Item => {
      const id = ++this.lastId;
      return { id, name: file.name || `pasted ${id}`, file, state: "waiting" };
    });
    this.items.push(...items);
    this.enqueue(items);
  }

  private enqueue(items: Item[]): void {
    if (!this.offer || items.length === 0) return;
    for (const item of items) this.table.update(item);
    void this.queue.add(items).then(() => this.report());
    this.report();
  }

  private newQueue(): Queue {
    return new Queue({
      decode: (file) => this.decoder.call<Decoded>("decode", file),
      run: async (pixels) => (await this.runner!).run(pixels),
      onChange: (item) => {
        this.table.update(item);
        if (item.state === "answered" && !this.detail.shown) this.open(item, false);
        this.report();
      },
    });
  }

  private open(item: Item, moveFocus: boolean): void {
    void this.detail.show(item, this.offer!.bundle);
    this.table.select(item);
    if (moveFocus) this.detail.focus();
  }

  private step(by: number): void {
    const answered = this.items.filter((item) => item.outputs);
    const at = answered.indexOf(this.detail.shown!);
    const item = answered[(at + by + answered.length) % answered.length];
    if (item) this.open(item, false);
  }

  private report(): void {
    const done = this.items.filter(isDone).length;
    const failed = this.items.filter((item) => item.state === "failed").length;
    const { length: total } = this.items;
    const text = progressText(done, total, failed);
    byId("results").hidden = total === 0;
    byId("work-text").textContent = text;
    const bar = byId<HTMLProgressElement>("work-progress");
    bar.max = Math.max(1, total);
    bar.value = done;
    bar.hidden = done === total;
    byId("cancel").hidden = done === total;
    byId("step").hidden = this.items.filter((item) => item.outputs).length < 2;
    this.announce(this.spokenResult() ?? text, done === total);
  }

  /** Of a single picture its answer is spoken, not the progress. */
  private spokenResult(): string | null {
    const [item, ...others] = this.items;
    if (!item?.outputs || others.length > 0) return null;
    const { classes, operating_points: points } = this.offer!.bundle;
    const { probabilities, distance } = item.outputs;
    const said = judge(probabilities, distance, classes, points);
    return `${item.name}: ${classes[said.answer]}, ${percent(said.probability)}.`;
  }

  /** A screen reader hears of the progress now and then, and always of the end. */
  private announce(text: string, last: boolean): void {
    const now = Date.now();
    if (!last && now - this.announced < ANNOUNCE_EVERY) return;
    this.announced = now;
    byId("announcer").textContent = text;
  }

  private clear(): void {
    this.queue.abandon();
    this.queue = this.newQueue();
    this.items = [];
    this.detail.hide();
    if (this.offer) this.table.reset(this.offer.bundle);
    this.report();
    byId("files").focus();
  }

  private save(suffix: string, type: string, write: typeof toCsv): void {
    const { name, bundle } = this.offer!;
    saveFile(`kidneyct-answers.${suffix}`, type, write(this.items, bundle, name));
  }
}
