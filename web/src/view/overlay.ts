/** Class maps as colour: (height, width, class) values, above 0 where they speak for the class. */

import type { Outputs } from "../model/model-worker";

type Maps = Pick<Outputs, "maps" | "mapShape">;

const WEAK = [255, 96, 0] as const;
const STRONG = [255, 232, 64] as const;

/**
 * RGBA pixels of one class's map. Full strength is the highest value of any class, so that a
 * class for which little speaks stays pale.
 */
export function overlayPixels({ maps, mapShape }: Maps, k: number): Uint8ClampedArray<ArrayBuffer> {
  const [height, width, classes] = mapShape;
  const top = maps.reduce((a, b) => Math.max(a, b), 0);
  const rgba = new Uint8ClampedArray(height * width * 4);
  for (let i = 0; i < height * width; i++) {
    const strength = top > 0 ? Math.max(0, maps[i * classes + k]!) / top : 0;
    for (let c = 0; c < 3; c++) {
      rgba[4 * i + c] = WEAK[c]! + strength * (STRONG[c]! - WEAK[c]!);
    }
    rgba[4 * i + 3] = 255 * strength;
  }
  return rgba;
}

/** Where in the picture a class's map is highest, in words; null where nothing speaks for it. */
export function peakPlace({ maps, mapShape }: Maps, k: number): string | null {
  const [height, width, classes] = mapShape;
  let best = 0;
  let at = -1;
  for (let i = 0; i < height * width; i++) {
    const value = maps[i * classes + k]!;
    if (value > best) [best, at] = [value, i];
  }
  if (at < 0) return null;
  const row = third(Math.floor(at / width) / height + 0.5 / height, ["upper", "middle", "lower"]);
  const column = third((at % width) / width + 0.5 / width, ["left", "centre", "right"]);
  return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
}

function third(share: number, names: [string, string, string]): string {
  return names[Math.min(2, Math.floor(share * 3))]!;
}
