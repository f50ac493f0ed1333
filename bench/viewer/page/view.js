// The page: its fields, its keys, and what follows from a change.

const at = (id) => document.getElementById(id);
let state = readState(), places = [], current = -1;

/** Show the state anew: the list too where the choice of dialogues or their order may be another. */
function refresh(again = true) {
  if (again) places = placesOf(state);
  current = places.findIndex((place) => study.dialogues[place].id === state.id);
  if (current < 0 && places.length) current = 0;
  showList(places, current, state);
  if (current < 0) showNothing();
  else showDialogue(places[current], state);
  at("count").textContent = `${places.length} of ${study.dialogues.length} @dialogues@`;
  const key = rowColumn(state), name = (system) => make("bdi", "", system);
  at("shown").replaceChildren(titleOf(key), ...(isOfSystem(key) ? [" of ", name(state.of)] : []), ...(state.of === state.against ? [] : [", ± ", titleOf(study.primary), " against ", name(state.against)]));
  at("position").textContent = `${current + 1} of ${places.length}`;
  at("previous").disabled = current <= 0;
  at("next").disabled = current >= places.length - 1;
  writeState(state);
}

function go(number) {
  if (!places.length) return;
  state.id = study.dialogues[places[Math.min(Math.max(number, 0), places.length - 1)]].id;
  refresh(false);
  const top = at("pair").getBoundingClientRect().top;
  if (top <= 0) scrollBy(0, document.querySelector(".reading").getBoundingClientRect().top);
}

function optionsOf(groups) {
  return groups.filter(([, entries]) => entries.length).flatMap(([title, entries]) => {
    const options = entries.map(([value, text]) => { const option = make("option", "", text); option.value = value; return option; });
    if (!title) return options;
    const group = make("optgroup");
    group.label = title;
    group.append(...options);
    return [group];
  });
}

/** The columns as a field offers them, in groups. */
function columnGroups() {
  const some = (of) => study.columns.filter((column) => of.includes(column.of)).map((column) => [column.key, titleOf(column.key)]);
  return [
    [`${titleOf(study.primary)}, read − against`, [[CHANGED, titleOf(CHANGED)], [DIFFERENCE, titleOf(DIFFERENCE)]]],
    ["Each system", some(["greedy", "summary"])],
    ["Samples of each system", some(["sample"])],
    ["The @dialogue@", some(["dialogue"])],
  ];
}

function systemGroups() {
  return [["", [...systems.keys()].map((name) => [name, name])]];
}

/** Fill the fields that never change. */
function prepare() {
  document.title = `${study.study}: what each system wrote`;
  at("study").textContent = study.study;
  at("size").textContent = `what each system wrote of ${study.dialogues.length} @dialogues@`;
  at("about").textContent = study.about;
  const { systems: names, rows: lines } = study.front;
  at("front").replaceWith(Object.assign(tableFrom(["", ...names], lines.map((line) => [line.title, ...line.values])), { id: "front" }));
  at("front").setAttribute("aria-describedby", "front-note");
  at("front-note").textContent = `Means over @dialogues@ with ${study.confidence} intervals, as in the report.`;
  at("sort").append(...optionsOf([["", [[ORDER, "Test split’s order"]]], ...columnGroups()]));
  at("slice").append(...optionsOf([["", [["", "All @dialogues@"]]], ["Slices of the report", study.slices.map((tag) => [tag, tag])], ["Other tags", study.tags.map((tag) => [tag, tag])]]));
  for (const id of ["of", "against"]) at(id).append(...optionsOf(systemGroups()));
  at("output").append(...optionsOf([["", [["greedy", "greedy"], ...draws.map((draw) => [`sample-${draw + 1}`, `sample ${draw + 1}`])]]]));
  at("seed").append(...optionsOf([["", [["", "first"], ...trainings.map((seed) => [seed, `seed ${seed}`])]]]));
  at("slices").hidden = !study.slices.length && !study.tags.length;
  at("outputs").hidden = !draws.length;
  at("trainings").hidden = !trainings.length;
}

/** Set every field to the state. */
function fillFields() {
  at("search").value = state.q;
  for (const id of ["sort", "slice", "of", "against", "seed"]) at(id).value = state[id];
  at("output").value = outputName(state);
  at("only").checked = state.only;
  const words = state.sort === ORDER ? ["first to last", "last to first"] : ["highest first", "lowest first"];
  at("direction").textContent = state.up ? "↑" : "↓";
  at("direction").setAttribute("aria-label", `${words[Number(state.up)]}; change to ${words[Number(!state.up)]}`);
  at("direction").title = words[Number(state.up)];
}

/** Draw a line of fields for each condition. */
function fillConditions() {
  at("conditions-list").replaceChildren(...state.where.map((condition, number) => {
    const line = make("div", "condition"), label = (text, field) => { field.setAttribute("aria-label", `Condition ${number + 1}: ${text}`); return field; };
    const select = (text, groups, key) => {
      const field = label(text, make("select", key));
      field.append(...optionsOf(groups));
      field.value = condition[key];
      field.addEventListener("input", () => { condition[key] = field.value; system.hidden = !isOfSystem(condition.key); refresh(); });
      return field;
    };
    const column = select("column", columnGroups(), "key"), system = select("of system", systemGroups(), "system");
    const sign = select("side", [["", [["ge", "≥"], ["le", "≤"]]]], "sign");
    const bound = label("number", make("input", "bound")), remove = label("remove", make("button", "remove", "×"));
    Object.assign(bound, { type: "number", step: "any", placeholder: "number", value: condition.bound });
    bound.addEventListener("input", () => { condition.bound = bound.value; refresh(); });
    remove.type = "button";
    remove.addEventListener("click", () => { state.where.splice(number, 1); fillConditions(); refresh(); at("add").focus(); });
    system.hidden = !isOfSystem(condition.key);
    line.append(column, system, sign, bound, remove);
    return line;
  }));
}

function listen() {
  const change = (id, event, set) => at(id).addEventListener(event, () => { set(at(id)); fillFields(); refresh(); });
  for (const id of ["sort", "slice", "of", "against", "seed"]) change(id, "input", (field) => { state[id] = field.value; });
  change("search", "input", (field) => { state.q = field.value; });
  change("only", "input", (field) => { state.only = field.checked; });
  change("output", "input", (field) => {
    const draw = Number(field.value.replace("sample-", "")) - 1;
    Object.assign(state, field.value === "greedy" ? { output: "greedy", draw: 0 } : { output: "sample", draw });
  });
  change("direction", "click", () => { state.up = !state.up; });
  at("add").addEventListener("click", () => {
    state.where.push({ key: study.primary, system: state.of, sign: "ge", bound: "" });
    fillConditions();
    at("conditions-list").lastChild.querySelector("select").focus();
  });
  at("reset").addEventListener("click", () => { state = { ...DEFAULTS, where: [], id: state.id }; fillFields(); fillConditions(); refresh(); });
  for (const id of ["tools", "pair"]) at(id).addEventListener("submit", (event) => event.preventDefault());
  at("previous").addEventListener("click", () => go(current - 1));
  at("next").addEventListener("click", () => go(current + 1));
  at("skip").addEventListener("click", (event) => { event.preventDefault(); article.focus(); });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    go(Number(row.dataset.number));
    if (matchMedia("(max-width: 760px)").matches) document.querySelector(".reading").scrollIntoView(); // which is below the list
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 1);
    const to = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + page, PageUp: current - page, Home: 0, End: places.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  addEventListener("hashchange", () => { state = readState(); fillFields(); fillConditions(); refresh(); });
  addEventListener("keydown", onKey);
  // The dialogue stays in sight below this bar, which takes a second line where it is narrow.
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${at("pair").offsetHeight}px`)).observe(at("pair"));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const field = event.target.closest("input, select, textarea");
  if (event.key === "Escape") document.activeElement.blur();
  else if (field) return;
  else if (event.key === "j" || event.key === "k") go(current + (event.key === "j" ? 1 : -1));
  else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && !event.target.closest(".scroll")) go(current + (event.key === "ArrowRight" ? 1 : -1));
  else if (event.key === "c") {
    const names = [...systems.keys()].filter((name) => name !== state.of);
    state.against = names[(names.indexOf(state.against) + 1) % names.length] ?? state.against;
    fillFields();
    refresh();
  } else if (event.key === "/") {
    event.preventDefault();
    at("search").focus();
  }
}

prepare();
fillFields();
fillConditions();
listen();
refresh();
document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds since the page was asked for
