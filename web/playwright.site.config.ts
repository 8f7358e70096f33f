import { defineConfig } from "@playwright/test";

const PORT = 8124;

/** Checks of the built site; its server adds no header, as the simplest static hosts. */
export default defineConfig({
  testDir: "e2e-site",
  outputDir: "test-results/site-runs",
  workers: 1,
  retries: process.env["CI"] ? 1 : 0, // on a busy machine a browser may start late; told as flaky
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: "list",
  use: {
    baseURL: `http://localhost:${PORT}/site/`, // below the root, as on GitHub Pages
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    },
  },
  webServer: {
    command: `${process.env["PYTHON"] ?? "python3"} -m http.server ${PORT} --bind localhost --directory ../outputs`,
    url: `http://localhost:${PORT}/site/`,
    timeout: 60_000,
    stderr: "ignore", // one line for each request
  },
});
