// The bundle's files: fetched once, compared with the manifest's hashes, then kept.

import { BundleError, checkManifest, findGraph } from "./lib/encode.mjs";

const CACHE = "model";
const BASE = "model/";

/**
 * Opens the bundle, from the network the first time and from this device ever after.
 *
 * @param {(done: number, total: number) => void} progress Told bytes while they come in.
 * @returns {Promise<{manifest: any, graph: ArrayBuffer, tokenizerJson: string, golden: any}>}
 * @throws {BundleError} It is damaged, of a newer edge_tx, or not here yet and there is no network.
 */
export async function openBundle(progress) {
  const cache = await caches.open(CACHE);
  const manifest = await readManifest(cache);
  const graph = findGraph(manifest);
  const wanted = [...manifest.files, ...graph.files];
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
    graph: contents.get(graph.entry),
    tokenizerJson: text("tokenizer.json"),
    golden: JSON.parse(text("golden.json")),
  };
}

/** The newest manifest there is: the server's, else the one that was kept. */
async function readManifest(cache) {
  const url = `${BASE}manifest.json`;
  const fresh = await fetch(url).catch(() => null);
  const response = fresh?.ok ? fresh : await cache.match(url);
  if (!response) throw new BundleError("the model is not on this device yet: connect once to fetch it");
  const text = await response.text();
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw new BundleError("manifest.json is not JSON: put the bundle on the server again");
  }
  checkManifest(manifest);
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
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== record.sha256) {
    throw new BundleError(`${record.path} is damaged: its sha256 is not the manifest's; put the bundle on the server again`);
  }
  await cache.put(keyOf(record), new Response(bytes)).catch(() => {
    throw new BundleError("this device has no room to keep the model: free some storage");
  });
  return bytes;
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
  const names = new Set([...wanted.map(keyOf), `${BASE}manifest.json`].map((name) => new URL(name, location).href));
  for (const request of await cache.keys()) if (!names.has(request.url)) await cache.delete(request);
}
