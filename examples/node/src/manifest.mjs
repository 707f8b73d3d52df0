// What a bundle says it is. Runs in Node.js and in browsers.

/** What a user can cause: its message is shown as it is. */
export class BundleError extends Error {
  name = "BundleError";
}

const SCHEMA = 1;

/**
 * Reads a manifest, and checks it before anything else of the bundle is read.
 *
 * @param {string} text Contents of manifest.json.
 * @param {string} [place] Where it is, for messages.
 * @returns {any} What it says.
 * @throws {BundleError} It is no manifest, of a newer edge_tx, or names a file outside.
 */
export function parseManifest(text, place = "manifest.json") {
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw new BundleError(`${place} is not JSON: ${error.message}`);
  }
  if (!Number.isInteger(manifest?.schema)) {
    throw new BundleError(`${place} is not a bundle's: it has no schema`);
  }
  if (manifest.schema > SCHEMA) {
    throw new BundleError(
      `this bundle has schema ${manifest.schema}, and this app reads ${SCHEMA}: update the app`,
    );
  }
  if (!Array.isArray(manifest.files) || !Array.isArray(manifest.graphs)) {
    throw new BundleError(`${place} is damaged: it names no files or no graphs`);
  }
  for (const { path } of filesOf(manifest)) {
    if (!inside(path)) throw new BundleError(`${place} reaches outside of the bundle: ${path}`);
  }
  return manifest;
}

/** Every file that a manifest names. */
export function filesOf(manifest) {
  return [...manifest.files, ...manifest.graphs.flatMap((graph) => graph.files)];
}

const PART = /^[^\\:*?"<>|\u0000-\u001f]*[^\\:*?"<>|\u0000-\u001f. ]$/;

function inside(path) {
  return typeof path === "string" && path.split("/").every((part) => PART.test(part));
}

/**
 * The graph to run.
 *
 * @param {any} manifest
 * @param {string[]} backends Whose graphs can be run, the preferred first.
 * @param {string} [name] The graph's; the first of the first backend if none.
 * @throws {BundleError} There is none.
 */
export function findGraph(manifest, backends, name) {
  if (!name) return graphsOf(manifest, backends[0])[0];
  const graphs = manifest.graphs.filter((one) => backends.includes(one.backend));
  const graph = graphs.find((one) => one.name === name);
  if (graph) return graph;
  const held = graphs.map((one) => one.name).join(", ");
  throw new BundleError(`the bundle has no graph ${name} for ${backends.join(" or ")}, only ${held}`);
}

/**
 * The graph that takes the least memory, the first of those of as many megabytes. Every graph of a
 * bundle has passed its measure, so that a quantised one may be taken where it is there.
 *
 * @param {any} manifest
 * @param {string} [backend]
 * @throws {BundleError} There is none of that backend.
 */
export function smallestGraph(manifest, backend = "onnx") {
  return graphsOf(manifest, backend).reduce((one, other) => (weight(other) < weight(one) ? other : one));
}

function graphsOf(manifest, backend) {
  const graphs = manifest.graphs.filter((one) => one.backend === backend);
  if (graphs.length) return graphs;
  const held = manifest.graphs.map((one) => one.name).join(", ");
  throw new BundleError(`the bundle has no graph for ${backend}, only ${held}: export --to ${backend}`);
}

const weight = (graph) => Math.round(graph.files.reduce((sum, record) => sum + record.size, 0) / 1e6);

/**
 * The files that a graph's own file reads: its weights, as ONNX Runtime's `externalData` has them.
 *
 * @param {any} graph
 * @param {Map<string, ArrayBuffer | Uint8Array>} contents Of all its files, by path.
 * @returns {{path: string, data: Uint8Array}[]} By the names that the graph knows them by.
 */
export function externalData({ entry, files }, contents) {
  const folder = entry.slice(0, entry.lastIndexOf("/") + 1);
  return files
    .filter(({ path }) => path !== entry)
    .map(({ path }) => ({ path: path.slice(folder.length), data: new Uint8Array(contents.get(path)) }));
}

/** The record of a file that belongs to no graph. */
export function findFile(manifest, path) {
  const record = manifest.files.find((one) => one.path === path);
  if (!record) throw new BundleError(`the bundle has no ${path}`);
  return record;
}
