import { modelFileOf, type Bundle } from "../model/bundle";
import type { Item } from "./item";
import { judge } from "./judge";
import { group, pool, type Series } from "./series";

/** All answers with their class maps, for further work with them. */
export function toJson(items: Item[], bundle: Bundle, model: string): string {
  const document = {
    format: 1,
    intended_use: bundle.intended_use,
    model: { name: model, sha256: bundle.files[modelFileOf(bundle)!]!.sha256 },
    classes: bundle.classes,
    series: group(items).series.map((series) => seriesAnswer(series, bundle)),
    answers: items.map((item) => answerOf(item, bundle)),
  };
  return JSON.stringify(document, null, 1);
}

/** With the keys of what `kidneyct predict --series` prints. */
function seriesAnswer({ name, uid, items }: Series, bundle: Bundle) {
  const { said, ...counts } = pool(items, bundle);
  const named = { name, ...(uid ? { uid } : {}), files: items.map((item) => item.name) };
  const errors = Object.fromEntries(counts.failed.map((item) => [item.name, item.error]));
  const told = {
    ...(Object.keys(counts.warnings).length > 0 ? { warnings: counts.warnings } : {}),
    ...(counts.failed.length > 0 ? { errors } : {}),
    ...(counts.unread > 0 ? { not_answered: counts.unread } : {}),
  };
  if (!said) return { ...named, error: noAnswer(items.length, counts.unread), ...told };
  const chosen = said.most.map((item) => [item.name, item.outputs!.probabilities[said.answer]]);
  return {
    ...named,
    slices: counts.slices,
    label: bundle.classes[said.answer],
    probabilities: Object.fromEntries(
      bundle.classes.map((label, k) => [label, Number(said.probabilities[k]!.toFixed(6))]),
    ),
    most: Object.fromEntries(chosen),
    out_of_distribution: counts.outOfDistribution,
    low_confidence: counts.lowConfidence,
    ...told,
  };
}

const noAnswer = (files: number, unread: number) =>
  unread > 0 ? "not answered" : `none of its ${files} files is a slice that can be read`;

function answerOf(item: Item, bundle: Bundle) {
  const { name: file, outputs, error } = item;
  if (!outputs) return { file, error: error ?? "not answered" };
  const { probabilities, distance, maps, mapShape } = outputs;
  const said = judge(probabilities, distance, bundle.classes, bundle.operating_points);
  return {
    file,
    width: item.width,
    height: item.height,
    answer: bundle.classes[said.answer],
    probabilities,
    distance,
    out_of_distribution: said.outOfDistribution,
    low_confidence: said.lowConfidence,
    ...(item.warning ? { warning: item.warning } : {}),
    not_ruled_out: said.notRuledOut,
    map_shape: mapShape,
    maps_float32_base64: base64(maps),
  };
}

/** Little-endian bytes, as every browser's machine holds them. */
export function base64(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
