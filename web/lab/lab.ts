import { expect, test as base, type Locator, type Page } from "@playwright/test";

/** A page on which any console error fails the test. */
export const test = base.extend<{ lab: Page }>({
  lab: async ({ page }, use) => {
    const errors: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(`${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => errors.push(String(error)));
    await use(page);
    expect(errors).toEqual([]);
  },
});

/** Open a notebook in a workspace of its own, and wait for its kernel. */
export async function open(page: Page, notebook: string): Promise<Locator> {
  await page.goto(`/lab/workspaces/${notebook}/tree/notebooks/${notebook}.ipynb`);
  const panel = page.locator(".jp-NotebookPanel:visible");
  await expect(panel.locator(".jp-Notebook-ExecutionIndicator")).toHaveAttribute(
    "data-status",
    "idle",
  );
  // The indicator says so before the kernel answers; what is run until then is lost.
  await expect(page.getByText("Python 3 (ipykernel) | Idle")).toBeVisible();
  return panel;
}

/** Run all cells from the menu; none may end in an error. */
export async function runAll(page: Page, panel: Locator): Promise<void> {
  const prompts = panel.locator(".jp-CodeCell .jp-InputPrompt");
  await expect(async () => {
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.getByRole("menuitem", { name: "Run All Cells", exact: true }).click();
    await expect(prompts.first()).not.toHaveText("[ ]:", { timeout: 5_000 });
  }).toPass();
  await expect(prompts.last()).toHaveText(/^\[\d+\]:$/);
  await expect(panel.locator('[data-mime-type="application/vnd.jupyter.error"]')).toHaveCount(0);
}

export { expect };
