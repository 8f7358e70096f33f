import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import {
  expect,
  expectedAnswers,
  fileOf,
  give,
  imagePath,
  openPage,
  rowOf,
  test,
  waitForAll,
} from "./page";

const SCREENSHOTS = "test-results/screenshots";

test("with the keyboard alone", async ({ watched: page }) => {
  await openPage(page);
  const [first, second] = expectedAnswers();
  await give(page, [imagePath(first!.file), imagePath(second!.file)]);
  await reach(page, "Next");
  await page.keyboard.press("Enter");
  await expect(page.locator("#detail-title")).toHaveText(second!.file);
  await reach(page, "What speaks for");
  await page.keyboard.press("End");
  await expect(page.getByLabel("What speaks for")).toHaveJSProperty(
    "selectedIndex",
    first!.probabilities.length - 1,
  );
  await reach(page, "Strength of the colour");
  await page.keyboard.press("Home");
  await expect(page.locator("#map-opacity-value")).toHaveText("0\u00a0%");
  await reach(page, first!.file);
  await page.keyboard.press("Enter");
  await expect(page.locator("#detail-title")).toHaveText(first!.file);
  await expect(page.locator("#detail-title")).toBeFocused();
});

/** Press Tab until the control of this name has the focus. */
async function reach(page: Page, name: string): Promise<void> {
  const control = page
    .getByRole("button", { name, exact: true })
    .or(page.getByLabel(name, { exact: true }).and(page.locator("input, select")));
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press("Tab");
    if (await control.evaluate((node) => node === document.activeElement)) return;
  }
  throw new Error(`Tab does not reach ${name}`);
}

test("files that are dropped or pasted", async ({ watched: page }) => {
  await openPage(page);
  const drop = (event: "drop" | "paste", name: string) =>
    page.evaluate(
      ([kind, fileName]) => {
        const data = new DataTransfer();
        data.items.add(new File(["words"], fileName!));
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(
          kind === "drop"
            ? new DragEvent("drop", { ...options, dataTransfer: data })
            : new ClipboardEvent("paste", { ...options, clipboardData: data }),
        );
      },
      [event, name],
    );
  await drop("drop", "dropped.txt");
  await drop("paste", "pasted.txt");
  await waitForAll(page, 2);
  await expect(page.getByText("dropped.txt")).toBeVisible();
  await expect(page.getByText("pasted.txt")).toBeVisible();
});

for (const [width, height] of [
  [1280, 900],
  [360, 740],
] as const) {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`looks at ${width} pixels, ${colorScheme}`, async ({ watched: page }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await openPage(page);
      const shot = (name: string) =>
        page.screenshot({
          path: `${SCREENSHOTS}/${width}-${colorScheme}-${name}.png`,
          fullPage: true,
        });
      await shot("empty");
      const names = expectedAnswers()
        .slice(0, 6)
        .map(({ file }) => imagePath(file));
      await give(page, names);
      await page.getByLabel("Choose pictures").setInputFiles([
        {
          name: "a-file-of-words-with-quite-a-long-name.png",
          mimeType: "",
          buffer: Buffer.from("words"),
        },
        fileOf("a lost offset of 1024", "no-air.dcm"),
      ]);
      await waitForAll(page, names.length + 2);
      await rowOf(page, "no-air.dcm").getByRole("button").click();
      await page.evaluate(() => scrollTo(0, 0)); // the notice stays at the top of the screenshot
      await shot("answers");
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide).toBeLessThanOrEqual(width);
    });
  }
}
