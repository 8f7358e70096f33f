import type { Item } from "../answers/item";
import { judge } from "../answers/judge";
import { nameIn, type Series } from "../answers/series";
import type { Bundle } from "../model/bundle";
import { byId, el } from "./dom";
import { filesText, percent, warningsOf } from "./wording";

const THUMBNAIL = 48;

/** One row per file, those of a series under a heading: its picture, the answer, and what must be said beside it. */
export class AnswerTable {
  private readonly body = byId("rows");
  private readonly rows = new Map<number, HTMLTableRowElement>();
  private readonly names = new Map<number, string>();
  private readonly drawn = new WeakMap<Item, HTMLCanvasElement>();
  private bundle!: Bundle;

  constructor(private readonly onOpen: (item: Item) => void) {}

  reset(bundle: Bundle): void {
    this.bundle = bundle;
    this.rows.clear();
    this.clearGroups();
    this.body.replaceChildren();
  }

  /** Put the rows in order: series after series, then those of none. */
  arrange(series: Series[], singles: Item[]): void {
    this.clearGroups();
    for (const one of series) {
      const text = `${one.name}, ${filesText(one.items.length)}`;
      const heading = el("th", { scope: "rowgroup", colSpan: 4, textContent: text });
      const rows = one.items.map((item) => this.rowOf(item));
      this.body.before(el("tbody", { className: "of-series" }, el("tr", {}, heading), ...rows));
      for (const item of one.items) this.names.set(item.id, nameIn(one, item));
    }
    this.body.append(...singles.map((item) => this.rowOf(item)));
  }

  private clearGroups(): void {
    this.names.clear();
    this.body.parentElement!.querySelectorAll(".of-series").forEach((group) => group.remove());
  }

  private rowOf(item: Item): HTMLTableRowElement {
    const row = this.rows.get(item.id) ?? el("tr");
    this.rows.set(item.id, row);
    return row;
  }

  update(item: Item): void {
    const row = this.rowOf(item);
    const focused = row.contains(document.activeElement);
    row.dataset["state"] = item.state;
    row.replaceChildren(this.nameCell(item), ...this.answerCells(item));
    if (focused) row.querySelector("button")?.focus();
  }

  select(item: Item): void {
    for (const row of this.rows.values()) row.removeAttribute("aria-current");
    this.rows.get(item.id)?.setAttribute("aria-current", "true");
  }

  private nameCell(item: Item): HTMLElement {
    const textContent = this.names.get(item.id) ?? item.name;
    const name = el("span", { className: "file-name", textContent });
    const content = item.outputs
      ? el(
          "button",
          { type: "button", onclick: () => this.onOpen(item) },
          this.thumbnail(item),
          name,
        )
      : el("span", { className: "no-button" }, el("span", { className: "blank" }), name);
    return el("th", { scope: "row" }, content);
  }

  private thumbnail(item: Item): HTMLCanvasElement {
    const known = this.drawn.get(item);
    if (known) return known;
    const canvas = el("canvas", { width: THUMBNAIL, height: THUMBNAIL, ariaHidden: "true" });
    const { width, height } = item.thumbnail!;
    const scale = THUMBNAIL / Math.max(width, height);
    const [w, h] = [width * scale, height * scale];
    const context = canvas.getContext("2d")!;
    context.drawImage(item.thumbnail!, (THUMBNAIL - w) / 2, (THUMBNAIL - h) / 2, w, h);
    this.drawn.set(item, canvas);
    return canvas;
  }

  private answerCells(item: Item): HTMLElement[] {
    if (!item.outputs) {
      const waiting = {
        waiting: "waiting",
        working: "being read…",
        cancelled: "not read: stopped",
      };
      const text = item.error ?? waiting[item.state as keyof typeof waiting];
      return [el("td", { colSpan: 3, className: "message", textContent: text })];
    }
    const { probabilities, distance } = item.outputs;
    const said = judge(probabilities, distance, this.bundle.classes, this.bundle.operating_points);
    const warnings = warningsOf(item, said, this.bundle);
    return [
      el("td", { className: "answer", textContent: this.bundle.classes[said.answer]! }),
      el("td", { className: "number", textContent: percent(said.probability) }),
      el("td", { className: "notes" }, ...warnings.map(badge)),
    ];
  }
}

function badge({ kind, short }: { kind: string; short: string }): HTMLElement {
  return el("span", { className: `badge ${kind}`, textContent: short });
}
