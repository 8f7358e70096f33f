// Gathers exported models into public/models, each verified by the hashes of its bundle.json.
//
//   npm run models                      all of ../outputs/*/export/*
//   npm run models -- --from FOLDER     all of FOLDER/*/export/*
//   npm run models -- --study NAME      of this study alone; may be given again

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const WEB = dirname(dirname(fileURLToPath(import.meta.url)));
const WANTED = ["model-int8.onnx", "model-float32.onnx"];

const { values: options } = parseArgs({
  options: {
    from: { type: "string", default: join(WEB, "..", "outputs") },
    to: { type: "string", default: join(WEB, "public", "models") },
    study: { type: "string", multiple: true },
  },
});

class Told extends Error {}

async function folders(path) {
  if (!existsSync(path)) return [];
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function findExports(from) {
  const found = [];
  for (const study of options.study ?? (await folders(from))) {
    for (const scheme of await folders(join(from, study, "export"))) {
      const source = join(from, study, "export", scheme);
      if (existsSync(join(source, "bundle.json")))
        found.push({ name: `${study}/${scheme}`, source });
    }
  }
  return found;
}

/** Name of the ONNX file to serve, int8 where there is one, once its bytes are those described. */
async function verifiedModel(source) {
  const bundle = JSON.parse(await readFile(join(source, "bundle.json"), "utf8"));
  const file = WANTED.find((name) => bundle.files?.[name]);
  if (!file) throw new Told(`${source}: bundle.json names no ONNX file; export it anew.`);
  const path = join(source, file);
  if (!existsSync(path)) throw new Told(`${path} is missing; export it anew.`);
  const bytes = await readFile(path);
  const hash = createHash("sha256").update(bytes).digest("hex");
  if (hash !== bundle.files[file].sha256) {
    throw new Told(`${path} is not the file that bundle.json describes; export it anew.`);
  }
  return { file, bytes: bytes.length };
}

async function collect(from, to) {
  const exported = await findExports(from);
  if (exported.length === 0) {
    throw new Told(`no exported model in ${from}; make one with: kidneyct export --study phantom`);
  }
  const fresh = `${to}.new`;
  await rm(fresh, { recursive: true, force: true });
  for (const { name, source } of exported) {
    const { file, bytes } = await verifiedModel(source);
    await mkdir(join(fresh, name), { recursive: true });
    for (const each of ["bundle.json", file]) await cp(join(source, each), join(fresh, name, each));
    console.log(`${name}: ${file}, ${(bytes / 1e6).toFixed(1)} MB`);
  }
  const index = exported.map(({ name }) => ({ name, path: name }));
  await writeFile(join(fresh, "index.json"), `${JSON.stringify(index, null, 1)}\n`);
  await rm(to, { recursive: true, force: true });
  await rename(fresh, to);
  const models = exported.length === 1 ? "model" : "models";
  console.log(`${exported.length} ${models} in ${relative(process.cwd(), to) || to}`);
}

try {
  await collect(resolve(options.from), resolve(options.to));
} catch (error) {
  if (!(error instanceof Told)) throw error;
  console.error(`collect-models: ${error.message}`);
  process.exitCode = 1;
}
