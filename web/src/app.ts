import { toCsv } from "./answers/csv";
import { isDone, type Item } from "./answers/item";
import { toJson } from "./answers/json";
import { Queue } from "./answers/queue";
import { group, inOrder, pool } from "./answers/series";
import { Survey, type Given } from "./answers/survey";
import type { Decoded } from "./decode/decode-worker";
import type { Place } from "./decode/place";
import decodeWorkerUrl from "./decode/decode-worker?worker&url";
import { messageOf } from "./errors";
import type { Bundle } from "./model/bundle";
import { loadOffers, type Offer } from "./model/catalog";
import { loadModel } from "./model/download";
import { Runner } from "./model/runner";
import { Detail } from "./view/detail";
import { byId, saveFile } from "./view/dom";
import { listenForFiles } from "./view/drop-zone";
import { ModelCard } from "./view/model-card";
import { SeriesList } from "./view/series";
import { AnswerTable } from "./view/table";
import { filesText, percent, progressText } from "./view/wording";
import { WorkerClient } from "./workers";

const ANNOUNCE_EVERY = 3000; // milliseconds between two spoken lines of progress
const SAY_AFTER = 500; // milliseconds that looking through files may take unsaid

/** The page: files in, answers of the chosen model out. */
export class App {
  private items: Item[] = [];
  private offer: Offer | null = null;
  private runner: Promise<Runner> | null = null;
  private loaded = false; // or found to be impossible to load
  private announced = 0;

  private readonly decoder = new WorkerClient(decodeWorkerUrl);
  private readonly card = new ModelCard();
  private readonly table = new AnswerTable((item) => this.open(item, true));
  private readonly series = new SeriesList((item) => this.open(item, true));
  private readonly survey = new Survey((file) => this.decoder.call<Place>("place", file));
  private readonly detail = new Detail((file) => this.decoder.call("picture", file));
  private queue = this.newQueue();

  async start(): Promise<void> {
    listenForFiles((given, ofFolder) => void this.add(given, ofFolder));
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
      for (const input of document.querySelectorAll<HTMLInputElement>("#files, #folder")) {
        input.disabled = true;
      }
    }
  }

  /** Load a model; files already given are answered anew by it. */
  private async choose(offer: Offer): Promise<void> {
    this.queue.abandon();
    void this.runner?.then((runner) => runner.close()).catch(() => undefined);
    this.offer = offer;
    this.card.show(offer.bundle);
    this.card.progress(0);
    this.loaded = false;
    const loading = this.load(offer);
    this.runner = loading;
    this.queue = this.newQueue();
    this.detail.hide();
    for (const item of this.items) Object.assign(item, { state: "waiting", outputs: undefined });
    this.reset(offer.bundle);
    try {
      await loading;
      if (this.runner !== loading) return;
      this.card.ready();
    } catch (error) {
      if (this.runner === loading) this.card.fail(messageOf(error));
    }
    if (this.runner !== loading) return;
    this.loaded = true;
    this.enqueue(this.items);
  }

  private async load(offer: Offer): Promise<Runner> {
    const show = (share: number) => this.offer === offer && this.card.progress(share);
    const runner = new Runner(await loadModel(offer, show));
    show(1);
    await runner.start();
    return runner;
  }

  /** Series are found before anything is answered, so that their slices come in order. */
  private async add(given: Given[], ofFolder: boolean): Promise<void> {
    if (given.length === 0 && !ofFolder) return; // words were pasted, say
    const looking = byId("looking");
    const saying = setTimeout(() => {
      looking.textContent = `Looking through ${filesText(given.length)}…`;
    }, SAY_AFTER);
    const items = await this.survey.look(given);
    clearTimeout(saying);
    looking.textContent = items?.length === 0 ? "This folder holds no image." : "";
    if (!items) return; // all was removed meanwhile
    this.items = inOrder([...this.items, ...items]);
    if (this.offer) this.arrange();
    const added = new Set(items);
    this.enqueue(this.items.filter((item) => added.has(item)));
  }

  private reset(bundle: Bundle): void {
    this.table.reset(bundle);
    this.series.reset(bundle);
    this.arrange();
  }

  private arrange(): void {
    const { series, singles } = group(this.items);
    this.table.arrange(series, singles);
    this.series.arrange(series);
    if (this.detail.shown) this.place(this.detail.shown);
  }

  /** The open answer stands right below that of its series. */
  private place(item: Item): void {
    this.detail.moveBelow(this.series.above(item));
    this.table.select(item);
    this.series.select(item);
  }

  /** Files that are given while a model is loaded wait for the end of that. */
  private enqueue(items: Item[]): void {
    if (!this.offer || items.length === 0) return;
    for (const item of items) this.update(item);
    if (this.loaded) void this.queue.add(items).then(() => this.report());
    this.report();
  }

  private newQueue(): Queue {
    return new Queue({
      decode: (file) => this.decoder.call<Decoded>("decode", file),
      run: async (pixels) => (await this.runner!).run(pixels),
      onChange: (item) => {
        this.update(item);
        if (item.state === "answered" && !this.detail.shown) this.open(item, false);
        this.report();
      },
    });
  }

  private update(item: Item): void {
    this.table.update(item);
    this.series.update(item);
  }

  private open(item: Item, moveFocus: boolean): void {
    void this.detail.show(item, this.offer!.bundle);
    this.place(item);
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

  /** Of a single picture or series its answer is spoken, not the progress. */
  private spokenResult(): string | null {
    if (!this.items.every(isDone)) return null;
    const { series, singles } = group(this.items);
    if (series.length + singles.length !== 1) return null;
    const { bundle } = this.offer!;
    const { name } = series[0] ?? singles[0]!;
    const probabilities = series[0]
      ? pool(this.items, bundle).said?.probabilities
      : singles[0]!.outputs?.probabilities;
    if (!probabilities) return null;
    const probability = Math.max(...probabilities);
    const answer = bundle.classes[probabilities.indexOf(probability)]!;
    return `${name}: ${answer}, ${percent(probability)}.`;
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
    this.survey.abandon();
    this.queue = this.newQueue();
    this.items = [];
    this.detail.hide();
    if (this.offer) this.reset(this.offer.bundle);
    this.report();
    byId("files").focus();
  }

  private save(suffix: string, type: string, write: typeof toCsv): void {
    const { name, bundle } = this.offer!;
    saveFile(`kidneyct-answers.${suffix}`, type, write(this.items, bundle, name));
  }
}
