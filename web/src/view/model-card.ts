import type { Bundle, Metrics } from "../model/bundle";
import type { Offer } from "../model/catalog";
import { byId, el } from "./dom";
import { backboneText, intervalText, percent, schemeText } from "./wording";

/** The picker of models, what the chosen one is, and how often it is right. */
export class ModelCard {
  private readonly picker = byId<HTMLSelectElement>("model-picker");
  private readonly facts = byId("model-facts");
  private readonly loading = byId("model-loading");
  private readonly loadingText = byId("model-loading-text");
  private readonly bar = byId<HTMLProgressElement>("model-progress");
  private readonly error = byId("model-error");

  offer(offers: Offer[], onChoice: (offer: Offer) => void): void {
    this.picker.replaceChildren(
      ...offers.map(({ name, bundle }) => el("option", { textContent: optionText(name, bundle) })),
    );
    this.picker.disabled = false;
    this.picker.onchange = () => onChoice(offers[this.picker.selectedIndex]!);
  }

  show(bundle: Bundle): void {
    this.facts.replaceChildren(
      ...pair("Study", `${bundle.study}, recipe ${bundle.recipe}`),
      ...pair("Classes", bundle.classes.join(", ")),
      ...pair("Scheme", `${bundle.scheme}: ${schemeText(bundle.scheme)}`),
      ...pair("Network", backboneText(bundle)),
      ...pair("Intended use", bundle.intended_use),
    );
    byId("untrained").hidden = bundle.weights !== "none";
    byId("numbers").replaceChildren(...numbers(bundle));
    byId("numbers-section").hidden = false;
  }

  progress(share: number): void {
    this.state("loading");
    this.bar.value = share;
    this.say(share < 1 ? "Loading the model…" : "Starting the model…");
  }

  ready(): void {
    this.state("ready");
    this.say("The model is ready.");
  }

  fail(message: string): void {
    this.state("failed");
    this.error.textContent = message;
    this.say("");
  }

  private say(text: string): void {
    if (this.loadingText.textContent !== text) this.loadingText.textContent = text;
  }

  private state(state: "loading" | "ready" | "failed"): void {
    this.loading.dataset["state"] = state;
    this.bar.hidden = state !== "loading";
    this.error.hidden = state !== "failed";
  }
}

function optionText(name: string, { classes, scheme, weights }: Bundle): string {
  const trained = weights === "none" ? ", untrained backbone" : "";
  return `${name}: ${classes.join(", ")} (${scheme}${trained})`;
}

function pair(term: string, text: string): HTMLElement[] {
  return [el("dt", { textContent: term }), el("dd", { textContent: text })];
}

function accuracy(measured: Metrics): (Node | string)[] {
  return [
    el("strong", { textContent: percent(measured.accuracy) }),
    ` of slices right (${intervalText(measured)})`,
  ];
}

/** The three headline numbers, always together. */
export function numbers({ metrics }: Bundle): HTMLElement[] {
  const rows = [
    ["New patients, in another display window", metrics.other_window],
    ["New patients", metrics.patient],
    ["Patients seen in training (as published)", metrics.slice],
  ] as const;
  return rows.map(([who, measured]) =>
    el(
      "div",
      {},
      el("dt", { textContent: who }),
      el("dd", {}, ...(measured ? accuracy(measured) : ["not measured"])),
    ),
  );
}
