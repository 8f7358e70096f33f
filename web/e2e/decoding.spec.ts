import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

import type { Page } from "@playwright/test";

import type { Place } from "../src/decode/place";
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

const isDamaged = ({ name }: Reading) => name.startsWith("damaged: ");

test("no damaged file ends without words or in another picture than Python's", async ({
  watched: page,
}) => {
  const expected = readings().filter(isDamaged);
  expect(expected.length).toBe(500);
  await page.goto("/");
  await startWorker(page);
  const whole = readings().find(({ name }) => name === "situation: plain")!;
  const wrong: string[] = [];
  const onlyHere: string[] = [];
  for (const reading of expected) {
    const content = readFileSync(imagePath(`decoding/${reading.file}`)).toString("base64");
    const decoded = await decode(page, content);
    if (decoded.refused !== undefined) {
      if (decoded.refused.length < 20) wrong.push(`${reading.name}: ${decoded.refused}`);
    } else if (reading.refused) {
      if (!decoded.warning && differenceOf(whole, decoded)) onlyHere.push(reading.name);
    } else if (!reading.name.endsWith("JPEG")) {
      // what decoders make of damaged JPEG data is theirs alone
      const difference = differenceOf(reading, decoded);
      if (difference) wrong.push(`${reading.name}: ${difference}`);
    }
  }
  expect(wrong).toEqual([]);
  // The page's parser passes over types of elements that pydicom refuses; the pixels are the file's.
  expect(onlyHere.length, `Python alone refuses ${onlyHere.join(", ")}`).toBeLessThanOrEqual(10);
});

test("Python and the page read the same in each file, or both refuse it", async ({
  watched: page,
}) => {
  const expected = readings().filter((reading) => !isDamaged(reading));
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

test("Python and the page find the same place in a series in each file", async ({
  watched: page,
}) => {
  const expected = readings().filter((reading) => !isDamaged(reading));
  expect(expected.filter(({ place }) => place.uid).length).toBeGreaterThan(40);
  await page.goto("/");
  await startWorker(page);
  const disagreements: string[] = [];
  for (const { file, name, place } of expected) {
    const content = readFileSync(imagePath(`decoding/${file}`)).toString("base64");
    const found = await placeOf(page, content);
    const same = found.isImage === place.isImage && found.uid === place.uid;
    const off = Math.abs(found.position - place.position);
    if (same && off < 1e-6) continue;
    disagreements.push(`${name}: ${JSON.stringify(place)}, page ${JSON.stringify(found)}`);
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
    const askWorker = async (method: string, base64: string) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const reply = new Promise<MessageEvent>((resolve) => {
        worker.onmessage = resolve;
      });
      worker.postMessage({ id: 0, method, argument: new Blob([bytes]) });
      return (await reply).data;
    };
    Object.assign(globalThis, { askWorker });
  }, `assets/${script}`);
}

type Asked = typeof globalThis & {
  askWorker(method: string, base64: string): Promise<{ value?: any; error?: { message: string } }>;
};

function decode(page: Page, content: string): Promise<Decoded> {
  return page.evaluate(async (base64) => {
    const { value, error } = await (globalThis as Asked).askWorker("decode", base64);
    if (error) return { refused: error.message };
    const { width, height, warning, rgb } = value.pixels;
    const letters = Array.from(rgb as Uint8Array, (byte) => String.fromCharCode(byte));
    return { width, height, warning, rgb: btoa(letters.join("")) };
  }, content);
}

function placeOf(page: Page, content: string): Promise<Place> {
  return page.evaluate(
    async (base64) => (await (globalThis as Asked).askWorker("place", base64)).value,
    content,
  );
}
