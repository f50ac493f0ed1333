// One dialogue: what was said, its references, and what each system wrote of it, with scores.

const article = document.getElementById("dialogue");
let tableOpen = false;

function showNothing() {
  article.replaceChildren(make("p", "empty", "No @dialogue@ is left. Change the search, the slice or a condition."));
}

function showDialogue(place, state) {
  const dialogue = study.dialogues[place], texts = make("div", "texts"), said = make("div", "said");
  const title = make("h2");
  title.append(make("bdi", "", dialogue.id));
  const facts = make("p", "facts");
  for (const tag of dialogue.tags) facts.append(make("bdi", "tag", tag));
  for (const column of study.columns.filter((one) => one.of === "dialogue")) {
    const value = study.of_dialogues[column.key][place];
    if (value !== null) facts.append(scoreOf(column.key, value));
  }
  said.tabIndex = 0; // it scrolls by itself beside the summaries, by keys too
  said.setAttribute("role", "region");
  said.setAttribute("aria-label", "What was said");
  said.append(turnsOf(dialogue.source));
  const names = [...systems.keys()].filter((name) => name !== HUMAN), pair = (name) => name === state.of || name === state.against;
  const summariesOf = (some) => some.flatMap((name) => summaryOf(name, place, state));
  texts.append(legendOf(state), ...summariesOf(names.filter(pair)), ...referencesOf(place, state));
  if (!state.only) texts.append(...summariesOf(names.filter((name) => !pair(name))));
  article.replaceChildren(title, facts, said, texts, tableOf(place, state));
  highlight(state);
}

/** The turns, their speakers set off where a line begins with a short name. */
function turnsOf(source) {
  const turns = make("ol", "turns");
  for (const line of source.split("\n").filter((one) => one.trim())) {
    const turn = make("li"), parts = /^([^:：]{1,40}[:：])(\s.*|)$/su.exec(line);
    turn.dir = "auto";
    turn.dataset.searched = "";
    if (parts) turn.append(make("b", "speaker", parts[1]), parts[2]);
    else turn.textContent = line;
    turns.append(turn);
  }
  return turns;
}

function legendOf(state) {
  const legend = make("p", "legend");
  if (state.of === state.against) { legend.textContent = "A system is held against itself: nothing is marked."; return legend; }
  const name = (system) => make("bdi", "", system === HUMAN ? "the nearest reference" : system);
  legend.append(make("mark", "", "marked"), " is not in ", name(state.against), " · ", make("mark", "lost", "underlined"), " is in ", name(state.against), " and not in ", name(state.of));
  return legend;
}

/** The texts that a system wrote of a dialogue, as they are shown: several of `human` alone. */
function textsOf(name, place, state) {
  return shownRuns(name, state).flatMap((run) => (run.texts[place] === null ? [] : [run.texts[place]]));
}

function referencesOf(place, state) {
  const { references } = study.dialogues[place], runs = systems.get(HUMAN).runs;
  const read = textsOf(state.of, place, state);
  return references.map((text, number) => {
    const card = cardOf(references.length > 1 ? `reference ${number + 1}` : "reference", "reference");
    card.dataset.system = HUMAN;
    if (state.against === HUMAN) card.classList.add("against");
    card.firstChild.append(scoresOf(runs[number].scores, place, null, [study.primary, LENGTH]));
    card.append(textOf(text, state.against === HUMAN && state.of !== HUMAN ? read : null, "lost"));
    return card;
  });
}

function summaryOf(name, place, state) {
  const run = shownRuns(name, state)[0], text = run.texts[place];
  if (text === null) return [];
  const card = cardOf(name, name === state.of ? "read" : name === state.against ? "against" : ""), head = card.firstChild;
  card.dataset.system = name;
  if (run.seed && systems.get(name).runs.some((one) => one.seed !== run.seed)) head.append(make("span", "flag", `seed ${run.seed}`));
  if (state.output === "sample" || run.output === "sample") head.append(make("span", "flag", run.output === "sample" ? `sample ${run.draw + 1}` : "greedy"));
  if (run.cut.includes(place)) head.append(make("span", "flag warning", "cut at the token limit"));
  if (run.source_cut.includes(place)) head.append(make("span", "flag warning", "read only the start of the @dialogue@"));
  if (name !== state.against && textsOf(state.against, place, state).includes(text)) head.append(make("span", "flag", "the same text"));
  const other = name === state.against ? null : valuesOf(study.primary, state.against, state)[place];
  head.append(scoresOf(run.scores, place, run.output === "greedy" ? other : null));
  const isOther = name === state.against, against = isOther ? state.of : state.against;
  card.append(textOf(text, name === against ? null : textsOf(against, place, state), isOther ? "lost" : ""));
  return [card];
}

let cards = 0;

function cardOf(name, kind) {
  const card = make("section", `card ${kind}`), head = make("header"), title = make("h3");
  title.id = `card-${++cards}`;
  title.append(make("bdi", "", name));
  card.setAttribute("aria-labelledby", title.id);
  head.append(title);
  card.append(head);
  return card;
}

/** The main scores of one text, or those of `keys`; `other` is the primary score that it is held against, or null. */
function scoresOf(scores, place, other, keys = null) {
  const found = make("ul", "scores");
  for (const { key, main } of study.columns) {
    const value = (keys ? keys.includes(key) : main) && Object.hasOwn(scores, key) ? scores[key][place] : null;
    if (value === null) continue;
    const item = make("li");
    item.append(scoreOf(key, value));
    if (key === study.primary && other !== null) item.append(" ", make("span", `difference ${sideOf(key, value - other)}`, printed(key, value - other, true)));
    found.append(item);
  }
  return found;
}

function scoreOf(key, value) {
  const { title, unit } = columns.get(key), score = make("span", "score", `${title} `);
  score.append(make("b", "", printed(key, value)), unit);
  return score;
}

/** A text, its words marked that are not in the nearest of `others`; as it is where that is null. */
function textOf(text, others, mark = "") {
  const paragraph = make("p", "text");
  paragraph.dir = "auto";
  paragraph.dataset.searched = "";
  if (!text.trim()) paragraph.append(make("span", "empty", "nothing was written"));
  else if (others === null || !others.length) paragraph.textContent = text;
  else for (const [run, differs] of compared(text, others)) paragraph.append(differs ? make("mark", mark, run) : run);
  return paragraph;
}

/** Every score of the dialogue, a column a system; filled when it is unfolded. */
function tableOf(place, state) {
  const all = make("details", "all"), scroll = make("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "All scores of this @dialogue@");
  all.append(make("summary", "", "All scores of this @dialogue@"), scroll);
  const fill = () => {
    const names = [...systems.keys()], body = [];
    for (const { key, of } of study.columns.filter((one) => one.of !== "dialogue")) {
      const values = names.map((name) => valuesOf(key, name, state)[place]);
      if (values.some((value) => value !== null)) body.push([titleOf(key), ...values.map((value) => printed(key, value))]);
    }
    scroll.replaceChildren(tableFrom(["", ...names], body));
  };
  all.open = tableOpen;
  if (tableOpen) fill();
  all.addEventListener("toggle", () => { tableOpen = all.open; if (all.open && !scroll.firstChild) fill(); });
  return all;
}

function tableFrom(titles, body) {
  const table = make("table"), head = make("thead"), line = make("tr"), lines = make("tbody");
  titles.forEach((title, number) => {
    const cell = make(number ? "th" : "td");
    if (number) cell.scope = "col";
    cell.append(make("bdi", "", title));
    line.append(cell);
  });
  head.append(line);
  for (const [title, ...values] of body) {
    const row = make("tr"), name = make("th");
    name.scope = "row";
    name.append(make("bdi", "", title));
    row.append(name, ...values.map((value) => make("td", "", value)));
    lines.append(row);
  }
  table.append(head, lines);
  return table;
}

/** Set off what was searched for, by ranges: the texts and their marks stay as they are. */
function highlight(state) {
  if (!("highlights" in CSS)) return;
  const ranges = rangesOf(article, wordsOfSearch(state.q));
  article.dataset.hits = ranges.length;
  CSS.highlights.set("found", new Highlight(...ranges));
}
