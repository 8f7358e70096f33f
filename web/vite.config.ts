import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import { CONTENT_SECURITY_POLICY, ISOLATION_HEADERS, PREVIEW_HEADERS } from "./security.ts";

/** The policy stands in the built page itself, so that it holds on any static host. */
function policyInPage(): Plugin {
  return {
    name: "policy-in-page",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: CONTENT_SECURITY_POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}

/** Writes `sw.js` with the names of all files of this build and a version made of their content. */
function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const source = readFileSync(new URL("src/service-worker.js", import.meta.url), "utf8");
        const hash = createHash("sha256").update(source);
        const names = Object.keys(bundle).sort();
        for (const name of names) {
          const file = bundle[name]!;
          hash.update(name).update(file.type === "chunk" ? file.code : file.source);
        }
        const lists = { __VERSION__: hash.digest("hex").slice(0, 16), __FILES__: names };
        const text = Object.entries(lists).reduce(
          (code, [mark, value]) => code.replace(mark, JSON.stringify(value)),
          source,
        );
        this.emitFile({ type: "asset", fileName: "sw.js", source: text });
      },
    },
  };
}

/** Many hosts don't know that a file named .mjs is a script. */
const output = {
  assetFileNames: ({ names }: { names: string[] }) =>
    names[0]?.endsWith(".mjs") ? "assets/[name]-[hash].js" : "assets/[name]-[hash][extname]",
};

export default defineConfig({
  appType: "mpa", // a missing file is answered 404, not with the page
  base: "./", // the page may lie in any folder of a host
  resolve: {
    conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "import"],
    // the decoders of compressed DICOM ask for files only where they run in Node
    alias: [{ find: /^(fs|path)$/, replacement: "data:text/javascript,export default {}" }],
  },
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the policy allows no inlined script or style
    chunkSizeWarningLimit: 1000,
    modulePreload: { polyfill: false },
    rolldownOptions: { output },
  },
  worker: { format: "es", rolldownOptions: { output } },
  server: { headers: ISOLATION_HEADERS },
  preview: { headers: PREVIEW_HEADERS },
  plugins: [policyInPage(), serviceWorker()],
  test: { include: ["tests/**/*.test.ts"], pool: "threads", isolate: false },
});
