"use strict";
// Everything is put in as text: what a dialogue or a model wrote is never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const systems = data.systems, columns = data.columns, CHANGED = "changed most", ID = "the test split's order";
const DEFAULTS = { q: "", slice: "", against: data.against, sort: ID, of: systems[0], up: "", where: "", whose: systems[0], sign: "ge", bound: "", id: "" };
let state = read(), shown = [];

function read() {
  const given = new URLSearchParams(location.hash.slice(1)), found = { ...DEFAULTS };
  for (const key of Object.keys(found)) if (given.has(key)) found[key] = given.get(key);
  return found;
}

function write() {
  const kept = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (name) element.className = name;
  return element;
}

function scoreOf(dialogue, system, column) {
  const place = columns.findIndex((one) => one.key === column), outputs = dialogue.outputs[systems.indexOf(system)];
  return outputs && place >= 0 ? outputs.scores[place] : null;
}

function printed(column, value) {
  return value === null || value === undefined ? "–" : (value * column.factor).toFixed(column.decimals);
}

/** How far the primary score of `of` lies from that of the system it is compared with; null where one has none. */
function change(dialogue) {
  const [one, other] = [state.of, state.against].map((system) => scoreOf(dialogue, system, data.primary));
  return one === null || other === null ? null : one - other;
}

function sortValue(dialogue) {
  if (state.sort === ID) return null;
  return state.sort === CHANGED ? change(dialogue) : scoreOf(dialogue, state.of, state.sort);
}

function contains(dialogue, words) {
  dialogue.haystack ??= [dialogue.id, dialogue.source, ...dialogue.references, ...dialogue.outputs.filter(Boolean).map((one) => one.text)].join("\n").toLowerCase();
  return words.every((word) => dialogue.haystack.includes(word));
}

function choose() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean), bound = state.bound === "" ? null : Number(state.bound);
  const column = columns.find((one) => one.key === state.where);
  shown = data.dialogues.filter((dialogue) => {
    if (state.slice && !dialogue.tags.includes(state.slice)) return false;
    if (column && bound !== null) {
      const value = scoreOf(dialogue, state.whose, column.key);
      if (value === null || (state.sign === "ge" ? value * column.factor < bound : value * column.factor > bound)) return false;
    }
    return contains(dialogue, words);
  });
  if (state.sort === ID) return;
  const size = (value) => (state.sort === CHANGED ? Math.abs(value) : value);
  const keyed = shown.map((dialogue) => ({ dialogue, value: sortValue(dialogue) }));
  const known = keyed.filter((one) => one.value !== null).sort((a, b) => size(b.value) - size(a.value));
  if (state.up) known.reverse();
  shown = [...known, ...keyed.filter((one) => one.value === null)].map((one) => one.dialogue);
}

function list() {
  const rows = document.createDocumentFragment(), column = columns.find((one) => one.key === (state.sort === CHANGED ? data.primary : state.sort));
  for (const dialogue of shown) {
    const row = make("li"), button = make("button"), name = make("span", dialogue.id);
    button.type = "button";
    button.dataset.id = dialogue.id;
    if (dialogue.tags.length) name.append(make("span", ` ${dialogue.tags.join(", ")}`, "tags"));
    button.append(name);
    const value = sortValue(dialogue);
    if (column && value !== null) button.append(make("span", (state.sort === CHANGED && value > 0 ? "+" : "") + printed(column, value), "value"));
    row.append(button);
    rows.append(row);
  }
  at("list").replaceChildren(rows);
  at("count").textContent = `${shown.length} of ${data.dialogues.length} dialogues`;
}

/** The words of `text` that are in no longest common subsequence with `base`, as [word or gap, differs] (Hunt & Szymanski's problem, by rows). */
function compared(text, base) {
  const split = (given) => given.match(/\s+|[^\s]+/gu) ?? [], bare = (word) => word.toLowerCase().replace(/^[^\p{L}\p{N}#]+|[^\p{L}\p{N}#]+$/gu, "") || word;
  const tokens = split(text), places = tokens.flatMap((token, place) => (token.trim() ? [place] : []));
  const own = places.map((place) => bare(tokens[place])), other = split(base).filter((token) => token.trim()).map(bare);
  const table = Array.from({ length: own.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = own.length - 1; i >= 0; i--)
    for (let j = other.length - 1; j >= 0; j--) table[i][j] = own[i] === other[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const differs = new Set(places);
  for (let i = 0, j = 0; i < own.length && j < other.length; )
    if (own[i] === other[j]) { differs.delete(places[i]); i++; j++; } else if (table[i + 1][j] >= table[i][j + 1]) i++; else j++;
  return tokens.map((token, place) => [token, differs.has(place)]);
}

function textOf(text, base) {
  const paragraph = make("p", "", "text");
  paragraph.dir = "auto";
  if (!text.trim()) { paragraph.append(make("span", "nothing was written", "empty")); return paragraph; }
  if (base === null) { paragraph.textContent = text; return paragraph; }
  for (const [token, differs] of compared(text, base)) paragraph.append(differs ? make("mark", token) : document.createTextNode(token));
  return paragraph;
}

function detail() {
  const article = at("dialogue"), dialogue = shown.find((one) => one.id === state.id) ?? shown[0];
  for (const button of at("list").querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
  if (dialogue) at("list").querySelector(`[data-id="${CSS.escape(dialogue.id)}"]`)?.setAttribute("aria-current", "true");
  if (!dialogue) { article.replaceChildren(make("p", "No dialogue is left; change the search or the filter.", "empty")); return; }
  const parts = [make("h2", dialogue.id)], source = make("div", "", "source");
  if (dialogue.tags.length) parts[0].append(make("span", ` ${dialogue.tags.join(", ")}`, "tag"));
  for (const turn of dialogue.source.split("\n")) { const line = make("p", turn); line.dir = "auto"; source.append(line); }
  parts.push(source);
  dialogue.references.forEach((reference, number) => {
    const box = make("section", "", "reference");
    box.append(make("h3", dialogue.references.length > 1 ? `reference ${number + 1}` : "reference"), textOf(reference, null));
    parts.push(box);
  });
  const chosen = dialogue.outputs[systems.indexOf(state.against)];
  systems.forEach((system, place) => {
    const output = dialogue.outputs[place];
    if (!output) return;
    const box = make("section", "", system === state.against ? "system chosen" : "system"), head = make("header");
    box.dataset.system = system;
    head.append(make("h3", system));
    columns.forEach((column, number) => {
      if (output.scores[number] === null) return;
      const score = make("span", `${column.title} `, "score");
      score.append(make("b", printed(column, output.scores[number])));
      head.append(score);
    });
    box.append(head, textOf(output.text, chosen && system !== state.against ? chosen.text : null));
    parts.push(box);
  });
  article.replaceChildren(...parts);
}

function refresh(everything = true) {
  if (everything) { choose(); list(); }
  detail();
  write();
}

function step(by) {
  const now = Math.max(shown.findIndex((one) => one.id === state.id), 0), next = shown[Math.min(Math.max(now + by, 0), shown.length - 1)];
  if (!next) return;
  state.id = next.id;
  refresh(false);
  at("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function options(id, entries) {
  at(id).replaceChildren(...entries.map(([value, title]) => { const one = make("option", title); one.value = value; return one; }));
}

function controls() {
  at("search").value = state.q;
  at("bound").value = state.bound;
  at("up").checked = Boolean(state.up);
  for (const id of ["slice", "against", "sort", "of", "where", "whose", "sign"]) at(id).value = state[id];
}

function front() {
  const head = make("thead"), line = make("tr"), body = make("tbody");
  for (const title of data.front.titles) line.append(make("th", title));
  head.append(line);
  for (const cells of data.front.rows) {
    const row = make("tr");
    cells.forEach((cell, place) => row.append(make(place ? "td" : "th", cell)));
    body.append(row);
  }
  at("front").replaceChildren(head, body);
}

function start() {
  document.title = `${data.study}: outputs`;
  at("title").textContent = `${data.study}: what each system wrote`;
  at("about").textContent = data.about;
  front();
  const named = systems.map((system) => [system, system]), titled = columns.map((column) => [column.key, column.title]);
  options("slice", [["", "all"], ...data.slices.map((tag) => [tag, tag])]);
  options("against", named);
  options("sort", [[ID, ID], [CHANGED, CHANGED], ...titled]);
  options("of", named);
  options("where", [["", "anything"], ...titled]);
  options("whose", named);
  controls();
  const fields = { search: "q", slice: "slice", against: "against", sort: "sort", of: "of", where: "where", whose: "whose", sign: "sign", bound: "bound" };
  for (const [id, key] of Object.entries(fields)) at(id).addEventListener("input", (event) => { state[key] = event.target.value; refresh(); });
  at("up").addEventListener("input", (event) => { state.up = event.target.checked ? "1" : ""; refresh(); });
  at("reset").addEventListener("click", () => { state = { ...DEFAULTS }; controls(); refresh(); });
  at("tools").addEventListener("submit", (event) => event.preventDefault());
  at("list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) { state.id = button.dataset.id; refresh(false); }
  });
  addEventListener("hashchange", () => { state = read(); controls(); refresh(); });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement.blur(); return; }
    if (event.target.matches("input, select")) return;
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (event.key === "c") { state.against = systems[(systems.indexOf(state.against) + 1) % systems.length]; controls(); refresh(); }
    else if (event.key === "/") { event.preventDefault(); at("search").focus(); }
  });
  refresh();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start();
