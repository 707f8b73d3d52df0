// Texts to token ids, as a bundle's manifest says. Runs in Node.js and in browsers.

import { Tokenizer } from "@huggingface/tokenizers";

import { BundleError } from "./manifest.mjs";

/** Token ids of one row. */
export class Encoder {
  #tokenizer;
  #policy;
  #prompt;

  /**
   * @param {string} tokenizerJson Contents of tokenizer.json.
   * @param {any} manifest Contents of manifest.json.
   * @throws {BundleError} The tokenizer cannot be read.
   */
  constructor(tokenizerJson, manifest) {
    try {
      // Truncation and padding of the file are left-overs of training: the manifest counts.
      this.#tokenizer = new Tokenizer(JSON.parse(tokenizerJson), {});
    } catch (error) {
      throw new BundleError(`tokenizer.json cannot be read: ${error.message}`);
    }
    this.#policy = manifest.tokenizer;
    this.#prompt = manifest.settings.prompts[manifest.settings.default_prompt] ?? "";
  }

  /** Names of the arrays that the graph is fed. */
  get inputs() {
    return this.#policy.inputs;
  }

  /** Most tokens of a row. */
  get maxLength() {
    return this.#policy.max_length;
  }

  /**
   * @param {string} text
   * @param {string} [pair] The second text of tasks that take two.
   * @returns {{ids: number[], typeIds: number[], truncated: number}} A row with special tokens,
   *   cut to the model's length, and how many tokens that cost.
   */
  encode(text, pair) {
    const parts = pair ? [text, pair] : [this.#prompt + text];
    const whole = this.#tokenizer.encode(parts[0], {
      text_pair: parts[1] ?? null,
      return_token_type_ids: true,
    });
    const row = { ids: whole.ids, typeIds: whole.token_type_ids, truncated: 0 };
    const excess = row.ids.length - this.#policy.max_length;
    return excess > 0 ? this.#cut(row, parts, excess) : row;
  }

  #cut(row, parts, excess) {
    const bodies = parts.map((part) => this.#tokenizer.encode(part, { add_special_tokens: false }).ids);
    const lengths = bodies.map((body) => body.length);
    const keep = kept(lengths, lengths.reduce((one, other) => one + other) - excess);
    const dropped = new Set();
    let from = 0;
    bodies.forEach((body, index) => {
      const start = find(row.ids, body, from);
      const lost = body.length - keep[index];
      const first = this.#policy.truncation_side === "left" ? start : start + keep[index];
      for (let place = first; place < first + lost; place++) dropped.add(place);
      from = start + body.length;
    });
    const stays = (_, place) => !dropped.has(place);
    return { ids: row.ids.filter(stays), typeIds: row.typeIds.filter(stays), truncated: excess };
  }
}

/** How many tokens of each text stay: the longer is cut down to the shorter, then both alike. */
function kept(lengths, room) {
  if (lengths.length === 1) return [room];
  const shorter = Math.min(...lengths, Math.floor(room / 2));
  return lengths[0] <= lengths[1] ? [shorter, room - shorter] : [room - shorter, shorter];
}

/** Where a text's own tokens begin in a row. */
function find(ids, body, from) {
  for (let start = from; start + body.length <= ids.length; start++) {
    if (body.every((id, place) => ids[start + place] === id)) return start;
  }
  throw new BundleError("tokenizer.json changes a text's tokens when it frames them");
}

const COLUMNS = {
  input_ids: (row) => row.ids,
  attention_mask: (row) => row.ids.map(() => 1),
  token_type_ids: (row) => row.typeIds,
};

/**
 * What one of a graph's inputs is fed for a row.
 *
 * @param {string} name The input's.
 * @param {{ids: number[], typeIds: number[]}} row
 * @returns {number[]} One for each token.
 */
export function column(name, row) {
  return COLUMNS[name](row);
}

/**
 * The arrays that ONNX Runtime is fed for one row.
 *
 * @param {any} Tensor Its class: of onnxruntime-node or onnxruntime-web.
 * @param {{ids: number[], typeIds: number[]}} row
 * @param {string[]} inputs Names of the graph's inputs.
 */
export function feeds(Tensor, row, inputs) {
  const shape = [1, row.ids.length];
  const arrays = inputs.map((name) => [name, new Tensor("int64", BigInt64Array.from(column(name, row), BigInt), shape)]);
  return Object.fromEntries(arrays);
}

/**
 * Scores of a classifier, the highest first.
 *
 * @param {Iterable<number>} logits
 * @param {any} settings Of the manifest.
 * @returns {{label: string, score: number}[]}
 */
export function classify(logits, settings) {
  const values = Array.from(logits);
  const several = settings.problem_type === "multi_label_classification" || values.length === 1;
  const scores = settings.problem_type === "regression" ? values : several ? values.map(sigmoid) : softmax(values);
  return scores
    .map((score, index) => ({ label: settings.labels[index], score }))
    .sort((one, other) => other.score - one.score);
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

function softmax(values) {
  const most = Math.max(...values);
  const raised = values.map((value) => Math.exp(value - most));
  const sum = raised.reduce((one, other) => one + other, 0);
  return raised.map((value) => value / sum);
}

/**
 * Cosine of two vectors.
 *
 * @param {ArrayLike<number>} one
 * @param {ArrayLike<number>} other
 */
export function cosine(one, other) {
  let dot = 0, left = 0, right = 0;
  for (let place = 0; place < one.length; place++) {
    dot += one[place] * other[place];
    left += one[place] ** 2;
    right += other[place] ** 2;
  }
  return dot / (Math.sqrt(left * right) || 1);
}
