import type { Item } from "../answers/item";
import { judge } from "../answers/judge";
import type { Bundle } from "../model/bundle";
import { bars } from "./bars";
import { byId, el } from "./dom";
import { overlayPixels, peakPlace } from "./overlay";
import { accuracyText, percent, warningsOf } from "./wording";

/** One answer in full: the picture under its class map, probabilities, warnings. */
export class Detail {
  private readonly section = byId("detail");
  private readonly title = byId("detail-title");
  private readonly picture = byId<HTMLCanvasElement>("picture");
  private readonly overlay = byId<HTMLCanvasElement>("overlay");
  private readonly picker = byId<HTMLSelectElement>("map-class");
  private readonly opacity = byId<HTMLInputElement>("map-opacity");
  private item: Item | null = null;
  private bundle!: Bundle;

  /** @param load reads the file's picture anew: pictures of many files would fill the memory. */
  constructor(private readonly load: (file: Blob) => Promise<ImageBitmap>) {
    this.picker.addEventListener("change", () => this.drawMap());
    this.opacity.addEventListener("input", () => this.fade());
    this.fade();
  }

  get shown(): Item | null {
    return this.item;
  }

  hide(): void {
    this.item = null;
    this.section.hidden = true;
  }

  async show(item: Item, bundle: Bundle): Promise<void> {
    this.item = item;
    this.bundle = bundle;
    const { probabilities, distance } = item.outputs!;
    const said = judge(probabilities, distance, bundle.classes, bundle.operating_points);
    this.section.hidden = false;
    this.title.textContent = item.name;
    byId("detail-answer").textContent = bundle.classes[said.answer]!;
    byId("detail-probability").textContent = percent(said.probability);
    byId("warnings").replaceChildren(
      ...warningsOf(item, said, bundle).map(({ kind, long }) =>
        el("li", { className: kind, textContent: long }),
      ),
    );
    byId("bars").replaceChildren(...bars(probabilities, bundle.classes, said.answer));
    byId("detail-numbers").textContent = trackRecord(bundle);
    this.picker.replaceChildren(
      ...bundle.classes.map((name) => el("option", { textContent: name })),
    );
    this.picker.selectedIndex = said.answer;
    this.drawMap();
    await this.drawPicture(item);
  }

  /** Stand right below an element, in whose midst the reader may be working. */
  moveBelow(element: Element): void {
    if (element.nextElementSibling === this.section) return;
    const focused = document.activeElement;
    element.after(this.section);
    if (this.section.contains(focused)) (focused as HTMLElement).focus({ preventScroll: true });
  }

  /** Move the reader to the answer that was asked for. */
  focus(): void {
    this.title.focus({ preventScroll: true });
    this.section.scrollIntoView({ block: "start" });
  }

  private async drawPicture(item: Item): Promise<void> {
    this.picture.width = item.width!;
    this.picture.height = item.height!;
    const bitmap = await this.load(item.file).catch(() => null);
    if (this.item !== item) return;
    byId("picture-lost").hidden = bitmap !== null;
    if (!bitmap) return;
    this.picture.width = bitmap.width;
    this.picture.height = bitmap.height;
    this.picture.getContext("2d")!.drawImage(bitmap, 0, 0);
    bitmap.close();
  }

  private drawMap(): void {
    const outputs = this.item!.outputs!;
    const k = this.picker.selectedIndex;
    const [height, width] = outputs.mapShape;
    this.overlay.width = width;
    this.overlay.height = height;
    const pixels = new ImageData(overlayPixels(outputs, k), width, height);
    this.overlay.getContext("2d")!.putImageData(pixels, 0, 0);
    const name = this.bundle.classes[k]!;
    const place = peakPlace(outputs, k);
    byId("map-text").textContent = place
      ? `What speaks most for ${name} lies at the ${place} of the picture.`
      : `Nothing in this picture speaks for ${name}.`;
  }

  private fade(): void {
    this.overlay.style.opacity = String(Number(this.opacity.value) / 100);
    byId("map-opacity-value").textContent = `${this.opacity.value}\u00a0%`;
  }
}

function trackRecord({ metrics }: Bundle): string {
  const text = (key: keyof Bundle["metrics"]) => {
    const measured = metrics[key];
    return measured ? accuracyText(measured) : "not measured";
  };
  return (
    `Such a model is right on new patients in ${text("patient")}, shown in another display window ` +
    `in ${text("other_window")}; on patients seen in training, as published, in ${text("slice")}.`
  );
}
