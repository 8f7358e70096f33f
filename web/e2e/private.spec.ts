import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { Page, Worker } from "@playwright/test";

import { expect, expectedAnswers, give, imagePath, openPage, test } from "./page";

/** A stranger that would answer anyone, and counts who asks. */
async function stranger() {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, asked: () => asked, close: () => server.close() };
}

const tryToReach = (url: string) =>
  fetch(url).then(
    () => "answered",
    () => "refused",
  );

/** What a worker meets; a thread of the runtime waits for work and can't be asked. */
const askWorker = (worker: Worker, url: string) =>
  Promise.race([
    worker.evaluate(tryToReach, url).catch(() => "gone"),
    new Promise<string>((resolve) => setTimeout(resolve, 5_000, "waiting")),
  ]);

/** Serve the page as a plain host would: without any header of ours. */
async function dropHeaders(page: Page): Promise<void> {
  await page.route("**/*", async (route) => {
    const response = await route.fetch();
    const headers = { ...response.headers() };
    delete headers["content-security-policy"];
    delete headers["cross-origin-embedder-policy"];
    delete headers["cross-origin-opener-policy"];
    await route.fulfill({ response, headers });
  });
}

for (const host of ["with its headers", "plain"]) {
  test(`page and workers reach no other origin; host ${host}`, async ({ page }) => {
    const other = await stranger();
    if (host === "plain") await dropHeaders(page);
    await openPage(page);
    await give(page, [imagePath(expectedAnswers()[0]!.file)]);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(host !== "plain");
    expect(await page.evaluate(tryToReach, other.url)).toBe("refused");
    const workers = page.workers().filter((worker) => worker.url().startsWith("blob:"));
    const told = await Promise.all(workers.map((worker) => askWorker(worker, other.url)));
    expect(told.filter((answer) => answer === "refused").length).toBeGreaterThanOrEqual(2);
    expect(told).not.toContain("answered");
    expect(other.asked()).toBe(0);
    other.close();
  });
}

test.describe("without the policy", () => {
  test.use({ bypassCSP: true });
  test("the stranger would be reached, so the tests above can fail", async ({ page }) => {
    const other = await stranger();
    await page.goto("/");
    expect(await page.evaluate(tryToReach, other.url)).toBe("answered");
    other.close();
  });
});
