#!/usr/bin/env node
// node build.mjs [MODEL] [OUT] [GRAPH]: puts the app, its libraries and one graph of a bundle (the
// smallest if none is named) together in a folder that any web server can serve. Nothing is bundled
// or minified: browsers read the modules as they are.

import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Archive } from "./src/archive.mjs";
import { BundleError, findGraph, parseManifest, smallestGraph } from "./src/manifest.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const [model = path.join(here, "model"), out = path.join(here, "dist"), graphName] = process.argv.slice(2);
const modules = path.join(here, "node_modules");

const LIBRARIES = {
  "ort.wasm.min.mjs": "onnxruntime-web/dist/ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs": "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "tokenizers.mjs": "@huggingface/tokenizers/dist/tokenizers.min.mjs",
  "fflate.mjs": "fflate/esm/browser.js",
};
// Workers know no import maps, so bare imports get their paths here.
const OWN = {
  "encode.mjs": ['"@huggingface/tokenizers"', '"./tokenizers.mjs"'],
  "archive.mjs": ['"fflate"', '"./fflate.mjs"'],
  "manifest.mjs": ["", ""],
};

await rm(out, { recursive: true, force: true });
await cp(path.join(here, "app"), out, { recursive: true });
await mkdir(path.join(out, "lib"));
for (const [name, source] of Object.entries(LIBRARIES)) {
  await cp(path.join(modules, source), path.join(out, "lib", name));
}
for (const [name, [bare, file]] of Object.entries(OWN)) {
  const source = await readFile(path.join(here, "src", name), "utf8");
  if (!source.includes(bare)) throw new Error(`src/${name} no longer imports ${bare}`);
  await writeFile(path.join(out, "lib", name), source.replace(bare, file));
}
try {
  await copyModel();
} catch (error) {
  if (!(error instanceof BundleError)) throw error;
  console.error(`error: ${error.message}`);
  process.exit(1);
}
await writeShell();

/** Only what a browser runs: one graph for ONNX Runtime, the tokenizer and the golden answers. */
async function copyModel() {
  const { manifest, read } = await openModel();
  const graph = graphName ? findGraph(manifest, graphName) : smallestGraph(manifest);
  for (const record of [...manifest.files, ...graph.files]) {
    await put(record.path, await read(record));
  }
  await put("manifest.json", JSON.stringify({ ...manifest, graphs: [graph] }, null, 1));
  console.log(`${graph.name} in ${out}`);
}

/** A bundle's manifest, and how its files are read: of an .etx file, or of a folder. */
async function openModel() {
  const place = model.endsWith(".etx") ? model : path.join(model, "manifest.json");
  const bytes = await readFile(place).catch(() => {
    throw new BundleError(`no bundle at ${model}: node build.mjs MODEL, a bundle's folder or .etx file`);
  });
  if (place === model) {
    const archive = new Archive(bytes, model);
    return { manifest: archive.manifest, read: (record) => archive.read(record) };
  }
  return {
    manifest: parseManifest(bytes.toString("utf8"), place),
    read: (record) => readFile(path.join(model, record.path)), // the page compares the hashes
  };
}

async function put(name, bytes) {
  const file = path.join(out, "model", name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

/** The service worker's list of what the app is made of; the model is kept apart. */
async function writeShell() {
  const found = await readdir(out, { recursive: true, withFileTypes: true });
  const files = found
    .filter((entry) => entry.isFile() && entry.name !== "sw.js")
    .map((entry) => path.relative(out, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .filter((name) => !name.startsWith("model/"))
    .sort();
  const hash = createHash("sha256");
  for (const name of files) hash.update(await readFile(path.join(out, name)));
  const worker = await readFile(path.join(out, "sw.js"), "utf8");
  const shell = { version: hash.digest("hex").slice(0, 16), files: ["./", ...files] };
  await writeFile(path.join(out, "sw.js"), worker.replace("/* SHELL */ null", JSON.stringify(shell)));
}
