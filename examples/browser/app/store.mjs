// The bundle's files: fetched once, compared with the manifest's hashes, then kept. A person may
// open an .etx file in place of the bundle that the app came with.

import { Archive, hash } from "./lib/archive.mjs";
import { BundleError, externalData, findFile, parseManifest, smallestGraph } from "./lib/manifest.mjs";
import { BACKEND } from "./lib/backend.mjs";

const CACHE = "model";
const BASE = "model/";
const OPENED = `${BASE}opened.json`; // manifest of the .etx file that was opened last

/**
 * Opens the bundle, from the network the first time and from this device ever after.
 *
 * @param {(done: number, total: number) => void} progress Told bytes while they come in.
 * @returns {Promise<{manifest: any, graph: any, model: {entry: ArrayBuffer, beside: {path: string,
 *   data: Uint8Array}[]}, tokenizerJson: string, golden: any}>}
 * @throws {BundleError} It is damaged, of a newer edge_tx, or not here yet and there is no network.
 */
export async function openBundle(progress) {
  const cache = await caches.open(CACHE);
  const manifest = await readManifest(cache);
  const graph = smallestGraph(manifest, BACKEND);
  const wanted = neededFor(manifest, graph);
  const total = wanted.reduce((sum, record) => sum + record.size, 0);
  let done = 0;
  const contents = new Map();
  for (const record of wanted) {
    const bytes = await read(cache, record, (count) => progress(done + count, total));
    done += record.size;
    contents.set(record.path, bytes);
  }
  await forgetOthers(cache, wanted);
  const text = (name) => new TextDecoder().decode(contents.get(name));
  return {
    manifest,
    graph,
    model: { entry: contents.get(graph.entry), beside: externalData(graph, contents) },
    tokenizerJson: text("tokenizer.json"),
    golden: JSON.parse(text("golden.json")),
  };
}

/**
 * Keeps the bundle of an .etx file, to be opened from now on.
 *
 * @param {File} file
 * @throws {BundleError} It is damaged, of a newer edge_tx, or has no graph for the app's runtime.
 */
export async function adopt(file) {
  const archive = new Archive(new Uint8Array(await file.arrayBuffer()), file.name);
  const { manifest } = archive;
  const cache = await caches.open(CACHE);
  for (const record of neededFor(manifest, smallestGraph(manifest, BACKEND))) {
    await keep(cache, record, await archive.read(record));
  }
  await cache.put(OPENED, new Response(JSON.stringify(manifest)));
}

/** Goes back to the bundle that the app came with. */
export async function abandon() {
  await (await caches.open(CACHE)).delete(OPENED);
}

/** Whether somebody opened an .etx file. */
export async function isAdopted() {
  return (await (await caches.open(CACHE)).match(OPENED)) !== undefined;
}

function neededFor(manifest, graph) {
  return [findFile(manifest, "tokenizer.json"), findFile(manifest, "golden.json"), ...graph.files];
}

/** What was opened, else the newest manifest there is: the server's, or the one that was kept. */
async function readManifest(cache) {
  const opened = await cache.match(OPENED);
  if (opened) return parseManifest(await opened.text());
  const url = `${BASE}manifest.json`;
  const fresh = await fetch(url).catch(() => null);
  const response = fresh?.ok ? fresh : await cache.match(url);
  if (!response) throw new BundleError("the model is not on this device yet: connect once to fetch it");
  const text = await response.text();
  const manifest = parseManifest(text);
  await cache.put(url, new Response(text));
  return manifest;
}

/** A file's name says what is in it, so what is kept under it needs no second look. */
const keyOf = (record) => `${BASE}${record.path}?sha256=${record.sha256}`;

async function read(cache, record, progress) {
  const kept = await cache.match(keyOf(record));
  if (kept) {
    progress(record.size);
    return kept.arrayBuffer();
  }
  const bytes = await download(record, progress);
  if ((await hash(bytes)) !== record.sha256) {
    throw new BundleError(`${record.path} is damaged: its sha256 is not the manifest's; put the bundle on the server again`);
  }
  await keep(cache, record, bytes);
  return bytes;
}

async function keep(cache, record, bytes) {
  await cache.put(keyOf(record), new Response(bytes)).catch(() => {
    throw new BundleError("this device has no room to keep the model: free some storage");
  });
}

async function download(record, progress) {
  const response = await fetch(BASE + record.path).catch(() => null);
  if (!response?.ok) throw new BundleError(`${record.path} could not be fetched: try again when connected`);
  const bytes = new Uint8Array(record.size);
  let count = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (count + value.length > record.size) {
      throw new BundleError(`${record.path} is damaged: more than ${record.size} bytes`);
    }
    bytes.set(value, count);
    progress((count += value.length));
  }
  if (count !== record.size) throw new BundleError(`${record.path} is damaged: ${count} bytes, not ${record.size}`);
  return bytes.buffer;
}

async function forgetOthers(cache, wanted) {
  const names = new Set([...wanted.map(keyOf), `${BASE}manifest.json`, OPENED].map((name) => new URL(name, location).href));
  for (const request of await cache.keys()) if (!names.has(request.url)) await cache.delete(request);
}
