// ONNX Runtime Web: build.mjs puts this into lib/ for a graph of its own.

import * as ort from "./ort.wasm.min.mjs";
import { feeds } from "./encode.mjs";

/**
 * @param {{entry: ArrayBuffer, beside: {path: string, data: Uint8Array}[]}} files The graph's, and
 *   the weights that it has in files of their own.
 * @param {any} graph Its record of the manifest.
 * @param {{inputs: string[]}} tokenizer Of the manifest.
 * @param {number} threads
 * @returns {Promise<(row: any) => Promise<Record<string, Float32Array>>>} From a row to its outputs.
 */
export async function openGraph({ entry, beside }, graph, tokenizer, threads) {
  ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(entry, {
    executionProviders: ["wasm"],
    externalData: beside,
  });
  return async (row) => {
    const results = await session.run(feeds(ort.Tensor, row, tokenizer.inputs));
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data]));
  };
}
