import type { Locator, Page } from "@playwright/test";

import { expect, open, runAll, test } from "./lab";

/** Milliseconds that no machine needs, however busy, unless something slow was added. */
const SLOW = 1500;
const STUDY = process.env["STUDY"] ?? "phantom";
const SCREENSHOTS = "test-results/lab-screenshots";

/** The panel below a heading: the output of the code cell that follows it. */
function panelBelow(notebook: Locator, heading: string): Locator {
  const cell = notebook.locator(".jp-MarkdownCell", {
    has: notebook.page().getByRole("heading", { name: heading }),
  });
  return cell.locator("xpath=following-sibling::*[contains(@class, 'jp-CodeCell')][1]");
}

/** The address of the panel's picture, which is the picture itself. */
const shown = (panel: Locator) => panel.locator("img").first().getAttribute("src");

/** Move a slider by its arrow keys; the picture must change. */
async function move(panel: Locator, slider: string, key = "ArrowRight"): Promise<void> {
  const before = await shown(panel);
  const widget = panel.locator(".widget-slider", { hasText: slider });
  await widget.getByRole("slider").press(key);
  await expect.poll(() => shown(panel)).not.toBe(before);
}

const choose = (panel: Locator, name: string, option: string) =>
  panel.getByLabel(name, { exact: true }).selectOption(option);

/** Median of the milliseconds from an arrow key on a slider to the new picture, in the page itself. */
async function latency(panel: Locator, slider: string): Promise<number> {
  const handle = panel.locator(".widget-slider", { hasText: slider }).getByRole("slider");
  const picture = await panel.locator("img").first().elementHandle();
  const view = await picture!.evaluateHandle((image) => image.closest(".widget-html")!);
  const times: number[] = [];
  for (let move = 0; move < 9; move++) {
    await handle.focus();
    const next = view.evaluate(
      (element) =>
        new Promise<number>((resolve) => {
          let pressed = 0;
          document.addEventListener("keydown", () => (pressed = performance.now()), {
            capture: true,
            once: true,
          });
          const watch = new MutationObserver(() => {
            watch.disconnect();
            resolve(performance.now() - pressed);
          });
          watch.observe(element, { childList: true, subtree: true });
        }),
    );
    await handle.press("ArrowLeft");
    times.push(await next);
  }
  return times.sort((a, b) => a - b)[4]!;
}

async function keepPicture(page: Page, panel: Locator, name: string): Promise<void> {
  await panel.scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

test("the explorer follows its widgets", async ({ lab: page }) => {
  const notebook = await open(page, "00_explore_results");
  await runAll(page, notebook);

  const browser = panelBelow(notebook, "Patient browser");
  await expect(browser.locator("img")).toHaveAttribute("alt", /^CT slice .* class probabilities/);
  await move(browser, "Slice");
  await move(browser, "Opacity", "End");
  const slice = browser.locator(".widget-slider", { hasText: "Slice" }).locator(".widget-readout");
  await expect(slice).toHaveText("2");
  await browser.locator("img").hover();
  await page.mouse.wheel(0, 100);
  await expect(slice).toHaveText("3");
  await choose(browser, "Class", "Stone");
  await expect(browser.locator("img")).toHaveAttribute("alt", /^CT slice Stone\//);
  await choose(browser, "Series", "voted wrong");
  await expect(browser.getByLabel("Group").locator("option", { hasText: "right" })).toHaveCount(0);
  await keepPicture(page, browser, "browser");

  const threshold = panelBelow(notebook, "Operating point");
  await move(threshold, "Threshold");
  await expect(threshold.locator("img")).toHaveAttribute("alt", /probability of 0\.51/);
  await expect(threshold.getByRole("row")).toHaveCount(4);
  await keepPicture(page, threshold, "threshold");

  const whatIf = panelBelow(notebook, "What if");
  await move(whatIf, "Rotation");
  await move(whatIf, "Noise");
  await move(whatIf, "Width", "Home");
  await choose(whatIf, "Corruption", "low dose");
  await expect(whatIf).toContainText("low dose: a low-dose protocol");
  await move(whatIf, "Severity", "End");
  await keepPicture(page, whatIf, "what-if");
  const median = await latency(whatIf, "Rotation");
  console.log(`What if: ${median.toFixed(0)} ms from a key to the picture (median)`);
  expect(median).toBeLessThan(SLOW);

  const twoRuns = panelBelow(notebook, "Two runs");
  await expect(twoRuns.locator("img")).toHaveAttribute("alt", /accuracy/);
  await expect(twoRuns).toContainText("same vote in both");
  await keepPicture(page, twoRuns, "two-runs");
});

test("a numbered notebook runs by itself", async ({ lab: page }) => {
  const notebook = await open(page, "02_explore");
  await runAll(page, notebook);
  const pictures = notebook.locator(".jp-OutputArea img");
  await expect(pictures.first()).toBeVisible();
  for (const picture of await pictures.all()) {
    await expect(picture).toHaveAttribute("alt", /\w+ \w+ \w+/);
  }
  const table = notebook.locator(".jp-OutputArea table").first();
  await expect(table.locator("xpath=ancestor::div[@tabindex][1]")).toHaveCSS("overflow", "auto");
  await page.getByRole("tab", { name: /Table of Contents/ }).click();
  const contents = page.locator(".jp-TableOfContents");
  await expect(contents).toContainText("Gray values");
  await page.screenshot({ path: `${SCREENSHOTS}/numbered.png` });
});

test("an executed copy shows its pictures with words", async ({ lab: page }) => {
  await page.goto(`/lab/workspaces/copy/tree/outputs/${STUDY}/notebooks/02_explore.ipynb`);
  const pictures = page.locator(".jp-NotebookPanel:visible .jp-OutputArea img");
  await expect(pictures.first()).toHaveAttribute("alt", /\w+ \w+ \w+/);
});
