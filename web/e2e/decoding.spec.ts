import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

import type { Page } from "@playwright/test";

import { expect, imagePath, readings, test, type Reading } from "./page";

/** What the page reads in it; `rgb` is base64. */
interface Decoded {
  refused?: string;
  width?: number;
  height?: number;
  warning?: string;
  rgb?: string;
}

const LOSSY_TOLERANCE = 2; // of 255

test("Python and the page read the same in each file, or both refuse it", async ({
  watched: page,
}) => {
  const expected = readings();
  expect(expected.filter(({ refused }) => !refused).length).toBeGreaterThan(60);
  expect(expected.filter(({ warning }) => warning).length).toBeGreaterThan(5);
  await page.goto("/");
  await startWorker(page);
  const disagreements: string[] = [];
  for (const reading of expected) {
    const content = readFileSync(imagePath(`decoding/${reading.file}`)).toString("base64");
    const difference = differenceOf(reading, await decode(page, content));
    if (difference) disagreements.push(`${reading.name}: ${difference}`);
  }
  expect(disagreements).toEqual([]);
});

function differenceOf(python: Reading, decoded: Decoded): string | null {
  if (python.refused && decoded.refused) return null;
  if (python.refused) return `only Python refuses it: ${python.refused}`;
  if (decoded.refused) return `only the page refuses it: ${decoded.refused}`;
  for (const key of ["width", "height", "warning"] as const) {
    if (python[key] !== decoded[key]) return `${key} ${python[key]}, page ${decoded[key]}`;
  }
  const rgb = Buffer.from(decoded.rgb!, "base64");
  if (python.lossy_rgb) {
    const other = Buffer.from(python.lossy_rgb, "base64");
    const most = rgb.reduce((top, value, i) => Math.max(top, Math.abs(value - other[i]!)), 0);
    return most > LOSSY_TOLERANCE ? `pixels of a lossy JPEG differ by up to ${most}` : null;
  }
  const hash = createHash("sha256").update(rgb).digest("hex");
  return hash === python.sha256 ? null : "other pixels";
}

/** The built page's own decoder, under its policy, asked as the page asks it. */
async function startWorker(page: Page): Promise<void> {
  const script = readdirSync("dist/assets").find((name) => name.startsWith("decode-worker"))!;
  await page.evaluate((url) => {
    const worker = new Worker(url, { type: "module" });
    Object.assign(globalThis, { decoder: worker });
  }, `assets/${script}`);
}

function decode(page: Page, content: string): Promise<Decoded> {
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const { decoder } = globalThis as unknown as { decoder: Worker };
    const reply = new Promise<MessageEvent>((resolve) => {
      decoder.onmessage = resolve;
    });
    decoder.postMessage({ id: 0, method: "decode", argument: new Blob([bytes]) });
    const { value, error } = (await reply).data;
    if (error) return { refused: error.message };
    const { width, height, warning, rgb } = value.pixels;
    const letters = Array.from(rgb as Uint8Array, (byte) => String.fromCharCode(byte));
    return { width, height, warning, rgb: btoa(letters.join("")) };
  }, content);
}
