// Labels of a text, while it is written.

import { classify } from "./lib/encode.mjs";

const $ = (id) => document.getElementById(id);

export async function classifyView(model, { settings, maxLength }) {
  let asked = 0;

  async function refresh() {
    const turn = ++asked;
    const text = $("text").value;
    if (!text.trim()) {
      $("verdict").textContent = "Nothing you write leaves this device";
      $("labels").replaceChildren();
      return;
    }
    const { outputs, truncated, ms } = await model.run(text);
    if (turn !== asked) return; // somebody has typed on
    const cut = truncated ? `; only the first ${maxLength} tokens were read` : "";
    $("verdict").textContent = `In ${Math.round(ms)} ms${cut}`;
    $("labels").replaceChildren(...classify(outputs.logits, settings).map(item));
  }

  function item({ label, score }, place) {
    const row = document.createElement("li");
    row.className = place === 0 ? "label best" : "label";
    const track = document.createElement("span");
    const fill = document.createElement("span");
    track.className = "track";
    fill.className = "fill";
    fill.style.transform = `scaleX(${Math.max(0, Math.min(1, score))})`;
    track.append(fill);
    const shown = settings.problem_type === "regression" ? score.toFixed(3) : `${(100 * score).toFixed(1)} %`;
    for (const [name, text] of [["name", label], ["score", shown]]) {
      row.append(Object.assign(document.createElement("span"), { className: name, textContent: text }));
    }
    row.append(track);
    return row;
  }

  document.title = $("title").textContent = "Pocket Classifier";
  $("text").oninput = () => refresh();
  $("classify").hidden = false;
  await refresh();
}
