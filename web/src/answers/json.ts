import { modelFileOf, type Bundle } from "../model/bundle";
import type { Item } from "./item";
import { judge } from "./judge";

/** All answers with their class maps, for further work with them. */
export function toJson(items: Item[], bundle: Bundle, model: string): string {
  const document = {
    format: 1,
    intended_use: bundle.intended_use,
    model: { name: model, sha256: bundle.files[modelFileOf(bundle)!]!.sha256 },
    classes: bundle.classes,
    answers: items.map((item) => answerOf(item, bundle)),
  };
  return JSON.stringify(document, null, 1);
}

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
