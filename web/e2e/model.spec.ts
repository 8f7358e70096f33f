import { expect, expectedAnswers, give, imagePath, openPage, test, waitForAll } from "./page";

test("no model: the message names the command", async ({ page }) => {
  await page.route("**/models/index.json", (route) => route.fulfill({ status: 404, body: "" }));
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("kidneyct export --study phantom");
  await expect(page.getByLabel("Choose pictures")).toBeDisabled();
});

test("a damaged model is not run", async ({ watched: page }) => {
  await page.route("**/*.onnx", async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    body[body.length >> 1]! ^= 1;
    await route.fulfill({ response, body });
  });
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("is damaged");
  await page.getByLabel("Choose pictures").setInputFiles(imagePath(expectedAnswers()[0]!.file));
  await waitForAll(page, 1);
  await expect(page.locator("#rows")).toContainText("is damaged");
});

test("files given while the model is loaded are answered once", async ({ watched: page }) => {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/*.onnx", async (route) => {
    await released;
    await route.continue();
  });
  await page.goto("/");
  await expect(page.getByText("Loading the model…")).toBeVisible();
  await page.getByLabel("Choose pictures").setInputFiles(imagePath(expectedAnswers()[0]!.file));
  await expect(page.locator("#rows tr")).toHaveAttribute("data-state", "waiting");
  await page.evaluate(() => {
    const seen: (string | undefined)[] = [];
    const row = document.querySelector<HTMLElement>("#rows tr")!;
    new MutationObserver(() => seen.push(row.dataset["state"])).observe(row, { attributes: true });
    Object.assign(globalThis, { seen });
  });
  release();
  await waitForAll(page, 1);
  await page.waitForTimeout(1000); // a second answer would come now
  const seen = await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
  expect(seen.filter((state) => state === "working").length).toBe(1);
});

test("no WebAssembly", async ({ watched: page }) => {
  await page.addInitScript(() => Reflect.deleteProperty(globalThis, "WebAssembly"));
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("no WebAssembly");
});

test("an untrained backbone is named", async ({ watched: page }) => {
  await page.route("**/bundle.json", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), weights: "none" } });
  });
  await openPage(page);
  await expect(page.getByText("Untrained backbone:")).toBeVisible();
  await expect(page.getByLabel("Model", { exact: true })).toContainText("untrained backbone");
});

test("a kept model is not loaded twice", async ({ watched: page }) => {
  const loaded: string[] = [];
  page.on("request", (request) => request.url().endsWith(".onnx") && loaded.push(request.url()));
  await openPage(page);
  await page.reload();
  await expect(page.getByText("The model is ready.")).toBeVisible();
  expect(new Set(loaded).size).toBe(loaded.length);
});

test("another model answers the same files anew", async ({ watched: page }) => {
  await openPage(page);
  const picker = page.getByLabel("Model", { exact: true });
  const count = await picker.locator("option").count();
  test.skip(count < 2, "the page holds one model");
  await give(page, [imagePath(expectedAnswers()[0]!.file)]);
  const before = await page.locator("#bars").innerText();
  const at = await picker.evaluate((node: HTMLSelectElement) => node.selectedIndex);
  await picker.selectOption({ index: (at + 1) % count });
  await expect(page.locator("#bars")).not.toHaveText(before, { useInnerText: true });
  await expect(page.locator('#rows tr[data-state="answered"]')).toHaveCount(1);
  await expect(page.locator("#numbers dt")).toHaveText([
    "New patients, in another display window",
    "New patients",
    "Patients seen in training (as published)",
  ]);
});
