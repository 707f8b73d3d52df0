// A bundle's folder, opened with every file that is used checked against its hash.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";

import { BundleError, checkManifest, findGraph } from "./encode.mjs";

/**
 * Opens a bundle.
 *
 * @param {string} folder
 * @returns {Promise<{manifest: any, graph: any, graphPath: string, tokenizerJson: string}>}
 * @throws {BundleError} There is none, it is damaged, or of a newer edge_tx.
 */
export async function openBundle(folder) {
  if (folder.endsWith(".etx")) {
    throw new BundleError(`${folder} is packed: unzip ${folder} -d model, and give the folder`);
  }
  const manifest = await readManifest(folder);
  const graph = findGraph(manifest);
  const tokenizer = manifest.files.find((record) => record.path === "tokenizer.json");
  if (!tokenizer) throw new BundleError(`${folder} has no tokenizer.json`);
  await Promise.all([tokenizer, ...graph.files].map((record) => check(folder, record)));
  return {
    manifest,
    graph,
    graphPath: path.join(folder, graph.entry),
    tokenizerJson: await readFile(path.join(folder, tokenizer.path), "utf8"),
  };
}

async function readManifest(folder) {
  let text;
  try {
    text = await readFile(path.join(folder, "manifest.json"), "utf8");
  } catch (error) {
    throw new BundleError(`no bundle at ${folder}: ${error.code} for manifest.json`);
  }
  try {
    const manifest = JSON.parse(text);
    checkManifest(manifest);
    return manifest;
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`${folder}/manifest.json is not JSON: ${error.message}`);
  }
}

async function check(folder, record) {
  const file = path.join(folder, record.path);
  if (!path.resolve(file).startsWith(path.resolve(folder) + path.sep)) {
    throw new BundleError(`the manifest reaches outside of the bundle: ${record.path}`);
  }
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
