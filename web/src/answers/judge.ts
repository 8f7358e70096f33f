import type { OperatingPoints } from "../model/bundle";

/** What the model's outputs say by the operating points that were chosen with it. */
export interface Judgement {
  /** Index of the class with the highest probability. */
  answer: number;
  probability: number;
  outOfDistribution: boolean;
  lowConfidence: boolean;
  /** Classes that were not answered though their probability reaches the limit set for them. */
  notRuledOut: string[];
}

export function judge(
  probabilities: number[],
  distance: number,
  classes: string[],
  points: OperatingPoints,
): Judgement {
  const probability = Math.max(...probabilities);
  const answer = probabilities.indexOf(probability);
  return {
    answer,
    probability,
    outOfDistribution: points.distance !== null && distance > points.distance,
    lowConfidence: points.confidence !== null && probability < points.confidence,
    notRuledOut: classes.filter((name, k) => {
      const point = points.recall[name];
      return k !== answer && point !== undefined && probabilities[k]! >= point.threshold;
    }),
  };
}
