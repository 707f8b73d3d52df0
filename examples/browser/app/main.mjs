// The page: one view for each task that it knows, chosen by what the bundle says it is.

import { Model, prove } from "./model.mjs";
import { searchView } from "./search.mjs";
import { classifyView } from "./classify.mjs";
import { abandon, adopt, isAdopted } from "./store.mjs";

const VIEWS = { "sentence-embedding": searchView, "text-classification": classifyView };
const $ = (id) => document.getElementById(id);

if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js");
// Without this the browser may drop 90 MB of model when it wants the space.
navigator.storage?.persist?.();

const model = new Model((done, total) => {
  if (!total) {
    $("bar").removeAttribute("value");
    $("loaded").textContent = "Starting the model…";
    return;
  }
  $("bar").max = total;
  $("bar").value = done;
  $("loaded").textContent = `Fetching the model: ${megabytes(done)} of ${megabytes(total)} MB. This happens once.`;
});

try {
  const info = await model.ready;
  const view = VIEWS[info.task];
  if (!view) throw new Error(`this app shows no ${info.task}: see VIEWS in main.mjs`);
  $("loading").hidden = true;
  say(info);
  addEventListener("online", () => say(info));
  addEventListener("offline", () => say(info));
  await view(model, info);
  $("prove").hidden = false;
  $("prove").onclick = () => check(info);
} catch (error) {
  $("loading").hidden = true;
  $("failed").hidden = false;
  $("reason").textContent = `${error.message}.`;
  $("status").textContent = "Not ready";
  $("retry").onclick = () => location.reload();
}
$("back").hidden = !(await isAdopted());
$("back").onclick = () => abandon().then(() => location.reload());
$("open").onchange = ({ target }) => open(target.files[0]);
document.documentElement.dataset.settled = "";

function say({ name, graph, threads }) {
  const network = navigator.onLine ? "Ready, works offline" : "Ready, offline";
  $("status").textContent = `${network} · ${threads} ${threads === 1 ? "thread" : "threads"}`;
  $("status").title = `${name}, ${graph}`;
}

/** Takes a bundle from this device in place of the one that runs. */
async function open(file) {
  if (!file) return;
  $("proof").className = "";
  $("proof").textContent = `Reading ${file.name}…`;
  try {
    await adopt(file);
    location.reload();
  } catch (error) {
    $("proof").className = "bad";
    $("proof").textContent = `${error.message}.`;
  }
  $("open").value = ""; // so that the same file can be tried again
}

async function check(info) {
  $("prove").disabled = true;
  $("proof").className = "";
  $("proof").textContent = "Checking…";
  const { asked, right, error } = await prove(model, info);
  $("proof").className = right === asked ? "good" : "bad";
  $("proof").textContent = `${right} of ${asked} golden answers right, largest error ${error.toExponential(1)}`;
  $("prove").disabled = false;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(0);
}

// For whoever drives the page: the tests, and edge-tx conformance through test/answer.mjs.
globalThis.edgeTx = { model, prove: async () => prove(model, await model.ready) };
