import type { Bundle } from "../model/bundle";
import type { Item } from "./item";
import { judge } from "./judge";
import { group } from "./series";

/** All answers as a table: one row per file, RFC 4180. */
export function toCsv(items: Item[], bundle: Bundle, model: string): string {
  const header = [
    "file",
    "series",
    "answer",
    ...bundle.classes.map((name) => `p_${name}`),
    "distance",
    "out_of_distribution",
    "low_confidence",
    "warning",
    "not_ruled_out",
    "error",
    "model",
  ];
  const { series } = group(items);
  const rows = items.map((item) => {
    const name = series.find((one) => one.items.includes(item))?.name ?? "";
    return [safeText(item.name), safeText(name), ...cells(item, bundle), model];
  });
  return [header, ...rows].map((row) => `${row.map(escapeCell).join(",")}\r\n`).join("");
}

function cells(item: Item, bundle: Bundle): string[] {
  const { outputs } = item;
  if (!outputs) {
    const empty = Array.from({ length: bundle.classes.length + 6 }, () => "");
    return [...empty, item.error ?? "not answered"];
  }
  const { probabilities, distance } = outputs;
  const said = judge(probabilities, distance, bundle.classes, bundle.operating_points);
  return [
    bundle.classes[said.answer]!,
    ...probabilities.map((value) => value.toFixed(6)),
    String(distance),
    String(said.outOfDistribution),
    String(said.lowConfidence),
    item.warning ?? "",
    said.notRuledOut.join(" "),
    "",
  ];
}

/** Quote a cell where its text would be read as more than one. */
export function escapeCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A file name that a spreadsheet would take for a formula gets an apostrophe before it. */
export function safeText(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}
