// The model, in a thread of its own so that the page never waits. A classic worker and not a module:
// LiteRT.js loads its code by importScripts.

let encoder;
let run;

async function open() {
  const began = performance.now();
  const [{ Encoder }, { openBundle }, { openGraph }] = await Promise.all([
    import("./lib/encode.mjs"),
    import("./store.mjs"),
    import("./lib/runtime.mjs"),
  ]);
  const { manifest, graph, model, tokenizerJson, golden } = await openBundle((done, total) =>
    postMessage({ kind: "progress", done, total }),
  );
  postMessage({ kind: "progress", done: 0, total: 0 });
  encoder = new Encoder(tokenizerJson, manifest);
  // Threads share memory, which browsers allow to isolated pages only (COOP and COEP).
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  run = await openGraph(model, graph, manifest.tokenizer, threads);
  const { task, settings, source, stamp } = manifest;
  postMessage({
    kind: "ready",
    task,
    settings,
    stamp,
    name: source.name,
    golden,
    graph: graph.name,
    parity: graph.parity,
    maxLength: encoder.maxLength,
    threads,
    ms: performance.now() - began,
  });
}

async function answer({ text, pair }) {
  const began = performance.now();
  const row = encoder.encode(text, pair);
  const outputs = await run(row);
  return { ids: row.ids, truncated: row.truncated, outputs, ms: performance.now() - began };
}

// One after the other: a session runs one text at a time.
let queue = open().catch((error) => {
  const told = error.name === "BundleError" ? error.message : `the model cannot be opened: ${error.message}`;
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
