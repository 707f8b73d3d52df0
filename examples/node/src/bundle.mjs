// A bundle, opened with every file that is used checked against its hash.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";

import { Archive } from "./archive.mjs";
import { BundleError, externalData, findFile, findGraph, parseManifest } from "./manifest.mjs";

/**
 * Opens a bundle.
 *
 * @param {string} place A folder, or an .etx file.
 * @param {string} [graphName] The graph to run; the first for ONNX Runtime if none.
 * @returns {Promise<{manifest: any, model: string | Uint8Array, beside: {path: string,
 *   data: Uint8Array}[], tokenizerJson: string}>} With the graph's path, or its bytes and those of
 *   the files beside it if it is in an .etx file.
 * @throws {BundleError} There is none, it is damaged, or of a newer edge_tx.
 */
export async function openBundle(place, graphName) {
  return place.endsWith(".etx") ? openArchive(place, graphName) : openFolder(place, graphName);
}

async function openArchive(file, graphName) {
  const archive = new Archive(await readBytes(file), file);
  const { manifest } = archive;
  const graph = findGraph(manifest, ["onnx"], graphName);
  const tokenizer = await archive.read(findFile(manifest, "tokenizer.json"));
  const contents = new Map();
  for (const record of graph.files) contents.set(record.path, await archive.read(record));
  return {
    manifest,
    model: contents.get(graph.entry),
    beside: externalData(graph, contents),
    tokenizerJson: new TextDecoder().decode(tokenizer),
  };
}

async function openFolder(folder, graphName) {
  const text = await readBytes(path.join(folder, "manifest.json"));
  const manifest = parseManifest(new TextDecoder().decode(text), path.join(folder, "manifest.json"));
  const graph = findGraph(manifest, ["onnx"], graphName);
  const tokenizer = findFile(manifest, "tokenizer.json");
  await Promise.all([tokenizer, ...graph.files].map((record) => check(folder, record)));
  const tokenizerJson = await readFile(path.join(folder, tokenizer.path), "utf8");
  return { manifest, model: path.join(folder, graph.entry), beside: [], tokenizerJson };
}

async function readBytes(file) {
  try {
    return await readFile(file);
  } catch (error) {
    throw new BundleError(`no bundle at ${file}: ${error.code}`);
  }
}

async function check(folder, record) {
  const file = path.join(folder, record.path);
  const found = await stat(file).catch(() => null);
  if (found?.size !== record.size) {
    throw new BundleError(`${file} is damaged: ${found?.size ?? "no"} bytes, not ${record.size}`);
  }
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  if (hash.digest("hex") !== record.sha256) {
    throw new BundleError(`${file} is damaged: its sha256 is not the manifest's; copy it again`);
  }
}
