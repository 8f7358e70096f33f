import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import AxeBuilder from "@axe-core/playwright";
import type { Locator, Page } from "@playwright/test";

import {
  expect,
  expectedSeries,
  imagePath,
  openPage,
  rowOf,
  test,
  waitForAll,
  type ExpectedSeries,
} from "./page";

const SCREENSHOTS = "test-results/screenshots";
const FILES = 18; // images below the folder, without the clutter
const [LONG, SHORT, PICTURES] = ["series, series 1", "series, series 2", "series/shots"];

interface Saved {
  series: (Omit<ExpectedSeries, "series"> & { name: string; files: string[] })[];
  answers: { file: string; warning?: string }[];
}

const cardOf = (page: Page, name: string) =>
  page.getByRole("article", { name: `Series ${name}`, exact: true });
const slicesOf = (card: Locator) => card.getByRole("toolbar").getByRole("button");

async function giveFolder(page: Page): Promise<void> {
  await page.getByLabel("Choose a folder").setInputFiles(imagePath("series"));
  await waitForAll(page, FILES);
}

async function saved(page: Page, button: string): Promise<string> {
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: button }).click();
  return readFileSync(await (await download).path(), "utf8");
}

/** The answers equal Python's; `prefix` is what the page's names lack of Python's paths. */
function expectPythons(series: Saved["series"], prefix = ""): void {
  const expected = expectedSeries();
  const strip = (path: string) => path.slice(prefix.length);
  for (const one of series) {
    const python = expected.find(({ uid, series: folder }) =>
      one.uid ? uid === one.uid : !uid && folder === one.name,
    )!;
    expect(one.label).toBe(python.label);
    expect(one.slices).toBe(python.slices);
    for (const [name, probability] of Object.entries(python.probabilities)) {
      expect(Math.abs(one.probabilities[name]! - probability)).toBeLessThan(1e-3);
    }
    expect(Object.keys(one.most)).toEqual(Object.keys(python.most).map(strip));
    expect(one.out_of_distribution).toBe(python.out_of_distribution);
    expect(one.low_confidence).toBe(python.low_confidence);
    expect(one.warnings).toEqual(python.warnings);
    expect(Object.keys(one.errors ?? {})).toEqual(Object.keys(python.errors).map(strip));
  }
}

test("a folder's series are answered as Python answers them", async ({ watched: page }) => {
  await openPage(page);
  await giveFolder(page);
  const json = await saved(page, "Save with maps");
  const { series, answers } = JSON.parse(json) as Saved;
  const names = series.map(({ name }) => name);
  expect(names.toSorted()).toEqual([LONG, SHORT, PICTURES]);
  expect(series.map(({ uid }) => uid).toSorted()).toEqual(["1.2.5", "1.2.9", undefined]);
  expectPythons(series);
  const pictures = series.find(({ name }) => name === PICTURES)!;
  expect(pictures.files.map((file) => file.slice(PICTURES!.length))).toEqual([
    expect.stringMatching(/^\/shot 8\./),
    expect.stringMatching(/^\/shot 9\./),
    expect.stringMatching(/^\/shot 10\./),
  ]);
  expect(answers.map(({ file }) => file)).toEqual(series.flatMap(({ files }) => files));
  const rows = (await saved(page, "Save as CSV")).trimEnd().split("\r\n");
  expect(rows.length).toBe(FILES + 1);
  expect(rows.filter((row) => row.includes(`,${PICTURES},`)).length).toBe(3);
  for (const text of [json, rows.join(), await page.content()]) {
    expect(text).not.toMatch(/Doe|Jane|4711/); // the patient's name and number in the files
  }

  const long = series.find(({ uid }) => uid === "1.2.5")!;
  const card = cardOf(page, long.name);
  await expect(card.locator(".headline")).toContainText(long.label);
  await expect(card).toContainText("Mean of 10 slices.");
  await expect(card).toContainText("1 file could not be read");
  await expect(card).toContainText("1 localizer left out");
  await expect(slicesOf(card)).toHaveCount(12);
  await expect(slicesOf(card).first()).toContainText("left out");
  await expect(page.locator("#announcer")).toHaveText(/^18 of 18 files done/);
});

test("loose files of two series are told apart; single ones stay single", async ({
  watched: page,
}) => {
  await openPage(page);
  const dicom = Array.from({ length: 15 }, (_, i) => imagePath(`series/IM${i}`));
  const shot = expectedSeries().find(({ uid }) => !uid)!;
  const picture = Object.keys(shot.most)[0]!;
  await page.getByLabel("Choose pictures").setInputFiles([imagePath(picture), ...dicom]);
  await waitForAll(page, 16);
  const { series } = JSON.parse(await saved(page, "Save with maps")) as Saved;
  expect(series.map(({ name }) => name)).toEqual(["DICOM series 1", "DICOM series 2"]);
  expectPythons(series, "series/");
  await expect(page.locator("#rows tr")).toHaveCount(1);
  await expect(rowOf(page, picture.split("/").at(-1)!)).toBeVisible();
});

test("series that come in parts grow, and are gone when all is removed", async ({
  watched: page,
}) => {
  await openPage(page);
  const part = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => imagePath(`series/IM${from + i}`));
  await page.getByLabel("Choose pictures").setInputFiles(part(0, 7));
  await waitForAll(page, 7);
  await page.getByLabel("Choose pictures").setInputFiles(part(7, 15));
  await waitForAll(page, 15);
  expectPythons((JSON.parse(await saved(page, "Save with maps")) as Saved).series, "series/");
  await page.getByRole("button", { name: "Remove all" }).click();
  await expect(page.locator(".series, .of-series")).toHaveCount(0);
  await page.getByLabel("Choose pictures").setInputFiles(imagePath("series/IM0"));
  await waitForAll(page, 1);
  await expect(page.locator(".series")).toHaveCount(0);
});

test("another model answers the series anew", async ({ watched: page }) => {
  await page.route("**/models/index.json", async (route) => {
    const list = await (await route.fetch()).json();
    await route.fulfill({ json: [...list, { ...list[0], name: "again/final" }] });
  });
  await openPage(page);
  await giveFolder(page);
  const picker = page.getByLabel("Model", { exact: true });
  await picker.selectOption({ index: (await picker.locator("option").count()) - 1 });
  await expect(page.locator("#work-text")).not.toContainText(`${FILES} of ${FILES}`);
  await waitForAll(page, FILES);
  await expect(page.locator(".series")).toHaveCount(3);
  await expect(page.locator('.strip [aria-current="true"]')).toHaveCount(1);
});

test("a folder that is dropped", async ({ watched: page }) => {
  await openPage(page);
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [resolve(imagePath("series"))], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    await session.send("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
  }
  await waitForAll(page, FILES);
  expectPythons((JSON.parse(await saved(page, "Save with maps")) as Saved).series);
});

test("a folder without an image says so", async ({ watched: page }) => {
  await page.goto("/");
  await page.evaluate(() => {
    const folder = {
      name: "empty",
      isFile: false,
      isDirectory: true,
      createReader: () => ({ readEntries: (take: (none: []) => void) => take([]) }),
    };
    const event = new Event("drop", { bubbles: true, cancelable: true });
    const items = [{ webkitGetAsEntry: () => folder }];
    document.body.dispatchEvent(Object.assign(event, { dataTransfer: { items, files: [] } }));
  });
  await expect(page.locator("#looking")).toHaveText("This folder holds no image.");
});

test("slices are opened with the keyboard alone", async ({ watched: page }) => {
  await openPage(page);
  await giveFolder(page);
  const card = cardOf(page, PICTURES!);
  const slices = slicesOf(card);
  await card.locator(".most button").last().focus();
  await page.keyboard.press("Tab"); // one stop for all slices
  await expect(slices.first()).toBeFocused();
  await page.keyboard.press("End");
  await expect(slices.last()).toBeFocused();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await expect(page.locator("#detail-title")).toBeFocused();
  await expect(page.locator("#detail-title")).toHaveText(/shot 9/);
  await expect(slices.nth(1)).toHaveAttribute("aria-current", "true");
  await expect(card.locator("+ #detail")).toBeVisible();
  await page.getByRole("button", { name: "Next" }).press("Enter");
  await expect(slices.nth(2)).toHaveAttribute("aria-current", "true");
  await expect(page.locator('.strip [aria-current="true"]')).toHaveCount(1);
  await expect(page.getByRole("button", { name: "Next" })).toBeFocused();
  await page.keyboard.press("Enter"); // the first slice of all is of another series
  await expect(page.getByRole("button", { name: "Next" })).toBeFocused();
  await expect(card.locator("+ #detail")).toHaveCount(0);
});

test("what a patient's vote is worth is told", async ({ watched: page }) => {
  await page.route("**/bundle.json", async (route) => {
    const bundle = await (await route.fetch()).json();
    const told = { ...bundle.metrics.patient, groups: 64, accuracy: 0.5 };
    const votes = { patient: told, other_window: { ...told, accuracy: 0.4 } };
    await route.fulfill({ json: { ...bundle, votes } });
  });
  await openPage(page);
  await giveFolder(page);
  await expect(cardOf(page, LONG!)).toContainText(
    /One vote per patient is right for 50\.0\s% of 64 new patients \(95\s% interval .*\), in another display window 40\.0\s%\./,
  );
});

for (const [width, height] of [
  [1280, 900],
  [360, 740],
] as const) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`series look well at ${width} pixels, ${colorScheme}`, async ({ watched: page }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await openPage(page);
      await giveFolder(page);
      const { uid: _, ...one } = (
        JSON.parse(await saved(page, "Save with maps")) as Saved
      ).series.find(({ uid }) => uid === "1.2.5")!;
      await slicesOf(cardOf(page, one.name)).nth(8).click();
      await page.evaluate(() => scrollTo(0, 0)); // the notice stays at the top of the screenshot
      const path = `${SCREENSHOTS}/${width}-${colorScheme}-series.png`;
      await page.screenshot({ path, fullPage: true });
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(width);
    });
  }
}
