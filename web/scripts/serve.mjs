// Serves the built page with the headers that isolate it: npm run serve [-- --port 8000]

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { preview } from "vite";

const WEB = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({ options: { port: { type: "string", default: "8000" } } });

function missing() {
  if (!existsSync(join(WEB, "dist", "index.html"))) {
    return "the page is not built; run: npm run models && npm run build";
  }
  if (!existsSync(join(WEB, "dist", "models", "index.json"))) {
    return (
      "the built page holds no model; make one with kidneyct export --study phantom, " +
      "then run: npm run models && npm run build"
    );
  }
  return null;
}

const problem = missing();
if (problem) {
  console.error(`serve: ${problem}`);
  process.exitCode = 1;
} else {
  const server = await preview({
    root: WEB,
    preview: { port: Number(options.port), host: "localhost", strictPort: true },
  }).catch((error) => {
    console.error(`serve: ${error.message}; choose another: npm run serve -- --port 8001`);
    process.exit(1);
  });
  console.log("The page is ready; stop with Ctrl+C.");
  server.printUrls();
}
