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

// What runs a graph, by its backend; the first is taken where no graph is named.
const RUNTIMES = {
  onnx: {
    "runtime.mjs": "src/runtimes/onnx.mjs",
    "ort.wasm.min.mjs": "node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs": "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm": "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  },
  tflite: {
    "runtime.mjs": "src/runtimes/litert.mjs",
    "litert.mjs": "node_modules/@litertjs/core/dist/index.js",
    "wasm-utils.mjs": "node_modules/@litertjs/wasm-utils/dist/index.js",
    ...Object.fromEntries(
      ["", "_compat", "_threaded"].flatMap((variant) =>
        ["js", "wasm"].map((end) => `litert_wasm${variant}_internal.${end}`).map((name) => [name, `node_modules/@litertjs/core/wasm/${name}`]),
      ),
    ),
  },
};
const LIBRARIES = {
  "tokenizers.mjs": "node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs",
  "fflate.mjs": "node_modules/fflate/esm/browser.js",
  "encode.mjs": "src/encode.mjs",
  "archive.mjs": "src/archive.mjs",
  "manifest.mjs": "src/manifest.mjs",
};
// Workers know no import maps, so bare imports get their paths here.
const BARE = {
  "encode.mjs": ['"@huggingface/tokenizers"', '"./tokenizers.mjs"'],
  "archive.mjs": ['"fflate"', '"./fflate.mjs"'],
  "litert.mjs": ['"@litertjs/wasm-utils"', '"./wasm-utils.mjs"'],
};

await rm(out, { recursive: true, force: true });
await cp(path.join(here, "app"), out, { recursive: true });
await mkdir(path.join(out, "lib"));
try {
  await copyLibraries((await copyModel()).backend);
} catch (error) {
  if (!(error instanceof BundleError)) throw error;
  console.error(`error: ${error.message}`);
  process.exit(1);
}
await writeShell();

async function copyLibraries(backend) {
  for (const [name, source] of Object.entries({ ...LIBRARIES, ...RUNTIMES[backend] })) {
    await cp(path.join(here, source), path.join(out, "lib", name), { dereference: true });
    if (BARE[name]) await rewrite(path.join(out, "lib", name), ...BARE[name]);
  }
  await writeFile(path.join(out, "lib", "backend.mjs"), `export const BACKEND = ${JSON.stringify(backend)};\n`);
}

async function rewrite(file, bare, relative) {
  const source = await readFile(file, "utf8");
  if (!source.includes(bare)) throw new Error(`${file} no longer imports ${bare}`);
  await writeFile(file, source.replace(bare, relative));
}

/** Only what a browser runs: one graph, the tokenizer and the golden answers. */
async function copyModel() {
  const { manifest, read } = await openModel();
  const graph = graphName ? findGraph(manifest, Object.keys(RUNTIMES), graphName) : smallestGraph(manifest);
  for (const record of [...manifest.files, ...graph.files]) {
    await put(record.path, await read(record));
  }
  await put("manifest.json", JSON.stringify({ ...manifest, graphs: [graph] }, null, 1));
  console.log(`${graph.name} in ${out}`);
  return graph;
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
