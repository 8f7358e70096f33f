import { defineConfig } from "@playwright/test";

const PORT = 8123;

/** The system's own Chromium: nothing is downloaded. */
export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results/runs",
  workers: 1,
  retries: process.env["CI"] ? 1 : 0, // on a busy machine a browser may start late; told as flaky
  timeout: 120_000,
  expect: { timeout: 60_000 },
  reporter: "list",
  use: {
    baseURL: `http://localhost:${PORT}`,
    launchOptions: { executablePath: CHROMIUM, args: ["--no-sandbox"] },
  },
  webServer: {
    command: `npm run serve -- --port ${PORT}`,
    url: `http://localhost:${PORT}`,
    timeout: 60_000,
  },
});
