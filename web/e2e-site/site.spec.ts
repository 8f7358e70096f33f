import AxeBuilder from "@axe-core/playwright";
import { expect, test as base, type Page } from "@playwright/test";

const SCREENSHOTS = "test-results/site";
const STUDY = "studies/phantom";
const PAGES = {
  start: "index.html",
  study: `${STUDY}/index.html`,
  report: `${STUDY}/report.html`,
  "notebook-04": `${STUDY}/notebooks/04_two_stage_training.html`,
  "notebook-07": `${STUDY}/notebooks/07_leakage_audit.html`,
  reference: "api/kidneyct_lib.splitting.cross_validation.html",
  docs: "docs/results.html",
  search: "search.html?q=leakage",
};

/** A page on which any console error and any request to another origin fails the test. */
const test = base.extend<{ watched: Page }>({
  watched: async ({ page, baseURL }, use) => {
    const faults: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") faults.push(message.text());
    });
    page.on("pageerror", (error) => faults.push(String(error)));
    page.context().on("request", (request) => {
      const { protocol } = new URL(request.url());
      const inside = ["blob:", "data:"].includes(protocol) || request.url().startsWith(baseURL!);
      if (!inside) faults.push(`asks for ${request.url()}`);
    });
    await use(page);
    expect(faults).toEqual([]);
  },
});

for (const [name, address] of Object.entries(PAGES)) {
  test(`${name}: fits a phone and a desktop, light and dark`, async ({ watched: page }) => {
    for (const [width, colorScheme] of [
      [360, "light"],
      [1280, "light"],
      [1280, "dark"],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.goto(address);
      if (name === "search") await expect(page.locator("ul.search li").first()).toBeVisible();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, `${width} pixels, ${colorScheme}`).toBeLessThanOrEqual(width);
      await page.screenshot({ path: `${SCREENSHOTS}/${name}-${width}-${colorScheme}.png` });
    }
  });
}

for (const name of ["start", "study", "notebook-04", "report"] as const) {
  test(`${name}: no fault that axe knows`, async ({ watched: page }) => {
    await page.goto(PAGES[name]);
    const { violations } = await new AxeBuilder({ page })
      .exclude(".sidebar-drawer") // the theme's own, whose captions lack a level
      .disableRules("scrollable-region-focusable") // browsers let the keyboard into code that scrolls
      .analyze();
    expect(violations.map(({ id, nodes }) => [id, nodes[0]!.html])).toEqual([]);
  });
}

test("search finds a notebook and leads to it", async ({ watched: page }) => {
  await page.goto(PAGES.start);
  await page.getByPlaceholder("Search").first().fill("hidden twins");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "07 Leakage audit" }).first().click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("07 Leakage audit");
});

test("a figure of the report leads to itself in its notebook, and back", async ({
  watched: page,
}) => {
  await page.goto(PAGES.report);
  const name = "07_leakage_audit__summary";
  await page.locator(`figure[id="${name}"] a`).click();
  const figure = page.locator(`figure[id="${name}"]`);
  await expect(figure).toBeInViewport();
  await expect(figure.locator("img")).toHaveJSProperty("complete", true);
  expect(await figure.locator("img").evaluate((i: HTMLImageElement) => i.naturalWidth)).toBeGreaterThan(100);
  await figure.getByRole("link", { name: "in the report" }).click();
  await expect(page).toHaveURL(/report\.html#07_leakage_audit__summary$/);
});

test("the model's page is ready below the site", async ({ watched: page }) => {
  await page.goto(PAGES.start);
  await page.getByRole("link", { name: "The model in your browser" }).click();
  await expect(page.getByText("The model is ready.")).toBeVisible();
});
