import { isDone, type Item } from "../answers/item";
import { nameIn, pool, type Pooled, type Series } from "../answers/series";
import type { Bundle } from "../model/bundle";
import { bars } from "./bars";
import { byId, el } from "./dom";
import { Strip } from "./strip";
import { notesOf, percent, pooledText, votesText } from "./wording";

/** The answers for whole series, each above the strip of its slices. */
export class SeriesList {
  private readonly list = byId("series-list");
  private readonly cards = new Map<string, SeriesCard>();
  private readonly cardOf = new Map<number, SeriesCard>();
  private bundle!: Bundle;

  constructor(private readonly onOpen: (item: Item) => void) {}

  reset(bundle: Bundle): void {
    this.bundle = bundle;
    for (const card of this.cards.values()) card.element.remove();
    this.cards.clear();
    this.cardOf.clear();
  }

  /** Series only ever gain slices, and new ones come last: none that was shown goes or moves. */
  arrange(series: Series[]): void {
    for (const one of series) {
      const card = this.cards.get(one.key) ?? new SeriesCard(this.bundle, this.onOpen);
      this.cards.set(one.key, card);
      for (const item of one.items) this.cardOf.set(item.id, card);
      if (!card.element.parentElement) this.list.append(card.element);
      card.arrange(one);
    }
  }

  update(item: Item): void {
    this.cardOf.get(item.id)?.update(item);
  }

  select(item: Item): void {
    for (const card of this.cards.values()) card.select(item);
  }

  /** What the answer of a single file stands below. */
  above(item: Item): HTMLElement {
    return this.cardOf.get(item.id)?.element ?? this.list;
  }
}

class SeriesCard {
  private readonly title = el("h3");
  private readonly answer = el("strong");
  private readonly probability = el("span");
  private readonly made = el("p", { className: "small" });
  private readonly notes = el("ul", { className: "series-notes" });
  private readonly bars = el("ul", { className: "bars" });
  private readonly most = el("p", { className: "most" });
  private readonly stripTitle = el("h4");
  private readonly strip: Strip;
  readonly element: HTMLElement;
  private series!: Series;
  private drawn: number | null = null;
  private mostShown = ""; // what tells one such list from another

  constructor(
    private readonly bundle: Bundle,
    private readonly onOpen: (item: Item) => void,
  ) {
    this.strip = new Strip(onOpen);
    const worth = votesText(bundle);
    this.element = el(
      "article",
      { className: "series" },
      this.title,
      el(
        "div",
        { className: "series-body" },
        el(
          "div",
          {},
          el("p", { className: "headline" }, this.answer, " ", this.probability),
          this.made,
          this.notes,
          this.most,
        ),
        el("div", {}, el("h4", { textContent: "Probability of each class" }), this.bars),
      ),
      worth ? el("p", { className: "small", textContent: worth }) : null,
      this.stripTitle,
      this.strip.element,
    );
  }

  arrange(series: Series): void {
    this.series = series;
    this.title.textContent = series.name;
    this.element.ariaLabel = `Series ${series.name}`;
    this.strip.arrange(series);
    this.show(series.items);
  }

  update(item: Item): void {
    this.show([item]);
  }

  select(item: Item): void {
    this.strip.select(this.series.items.includes(item) ? item : null);
  }

  private show(changed: Item[]): void {
    const { items } = this.series;
    const { classes } = this.bundle;
    const pooled = pool(items, this.bundle);
    const answer = pooled.said?.answer ?? null;
    this.showAnswer(pooled);
    this.made.textContent = pooledText(pooled, !items.every(isDone));
    this.notes.replaceChildren(
      ...notesOf(pooled).map(({ kind, text }) =>
        el("li", { className: `badge ${kind}`, textContent: text }),
      ),
    );
    // the maps on all small pictures are of the series' answer, which may turn
    for (const item of answer === this.drawn ? changed : items) {
      this.strip.update(item, answer, classes);
    }
    this.drawn = answer;
  }

  private showAnswer({ said, unread }: Pooled): void {
    const { classes } = this.bundle;
    const none = unread > 0 ? "No answer yet" : "No answer";
    const name = said ? classes[said.answer]! : none;
    this.answer.textContent = name;
    this.probability.textContent = said ? percent(said.probabilities[said.answer]!) : "";
    const probabilities = said?.probabilities ?? classes.map(() => 0);
    this.bars.parentElement!.hidden = said === null;
    this.bars.replaceChildren(...bars(probabilities, classes, said?.answer ?? -1));
    this.stripTitle.textContent = said ? `Its slices, coloured where they speak for ${name}` : "";
    this.showMost(said?.most ?? [], said?.answer ?? 0);
  }

  private showMost(most: Item[], answer: number): void {
    const shown = [answer, ...most.map(({ id }) => id)].join();
    if (shown === this.mostShown) return;
    const at = [...this.most.children].indexOf(document.activeElement!);
    this.mostShown = shown;
    this.most.replaceChildren(
      ...(most.length > 0 ? [`Speak most for ${this.bundle.classes[answer]}: `] : []),
      ...most.map((item) => this.opener(item, answer)),
    );
    if (at >= 0) (this.most.children[Math.min(at, most.length - 1)] as HTMLElement)?.focus();
  }

  private opener(item: Item, answer: number): HTMLElement {
    const share = percent(item.outputs!.probabilities[answer]!);
    return el("button", {
      type: "button",
      onclick: () => this.onOpen(item),
      title: nameIn(this.series, item),
      textContent: `Slice ${this.series.items.indexOf(item) + 1}: ${share}`,
    });
  }
}
