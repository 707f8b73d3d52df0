// LiteRT.js: build.mjs puts this into lib/ for a TFLite graph.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "./litert.mjs";
import { column } from "./encode.mjs";

const BUCKETS = 4; // as many as edge-tx export makes

/**
 * @param {{entry: ArrayBuffer}} files The graph's.
 * @param {any} graph Its record of the manifest.
 * @param {{inputs: string[], pad_id: number, pad_type_id: number}} tokenizer Of the manifest.
 * @param {number} threads
 * @returns {Promise<(row: any) => Promise<Record<string, Float32Array>>>} From a row to its outputs.
 */
export async function openGraph({ entry }, graph, tokenizer, threads) {
  // LiteRT.js has threads only together with relaxed SIMD.
  const numThreads = (await supportsFeature("relaxedSimd")) ? threads : 1;
  await load(numThreads);
  const options = { accelerator: "wasm", cpuOptions: { numThreads } };
  const model = await loadAndCompile(new Uint8Array(entry), options);
  const buckets = Object.values(model.signatures)
    .map((signature) => ({ signature, length: signature.getInputDetails()[0].shape[1] }))
    .sort((one, other) => one.length - other.length);
  const padding = { input_ids: tokenizer.pad_id, attention_mask: 0, token_type_ids: tokenizer.pad_type_id };
  return async (row) => {
    const { signature, length } = buckets.find((bucket) => bucket.length >= row.ids.length);
    const feeds = tokenizer.inputs.map((name) => {
      const values = new Int32Array(length).fill(padding[name]);
      values.set(column(name, row));
      return [name, new Tensor(values, [1, length])];
    });
    const results = await signature.run(Object.fromEntries(feeds));
    const outputs = graph.outputs.map(({ name, shape }) => [name, ofRow(results[name], shape, row.ids.length)]);
    for (const tensor of [...feeds.map(([, fed]) => fed), ...Object.values(results)]) tensor.delete();
    return Object.fromEntries(outputs);
  };
}

async function load(threads) {
  const here = new URL("./", import.meta.url).href;
  // Threads come out of a pool of one worker for each core, and each bucket takes threads of its
  // own: where the pool is too small, opening waits for ever. So it is told of more cores.
  Object.defineProperty(navigator, "hardwareConcurrency", { value: (BUCKETS + 1) * threads });
  self.Module = { mainScriptUrlOrBlob: `${here}litert_wasm_threaded_internal.js`, locateFile: (name) => here + name };
  await loadLiteRt(here, { threads: threads > 1 });
}

/** A copy without what padding gave: of outputs by token, the row's own tokens. */
function ofRow(tensor, shape, tokens) {
  const values = Float32Array.from(tensor.toTypedArray());
  if (shape[1] !== "seq") return values;
  return values.subarray(0, (values.length / tensor.type.layout.dimensions[1]) * tokens);
}
