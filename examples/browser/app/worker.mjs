// The model, in a thread of its own so that the page never waits.

import * as ort from "./lib/ort.wasm.min.mjs";
import { Encoder, feeds } from "./lib/encode.mjs";
import { BundleError } from "./lib/manifest.mjs";
import { openBundle } from "./store.mjs";

ort.env.wasm.wasmPaths = new URL("./lib/", import.meta.url).href;
// Threads share memory, which browsers allow to isolated pages only (COOP and COEP).
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

let encoder;
let session;

async function open() {
  const began = performance.now();
  const bundle = await openBundle((done, total) => postMessage({ kind: "progress", done, total }));
  postMessage({ kind: "progress", done: 0, total: 0 });
  encoder = new Encoder(bundle.tokenizerJson, bundle.manifest);
  session = await ort.InferenceSession.create(bundle.model, { executionProviders: ["wasm"] });
  const { task, settings, source, stamp } = bundle.manifest;
  postMessage({
    kind: "ready",
    task,
    settings,
    stamp,
    name: source.name,
    golden: bundle.golden,
    graph: bundle.graph.name,
    parity: bundle.graph.parity,
    maxLength: encoder.maxLength,
    threads: ort.env.wasm.numThreads,
    ms: performance.now() - began,
  });
}

async function answer({ text, pair }) {
  const began = performance.now();
  const row = encoder.encode(text, pair);
  const results = await session.run(feeds(ort.Tensor, row, encoder.inputs));
  const outputs = Object.entries(results).map(([name, tensor]) => [name, tensor.data]);
  const { ids, truncated } = row;
  return { ids, truncated, outputs: Object.fromEntries(outputs), ms: performance.now() - began };
}

// One after the other: a session runs one text at a time.
let queue = open().catch((error) => {
  const told = error instanceof BundleError ? error.message : `the model cannot be opened: ${error.message}`;
  postMessage({ kind: "failed", message: told });
  throw error;
});
queue.catch(() => {});

onmessage = ({ data: { number, question } }) => {
  const next = queue.then(() => answer(question));
  next.then(
    (result) => postMessage({ kind: "answer", number, result }),
    (error) => postMessage({ kind: "answer", number, error: error.message }),
  );
  queue = next.catch(() => {});
};
