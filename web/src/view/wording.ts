import type { Item } from "../answers/item";
import type { Judgement } from "../answers/judge";
import type { Pooled } from "../answers/series";
import type { Bundle, Metrics } from "../model/bundle";

const THIN = "\u00a0"; // keeps a number and its unit on one line

/** A share as a percentage with one digit. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}${THIN}%`;
}

export interface Warning {
  kind: "doubtful" | "distribution" | "confidence" | "missed";
  short: string;
  long: string;
}

/** What must be said beside an answer, the gravest first. */
export function warningsOf(
  item: Pick<Item, "outputs" | "warning">,
  said: Judgement,
  { classes, operating_points: points }: Bundle,
): Warning[] {
  const { probabilities, distance } = item.outputs!;
  const warnings: Warning[] = [];
  if (item.warning) {
    warnings.push({
      kind: "doubtful",
      short: "doubtful picture",
      long: `Doubtful picture: ${item.warning}. Do not rely on the answer.`,
    });
  }
  if (said.outOfDistribution) {
    warnings.push({
      kind: "distribution",
      short: "out of distribution",
      long:
        "Out of distribution: this image is unlike those the model was trained on (distance " +
        `${distance.toFixed(1)}, limit ${points.distance!.toFixed(1)}). Do not rely on the answer.`,
    });
  }
  if (said.lowConfidence) {
    warnings.push({
      kind: "confidence",
      short: "low confidence",
      long:
        `Low confidence: the highest probability, ${percent(said.probability)}, is below ` +
        `${percent(points.confidence!)}, from which this model's answers count.`,
    });
  }
  for (const name of said.notRuledOut) {
    const { target_recall, threshold } = points.recall[name]!;
    const probability = probabilities[classes.indexOf(name)]!;
    warnings.push({
      kind: "missed",
      short: `${name} not ruled out`,
      long:
        `${name} is not ruled out: its probability of ${percent(probability)} reaches ` +
        `${percent(threshold)}, the limit set to find ${percent(target_recall)} of the slices with ${name}.`,
    });
  }
  return warnings;
}

/** The interval of a headline number. */
export function intervalText({ accuracy_ci95: [low, high] }: Metrics): string {
  return `95${THIN}% interval ${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;
}

/** A headline number with its interval. */
export function accuracyText(metrics: Metrics): string {
  return `${percent(metrics.accuracy)} of slices (${intervalText(metrics)})`;
}

export function backboneText({ backbone, weights }: Bundle): string {
  return weights === "none" ? `${backbone}, untrained backbone` : `${backbone}, ${weights} weights`;
}

export function schemeText(scheme: string): string {
  if (scheme === "final") return "fitted on all patients; the numbers are its recipe's";
  return scheme === "patient"
    ? "trained with its test patients kept apart"
    : "trained as published, with slices of its test patients";
}

export const filesText = (count: number) => `${count} ${count === 1 ? "file" : "files"}`;
export const slicesText = (count: number) => `${count} ${count === 1 ? "slice" : "slices"}`;

/** What one vote per patient is worth; "" where it was not measured. */
export function votesText({ votes }: Pick<Bundle, "votes">): string {
  const { patient, other_window: other } = votes ?? {};
  if (!patient) return "";
  const beside = other ? `, in another display window ${percent(other.accuracy)}` : "";
  return (
    `One vote per patient is right for ${percent(patient.accuracy)} of ${patient.groups} new ` +
    `patients (${intervalText(patient)})${beside}.`
  );
}

/** What the answer for a series is made of. */
export function pooledText({ slices, unread }: Pooled, underWay: boolean): string {
  const left = filesText(unread);
  const rest = underWay ? `${left} still to be read` : `${left} left unread`;
  const mean = slices > 0 ? `Mean of ${slicesText(slices)}` : "No slice is answered";
  return unread > 0 ? `${mean}${underWay ? " so far" : ""}; ${rest}.` : `${mean}.`;
}

/** What must be said beside the answer for a series, the gravest first. */
export function notesOf(pooled: Pooled): { kind: string; text: string }[] {
  const { doubtful, outOfDistribution, lowConfidence, failed, localizers } = pooled;
  const notes = [
    { kind: "doubtful", count: doubtful, text: `${slicesText(doubtful)} doubtful` },
    {
      kind: "distribution",
      count: outOfDistribution,
      text: `${slicesText(outOfDistribution)} out of distribution`,
    },
    {
      kind: "confidence",
      count: lowConfidence,
      text: `${slicesText(lowConfidence)} of low confidence`,
    },
    {
      kind: "doubtful",
      count: failed.length,
      text: `${filesText(failed.length)} could not be read`,
    },
    {
      kind: "aside",
      count: localizers,
      text: `${localizers} ${localizers === 1 ? "localizer" : "localizers"} left out`,
    },
  ];
  return notes.filter(({ count }) => count > 0);
}

/** How far the work is, for the line above the table. */
export function progressText(done: number, total: number, failed: number): string {
  const trouble = failed ? `, ${failed} could not be read` : "";
  return `${done} of ${filesText(total)} done${trouble}.`;
}
