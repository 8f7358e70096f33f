import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";

const FOLDER = process.env["KIDNEYCT_E2E"] ?? "";
const SMALL = { file: join(FOLDER, "review.html"), cells: 5 };
const LARGE = { file: join(FOLDER, "review-large.html"), cells: 51 };
const OPENS_WITHIN = 3_000; // ms

/** Open the page from disk; the lists fill with what it asks for and complains of. */
async function open(
  page: Page,
  { file, cells } = SMALL,
): Promise<{ asked: string[]; complaints: string[] }> {
  const [asked, complaints]: [string[], string[]] = [[], []];
  page.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(pathToFileURL(file).href);
  await expect.poll(() => changedCells(page), { intervals: [50] }).toBe(cells);
  return { asked, complaints };
}

const frames = (page: Page) => page.frames().slice(1);

/** Cells that differ in all frames, as nbdime has drawn them. */
async function changedCells(page: Page): Promise<number> {
  const counts = frames(page).map((frame) =>
    frame.locator(".jp-Cell-diff:not(.jp-Diff-unchanged)").count(),
  );
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test("with 50 changed cells and 10 MB of figures it is open within 3 seconds", async ({ page }) => {
  expect(readFileSync(LARGE.file).length).toBeGreaterThan(10e6);
  const busy = loadavg()[0]! > cpus().length;
  const start = Date.now();
  await page.goto(pathToFileURL(LARGE.file).href);
  await expect.poll(() => frames(page).length).toBeGreaterThan(0);
  await frames(page)[0]!.locator(".jp-Cell-diff:not(.jp-Diff-unchanged)").first().waitFor();
  const opened = Date.now() - start;
  await expect.poll(() => changedCells(page), { intervals: [100] }).toBe(LARGE.cells);
  console.log(`open after ${opened} ms, all cells drawn after ${Date.now() - start} ms`);
  test.skip(busy, "other work keeps the processors busy, so the clock tells of that");
  expect(opened).toBeLessThan(OPENS_WITHIN);
});

test("nothing outside is asked for, and nothing of a notebook runs", async ({ page }) => {
  const { asked, complaints } = await open(page);
  expect(await frames(page)[0]!.getByText("asks").count()).toBeGreaterThan(0);
  expect(asked.filter((url) => !url.startsWith("data:"))).toEqual([pathToFileURL(SMALL.file).href]);
  for (const frame of page.frames()) expect(await frame.title()).not.toBe("ran");
  expect(complaints.filter((text) => !text.includes("Content Security Policy"))).toEqual([]);
  const reached = await frames(page)[0]!.evaluate(() => {
    try {
      return parent.document.title;
    } catch {
      return "refused";
    }
  });
  expect(reached).toBe("refused");
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`accessible, and nothing sticks out: ${width} px, ${colorScheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await open(page);
          await page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`)).toEqual([]);
      for (const frame of page.frames()) {
        const over = await frame.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(over).toBe(0);
      }
    });
  }
}

test("by keyboard alone: fold, slide, see the difference, unfold cells", async ({ page }) => {
  await open(page);

  const figure = page.locator("details.figure").first();
  await figure.locator("summary").focus();
  await page.keyboard.press("Enter");
  await expect(figure).not.toHaveAttribute("open", "");
  await page.keyboard.press("Enter");

  await page.keyboard.press("Tab"); // the views
  await page.keyboard.press("Tab");
  const slider = figure.getByRole("slider");
  await expect(slider).toBeFocused();
  const clip = () => figure.locator(".before").evaluate((img) => getComputedStyle(img).clipPath);
  const halfway = await clip();
  await page.keyboard.press("Home");
  await expect(slider).toHaveValue("0");
  expect(await clip()).not.toBe(halfway);

  await page.keyboard.press("Shift+Tab");
  for (let step = 0; step < 3; step++) await page.keyboard.press("ArrowRight");
  await expect(figure.getByRole("radio", { name: "Difference" })).toBeChecked();
  await expect(figure.locator(".difference")).toBeVisible();
  await expect(figure.locator(".after")).toBeHidden();

  const frame = frames(page)[0]!;
  const fold = frame.locator(".cm-collapsedLines").first();
  const folds = await frame.locator(".cm-collapsedLines").count();
  await fold.focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => frame.locator(".cm-collapsedLines").count()).toBeLessThan(folds);
});

test("a link of the first screen leads to its section", async ({ page }) => {
  await open(page);
  await page.getByRole("link", { name: "Figures" }).click();
  await expect(page.getByRole("heading", { name: "Figures", exact: true })).toBeInViewport();
});

test("without scripts the pictures stand one after another", async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(pathToFileURL(SMALL.file).href);
  const told = await page.locator("noscript").boundingBox(); // its text is none to a page's script
  expect(told?.height).toBeGreaterThan(10);
  for (const side of [".before", ".after", ".difference"]) {
    await expect(page.locator(`.compared ${side}`).first()).toBeVisible();
  }
  await context.close();
});
