#!/usr/bin/env node
// node build.mjs [MODEL] [OUT]: puts the app, its libraries and a bundle together in a folder that
// any web server can serve. Nothing is bundled or minified: browsers read the modules as they are.

import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const [model = path.join(here, "model"), out = path.join(here, "dist")] = process.argv.slice(2);
const modules = path.join(here, "node_modules");

const LIBRARIES = {
  "ort.wasm.min.mjs": "onnxruntime-web/dist/ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs": "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "tokenizers.mjs": "@huggingface/tokenizers/dist/tokenizers.min.mjs",
};

await rm(out, { recursive: true, force: true });
await cp(path.join(here, "app"), out, { recursive: true });
await mkdir(path.join(out, "lib"));
for (const [name, source] of Object.entries(LIBRARIES)) {
  await cp(path.join(modules, source), path.join(out, "lib", name));
}
// Workers know no import maps, so the one bare import gets its path here.
const encode = await readFile(path.join(here, "src", "encode.mjs"), "utf8");
const rewritten = encode.replace('"@huggingface/tokenizers"', '"./tokenizers.mjs"');
if (rewritten === encode) throw new Error("src/encode.mjs no longer imports its tokenizer");
await writeFile(path.join(out, "lib", "encode.mjs"), rewritten);
await copyModel();
await writeShell();

/** Only what a browser runs: the graph for ONNX Runtime, the tokenizer and the golden answers. */
async function copyModel() {
  const read = await readFile(path.join(model, "manifest.json"), "utf8").catch(() => null);
  if (read === null) {
    console.error(`error: no bundle at ${model}: node build.mjs MODEL, an unpacked bundle`);
    process.exit(1);
  }
  const manifest = JSON.parse(read);
  const graph = manifest.graphs?.find((one) => one.backend === "onnx");
  if (!graph) {
    console.error(`error: ${model} has no graph for ONNX Runtime: export it with --to onnx`);
    process.exit(1);
  }
  for (const record of [...manifest.files, ...graph.files]) {
    await cp(path.join(model, record.path), path.join(out, "model", record.path));
  }
  await writeFile(path.join(out, "model", "manifest.json"), read);
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
