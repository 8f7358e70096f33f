import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";

import { expect, expectedAnswers, fileOf, give, imagePath, openPage, test } from "./page";

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
};

test("a visit without a network, after the first", async ({ watched: page, context }) => {
  await openPage(page);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await context.setOffline(true);
  await page.reload();
  await expect(page.getByText("The model is ready.")).toBeVisible();
  const picture = expectedAnswers()[0]!.file;
  await give(page, [
    { name: picture, mimeType: "", buffer: readFileSync(imagePath(picture)) },
    fileOf("compressed: JPEG-LS", "jpeg-ls.dcm"),
    fileOf("compressed: JPEG 2000", "jpeg-2000.dcm"),
  ]);
  await expect(page.locator('#rows tr[data-state="answered"]')).toHaveCount(3);
});

test("a new build is seen at the next visit, the old one without a network", async ({
  page,
  context,
}) => {
  const folder = mkdtempSync(join(tmpdir(), "page-"));
  const own = (path: string) => !path.includes(join("dist", "models"));
  cpSync("dist", folder, { recursive: true, filter: own });
  const server = createServer((request, response) => {
    const name = request.url === "/" ? "/index.html" : request.url!;
    try {
      const body = readFileSync(join(folder, name));
      response.writeHead(200, { "Content-Type": TYPES[extname(name)] }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  await page.goto(url);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  const index = join(folder, "index.html");
  writeFileSync(index, readFileSync(index, "utf8").replace("<title>", "<title>New: "));
  await page.reload();
  await expect(page).toHaveTitle(/^New: /);
  await context.setOffline(true);
  await page.reload();
  await expect(page).toHaveTitle(/^Kidney/);
  server.close();
  rmSync(folder, { recursive: true });
});
