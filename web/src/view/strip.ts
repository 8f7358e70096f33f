import type { Item } from "../answers/item";
import { isLocalizer, nameIn, type Series } from "../answers/series";
import { el } from "./dom";
import { overlayPixels } from "./overlay";
import { percent } from "./wording";

const SIDE = 96; // pixels, as decode-worker.ts makes the small pictures
const MAP_OPACITY = 0.6;
const WORDS = { waiting: "waiting", working: "reading…", failed: "not read", cancelled: "not read" };

/** The slices of a series side by side: small pictures under the map of the series' answer. */
export class Strip {
  readonly element = el("div", { className: "strip", role: "toolbar" });
  private readonly thumbs = new Map<number, HTMLButtonElement>();
  private series!: Series;
  private shown: Item | null = null;

  constructor(private readonly onOpen: (item: Item) => void) {
    // One stop of the Tab key for all slices, of which there may be hundreds.
    this.element.addEventListener("keydown", (event) => this.move(event));
    this.element.addEventListener("focusin", ({ target }) => this.makeStop(target));
  }

  arrange(series: Series): void {
    this.series = series;
    this.element.ariaLabel = `Slices of ${series.name}; the arrow keys move among them`;
    this.element.replaceChildren(...series.items.map((item) => this.thumbOf(item)));
    this.makeStop(this.element.querySelector('[tabindex="0"]') ?? this.element.firstElementChild);
  }

  /** @param answer index of the series' class; null as long as there is none. */
  update(item: Item, answer: number | null, classes: string[]): void {
    const thumb = this.thumbOf(item);
    const number = this.series.items.indexOf(item) + 1;
    const place = `Slice ${number} of ${this.series.items.length}`;
    const name = nameIn(this.series, item);
    thumb.querySelector(".place")!.textContent = String(number);
    const { said, shown } = words(item, answer, classes);
    thumb.title = item.error ? `${name}: ${item.error}` : name;
    thumb.dataset["state"] = item.state;
    thumb.ariaDisabled = String(!item.outputs);
    thumb.querySelector(".unseen")!.textContent = `${place}, ${name}: ${said} `;
    thumb.querySelector(".number")!.textContent = shown;
    draw(thumb.querySelector("canvas")!, item, answer);
  }

  /** Mark the slice that is open, and bring it into view without moving the page. */
  select(item: Item | null): void {
    if (this.shown) this.thumbs.get(this.shown.id)?.removeAttribute("aria-current");
    this.shown = item;
    const thumb = item && this.thumbs.get(item.id);
    if (!thumb) return;
    thumb.ariaCurrent = "true";
    this.makeStop(thumb);
    const { scrollLeft, clientWidth } = this.element;
    const [left, right] = [thumb.offsetLeft, thumb.offsetLeft + thumb.offsetWidth];
    if (left < scrollLeft || right > scrollLeft + clientWidth) {
      this.element.scrollLeft = (left + right - clientWidth) / 2;
    }
  }

  private thumbOf(item: Item): HTMLButtonElement {
    const known = this.thumbs.get(item.id);
    if (known) return known;
    const thumb = el(
      "button",
      { type: "button", tabIndex: -1, onclick: () => item.outputs && this.onOpen(item) },
      el("canvas", { width: SIDE, height: SIDE, ariaHidden: "true" }),
      el("span", { className: "place", ariaHidden: "true" }),
      el("span", { className: "unseen" }),
      el("span", { className: "number" }),
    );
    this.thumbs.set(item.id, thumb);
    return thumb;
  }

  private makeStop(target: EventTarget | null): void {
    for (const thumb of this.element.children) (thumb as HTMLElement).tabIndex = -1;
    const thumb = (target as Element | null)?.closest("button");
    if (thumb) thumb.tabIndex = 0;
  }

  private move(event: KeyboardEvent): void {
    const thumbs = [...this.element.children] as HTMLElement[];
    const at = thumbs.indexOf(document.activeElement as HTMLElement);
    const last = thumbs.length - 1;
    const places: Record<string, number> = {
      ArrowLeft: Math.max(0, at - 1),
      ArrowRight: Math.min(last, at + 1),
      Home: 0,
      End: last,
    };
    const to = places[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    thumbs[to]!.focus({ preventScroll: true });
    thumbs[to]!.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/** What is said of a slice, and of that what is shown below its picture. */
function words(item: Item, answer: number | null, classes: string[]) {
  if (!item.outputs) return { said: "", shown: WORDS[item.state as keyof typeof WORDS] };
  if (isLocalizer(item)) return { said: "a localizer,", shown: "left out" };
  if (answer === null) return { said: "", shown: "" };
  return { said: classes[answer]!, shown: percent(item.outputs.probabilities[answer]!) };
}

const sheet = document.createElement("canvas"); // a map in its own size, before it is stretched

function draw(canvas: HTMLCanvasElement, item: Item, answer: number | null): void {
  const context = canvas.getContext("2d")!;
  context.clearRect(0, 0, SIDE, SIDE);
  if (!item.thumbnail || !item.outputs) return;
  const { width, height } = item.thumbnail;
  const scale = SIDE / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  const area = [(SIDE - w) / 2, (SIDE - h) / 2, w, h] as const;
  context.drawImage(item.thumbnail, ...area);
  if (answer === null || isLocalizer(item)) return;
  [sheet.height, sheet.width] = item.outputs.mapShape;
  const map = new ImageData(overlayPixels(item.outputs, answer), sheet.width, sheet.height);
  sheet.getContext("2d")!.putImageData(map, 0, 0);
  context.globalAlpha = MAP_OPACITY;
  context.drawImage(sheet, ...area);
  context.globalAlpha = 1;
}
