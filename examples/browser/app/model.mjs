// The page's side of the model.

import { cosine } from "./lib/encode.mjs";

export class Model {
  #worker = new Worker(new URL("./worker.js", import.meta.url));
  #asked = new Map();
  #count = 0;

  /** @param {(done: number, total: number) => void} progress Told bytes; 0 of 0 once they are here. */
  constructor(progress) {
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onerror = () => reject(new Error("this browser cannot run the model: update it"));
      this.#worker.onmessage = ({ data }) => {
        if (data.kind === "progress") progress(data.done, data.total);
        else if (data.kind === "ready") resolve(data);
        else if (data.kind === "failed") reject(new Error(data.message));
        else this.#settle(data);
      };
    });
  }

  /**
   * @param {string} text
   * @param {string} [pair]
   * @returns {Promise<{ids: number[], truncated: number, outputs: Record<string, Float32Array>, ms: number}>}
   */
  run(text, pair) {
    const number = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { resolve, reject });
      this.#worker.postMessage({ number, question: { text, pair } });
    });
  }

  #settle({ number, result, error }) {
    const { resolve, reject } = this.#asked.get(number);
    this.#asked.delete(number);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }
}

/**
 * Holds the model against the bundle's golden answers, as docs/conformance.md says.
 *
 * @returns {Promise<{asked: number, right: number, error: number}>}
 */
export async function prove(model, { golden, parity }) {
  const cases = golden.cases.filter((one) => one.rows.length === 1 && !Object.keys(one.options).length);
  let right = 0;
  let largest = 0;
  for (const { input, rows: [row] } of cases) {
    const [text, pair] = [input].flat();
    const got = await model.run(text, pair);
    let holds = got.ids.length === row.ids.length && got.ids.every((id, place) => id === row.ids[place]);
    for (const [name, wanted] of Object.entries(row.outputs)) {
      const peak = Math.max(...wanted.values.map(Math.abs));
      const values = got.outputs[name].filter((_, place) => place % wanted.step === 0);
      const error = Math.max(...wanted.values.map((value, place) => Math.abs(value - (values[place] ?? NaN))));
      // Written so that NaN fails too.
      holds &&= error <= Math.max(golden.tolerance * peak, 2 * parity.max_abs_error);
      holds &&= 1 - cosine(values, wanted.values) <= Math.max(golden.tolerance, 2 * (1 - parity.min_cosine));
      largest = Math.max(largest, error);
    }
    right += holds ? 1 : 0;
  }
  return { asked: cases.length, right, error: largest };
}
