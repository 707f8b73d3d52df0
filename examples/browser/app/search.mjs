// Semantic search over notes that stay on this device.

import { cosine } from "./lib/encode.mjs";

const KEY = "notes";
const EXAMPLES = [
  "The spare key is with the neighbours on the second floor.",
  "Dentist on Thursday at half past ten, bring the insurance card.",
  "Grandma's plum cake: 500 g flour, a cube of yeast, two kilos of plums.",
  "The washing machine's filter is behind the small flap, clean it monthly.",
  "Wi-Fi at the cabin only reaches the kitchen table.",
  "Ideas for Mia's birthday: climbing hall, puppet theatre, boat trip.",
  "Winter tyres are stored at the garage near the station.",
  "Train to Lyon leaves from platform nine, seats 61 and 62.",
  "The landlord wants the rent on the first, not the third.",
  "Allergic to penicillin, blood group 0 negative.",
  "Tomatoes want sun and water in the morning, never on the leaves.",
  "Return the borrowed drill before the weekend.",
];

const $ = (id) => document.getElementById(id);

export async function searchView(model, { maxLength }) {
  const vectors = new Map();
  const vector = async (text) => {
    if (!vectors.has(text)) vectors.set(text, await model.run(text));
    return vectors.get(text);
  };
  let notes = load();
  let asked = 0;

  async function refresh() {
    const turn = ++asked;
    const query = $("query").value.trim();
    if (!query) return show(notes.map((text) => ({ text })), `${notes.length} notes, none leaves this device`);
    const began = performance.now();
    const { outputs, truncated } = await model.run(query);
    const scored = [];
    for (const text of notes) {
      const score = cosine(outputs.sentence_embedding, (await vector(text)).outputs.sentence_embedding);
      scored.push({ text, score });
    }
    if (turn !== asked) return; // somebody has typed on
    scored.sort((one, other) => other.score - one.score);
    const cut = truncated ? `; only the first ${maxLength} tokens were read` : "";
    show(scored, `By meaning, in ${Math.round(performance.now() - began)} ms${cut}`);
  }

  function show(found, hint) {
    $("hint").textContent = hint;
    $("notes").replaceChildren(...found.map(item));
  }

  function item({ text, score }, place) {
    const row = document.createElement("li");
    row.className = score !== undefined && place === 0 ? "note best" : "note";
    const said = document.createElement("span");
    said.textContent = text;
    row.append(said);
    if (score === undefined) row.append(remover(text));
    else row.append(Object.assign(document.createElement("span"), { className: "score", textContent: `${Math.max(0, Math.round(score * 100))} %` }));
    return row;
  }

  function remover(text) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    button.setAttribute("aria-label", `Remove: ${text}`);
    button.onclick = () => change(notes.filter((note) => note !== text));
    return button;
  }

  function change(next) {
    notes = next;
    localStorage.setItem(KEY, JSON.stringify(notes));
    return refresh();
  }

  $("query").oninput = () => refresh();
  $("add").onsubmit = (event) => {
    event.preventDefault();
    const text = $("note").value.trim();
    if (!text) return;
    $("note").value = "";
    change([text, ...notes.filter((note) => note !== text)]);
  };
  $("search").hidden = false;
  await refresh();
}

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (Array.isArray(kept)) return kept.filter((note) => typeof note === "string");
  } catch {
    // Not ours: begin with the examples.
  }
  return EXAMPLES;
}
