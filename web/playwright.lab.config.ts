import { defineConfig } from "@playwright/test";

import { CHROMIUM } from "./playwright.config";

const PORT = Number(process.env["KIDNEYCT_LAB_PORT"] ?? 8124);
const TOKEN = "known-to-this-test";
const FOLDER = process.env["KIDNEYCT_LAB"] ?? "../.cache/lab-test";

/** JupyterLab as `make lab` starts it, on a project of its own, with no settings of the user's. */
const OPTIONS = [
  "--no-browser",
  `--port=${PORT}`,
  "--ServerApp.port_retries=0",
  `--IdentityProvider.token=${TOKEN}`,
  `--ServerApp.root_dir=${FOLDER.replace("../", "")}`,
].join(" ");

export default defineConfig({
  testDir: "lab",
  outputDir: "test-results/lab",
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 60_000 },
  reporter: "list",
  use: {
    baseURL: `http://localhost:${PORT}`,
    extraHTTPHeaders: { Authorization: `token ${TOKEN}` },
    viewport: { width: 1440, height: 1000 },
    launchOptions: { executablePath: CHROMIUM, args: ["--no-sandbox"] },
  },
  webServer: {
    command: `make -C .. lab LAB="${OPTIONS}"`,
    url: `http://localhost:${PORT}/lab?token=${TOKEN}`,
    timeout: 90_000,
    gracefulShutdown: { signal: "SIGTERM", timeout: 10_000 },
    env: {
      JUPYTER_CONFIG_DIR: `${FOLDER}/.jupyter`,
      JUPYTERLAB_SETTINGS_DIR: `${FOLDER}/.jupyter/settings`,
      JUPYTERLAB_WORKSPACES_DIR: `${FOLDER}/.jupyter/workspaces`,
    },
  },
});
