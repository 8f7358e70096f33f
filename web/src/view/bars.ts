import { el } from "./dom";
import { percent } from "./wording";

/** The probability of each class as a bar, for a list of the class `bars`. */
export function bars(probabilities: number[], classes: string[], answer: number): HTMLElement[] {
  return classes.map((name, k) => {
    const fill = el("span", { className: "fill" });
    fill.style.width = `${100 * probabilities[k]!}%`;
    return el(
      "li",
      { className: k === answer ? "answered" : "" },
      el("span", { className: "class-name", textContent: name }),
      el("span", { className: "track", ariaHidden: "true" }, fill),
      el("span", { className: "number", textContent: percent(probabilities[k]!) }),
    );
  });
}
