#!/usr/bin/env node
// node answer.mjs [--graph NAME] BUNDLE TEXT...    answers for people
// node answer.mjs [--graph NAME] BUNDLE            questions on stdin, answers on stdout, as JSON lines

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { classify, cosine } from "./src/encode.mjs";
import { BundleError } from "./src/manifest.mjs";
import { Model } from "./src/model.mjs";

/** Prints answers to texts: labels and scores, or how alike the texts are. */
async function show(model, texts) {
  const { task, settings } = model.manifest;
  const answers = [];
  for (const text of texts) {
    const answer = await model.run(text);
    answers.push(answer);
    if (answer.truncated) {
      console.error(`warning: ${answer.truncated} tokens over the model's ${model.maxLength} were cut off`);
    }
    if (task === "text-classification") {
      const [best] = classify(answer.outputs.logits, settings);
      console.log(`${best.label}  ${best.score.toFixed(4)}  ${text}`);
    }
  }
  if (task !== "sentence-embedding") return;
  const vectors = answers.map((answer) => answer.outputs.sentence_embedding);
  vectors.forEach((one, index) => {
    const row = vectors.map((other) => cosine(one, other).toFixed(3).padStart(6));
    console.log(`${row.join(" ")}  ${texts[index]}`);
  });
}

/** Answers JSON lines, one for one; a line that cannot be answered does not end the program. */
async function serve(model, input, output) {
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (!line.trim()) continue;
    let told;
    try {
      const question = JSON.parse(line);
      if (typeof question.text !== "string") throw new Error("a question needs a text");
      const { ids, truncated, outputs } = await model.run(question.text, question.pair);
      const lists = Object.entries(outputs).map(([name, data]) => [name, Array.from(data)]);
      told = { ids, truncated, outputs: Object.fromEntries(lists) };
    } catch (error) {
      told = { error: error.message };
    }
    output.write(`${JSON.stringify(told)}\n`);
  }
}

const USAGE = "usage: node answer.mjs [--graph NAME] BUNDLE [TEXT...]";

function args() {
  try {
    const { values, positionals } = parseArgs({ options: { graph: { type: "string" } }, allowPositionals: true });
    if (positionals.length) return { graph: values.graph, place: positionals[0], texts: positionals.slice(1) };
  } catch (error) {
    throw new BundleError(`${error.message}; ${USAGE}`);
  }
  throw new BundleError(USAGE);
}

try {
  const { graph, place, texts } = args();
  const model = await Model.open(place, { graph });
  await (texts.length ? show(model, texts) : serve(model, process.stdin, process.stdout));
} catch (error) {
  // What is wrong with a bundle is the user's to know; anything else is a bug, with its trace.
  console.error(error instanceof BundleError ? `error: ${error.message}` : error);
  process.exitCode = 1;
}
