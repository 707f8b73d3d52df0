// A model: tokenizer and session of one bundle.

import "./silent.mjs";

import { InferenceSession, Tensor } from "onnxruntime-node";

import { openBundle } from "./bundle.mjs";
import { Encoder, feeds } from "./encode.mjs";

export class Model {
  #encoder;
  #session;

  constructor(manifest, encoder, session) {
    this.manifest = manifest;
    this.#encoder = encoder;
    this.#session = session;
  }

  /**
   * Opens a bundle's graph for ONNX Runtime on the CPU.
   *
   * @param {string} place A folder, or an .etx file.
   * @param {{graph?: string, threads?: number}} [options] The graph's name, the first for ONNX
   *   Runtime if none; and threads, those that ONNX Runtime finds if 0.
   */
  static async open(place, { graph, threads = 0 } = {}) {
    const bundle = await openBundle(place, graph);
    const encoder = new Encoder(bundle.tokenizerJson, bundle.manifest);
    const session = await InferenceSession.create(bundle.model, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      externalData: bundle.beside,
    });
    return new Model(bundle.manifest, encoder, session);
  }

  /** Most tokens of a text that the model reads. */
  get maxLength() {
    return this.#encoder.maxLength;
  }

  /**
   * Runs one text, or a pair.
   *
   * @param {string} text
   * @param {string} [pair]
   * @returns {Promise<{ids: number[], truncated: number, outputs: Record<string, Float32Array>}>}
   */
  async run(text, pair) {
    const row = this.#encoder.encode(text, pair);
    const results = await this.#session.run(feeds(Tensor, row, this.#encoder.inputs));
    const outputs = Object.entries(results).map(([name, tensor]) => [name, tensor.data]);
    return { ids: row.ids, truncated: row.truncated, outputs: Object.fromEntries(outputs) };
  }
}
