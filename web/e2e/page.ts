import { readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test as base, type Page } from "@playwright/test";

import type { Place } from "../src/decode/place";

/** One image with what Python answers for it, by the same model. */
export interface Expected {
  file: string;
  probabilities: number[];
  /** Base64 of little-endian float32, or a nested list. */
  maps: string | number[][][];
  map_shape: [number, number, number];
  distance: number;
}

const FOLDER = process.env["KIDNEYCT_E2E"];

export function expectedAnswers(): Expected[] {
  if (!FOLDER) {
    throw new Error("KIDNEYCT_E2E must name a folder with expected.json and its images");
  }
  return JSON.parse(readFileSync(join(FOLDER, "expected.json"), "utf8")) as Expected[];
}

/** What Python answers for a series below the folder `series`; paths are from its parent. */
export interface ExpectedSeries {
  series: string;
  uid?: string;
  slices: number;
  label: string;
  probabilities: Record<string, number>;
  most: Record<string, number>;
  out_of_distribution: number;
  low_confidence: number;
  warnings?: Record<string, number>;
  errors: Record<string, string>;
}

export const expectedSeries = () =>
  JSON.parse(readFileSync(imagePath("series.json"), "utf8")) as ExpectedSeries[];

/** What Python reads in a file of the folder `decoding`, or why it refuses it. */
export interface Reading {
  file: string;
  name: string;
  place: Place;
  refused?: string;
  width?: number;
  height?: number;
  warning?: string;
  sha256?: string;
  /** Base64 of the pixels of a lossy JPEG, whose decoders may round differently. */
  lossy_rgb?: string;
}

export function readings(): Reading[] {
  return JSON.parse(readFileSync(imagePath("decoding/decoding.json"), "utf8")) as Reading[];
}

/** A file of the folder `decoding`, to be given to the page under a short name. */
export function fileOf(situation: string, name: string) {
  const { file } = readings().find((reading) => reading.name === `situation: ${situation}`)!;
  return { name, mimeType: "", buffer: readFileSync(imagePath(`decoding/${file}`)) };
}

export const imagePath = (name: string) => join(FOLDER!, name);

export function expectedMaps({ maps }: Expected): number[] {
  if (typeof maps !== "string") return maps.flat(2);
  const bytes = Uint8Array.from(Buffer.from(maps, "base64"));
  return Array.from(new Float32Array(bytes.buffer));
}

/** A page on which any console error and any request to another origin fails the test. */
export const test = base.extend<{ watched: Page }>({
  watched: async ({ page, baseURL }, use) => {
    const errors: string[] = [];
    const strangers: string[] = [];
    page.on("console", (message) => {
      // without a network, the browser itself notes each attempt to look for newer models
      const expected = message.text().includes("ERR_INTERNET_DISCONNECTED");
      if (["error", "warning"].includes(message.type()) && !expected) errors.push(message.text());
    });
    page.on("pageerror", (error) => errors.push(String(error)));
    page.context().on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      const inside = protocol === "blob:" || protocol === "data:" || origin === baseURL;
      if (!inside) strangers.push(request.url());
    });
    await use(page);
    expect(errors).toEqual([]);
    expect(strangers).toEqual([]);
  },
});

/** Open the page and wait for its model. */
export async function openPage(page: Page): Promise<void> {
  await page.goto("/");
  await expect(page.getByText("The model is ready.")).toBeVisible();
  const study = process.env["KIDNEYCT_E2E_MODEL"]; // as in models/index.json; else the page's first
  if (!study) return;
  const picker = page.getByLabel("Model", { exact: true });
  const options = await picker.locator("option").allTextContents();
  await picker.selectOption({ index: options.findIndex((text) => text.startsWith(`${study}:`)) });
  await expect(page.getByText("The model is ready.")).toBeVisible();
}

export type Given = string[] | { name: string; mimeType: string; buffer: Buffer }[];

/** Give files to the page and wait until each has its answer or its message. */
export async function give(page: Page, files: Given, timeout = 60_000): Promise<void> {
  await page.getByLabel("Choose pictures").setInputFiles(files);
  await waitForAll(page, files.length, timeout);
}

export async function waitForAll(page: Page, count: number, timeout = 60_000): Promise<void> {
  const files = count === 1 ? "file" : "files";
  await expect(page.locator("#work-text")).toContainText(`${count} of ${count} ${files} done`, {
    timeout,
  });
}

/** The row of a file in the table of all answers. */
export const rowOf = (page: Page, name: string) =>
  page.getByRole("row").filter({ has: page.getByText(name, { exact: true }) });

export { expect };
