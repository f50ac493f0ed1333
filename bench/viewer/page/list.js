// The list of dialogues. Only the rows in sight are in the document, whatever the number of dialogues.

const list = document.getElementById("list"), rows = document.getElementById("rows");
const SPARE = 8; // rows above and below those in sight
let listed = { places: [], at: -1, state: null }, rowHeight = 0, drawing = 0;

/** Make an element with a class and a text. What people and models wrote goes in as text, here as everywhere. */
function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== "") element.textContent = text;
  return element;
}

function showList(places, at, state) {
  listed = { places, at, state };
  if (!rowHeight && places.length) {
    rows.replaceChildren(rowOf(0, []));
    rowHeight = rows.firstChild.getBoundingClientRect().height;
  }
  rows.style.height = `${places.length * rowHeight}px`;
  if (at >= 0) reveal(at);
  drawRows();
}

/** Scroll the list, and nothing else, just so far that a row is in sight. */
function reveal(at) {
  const top = at * rowHeight, bottom = top + rowHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

function drawRows() {
  drawing = 0;
  const { places, at, state } = listed;
  if (!places.length) { rows.replaceChildren(); list.removeAttribute("aria-activedescendant"); return; }
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - SPARE);
  const last = Math.min(places.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + SPARE);
  const key = rowColumn(state);
  const shown = { key, values: valuesOf(key, state.of, state), differences: state.of === state.against ? nothing : valuesOf(DIFFERENCE, "", state) };
  const found = [];
  for (let number = first; number < last; number++) found.push(rowOf(number, shown));
  rows.replaceChildren(...found);
  if (at >= first && at < last) list.setAttribute("aria-activedescendant", `row-${at}`);
  else list.removeAttribute("aria-activedescendant");
}

/** The column whose values stand in the rows, beside the difference of the primary score. */
function rowColumn(state) {
  return [ORDER, CHANGED, DIFFERENCE].includes(state.sort) ? study.primary : state.sort;
}

function rowOf(number, { key, values = nothing, differences = nothing }) {
  const place = listed.places[number], dialogue = study.dialogues[place], row = make("div", "row");
  row.id = `row-${number}`;
  row.dataset.number = number;
  row.dataset.dialogue = dialogue.id;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(number === listed.at));
  row.setAttribute("aria-setsize", listed.places.length);
  row.setAttribute("aria-posinset", number + 1);
  row.style.top = `${number * rowHeight}px`;
  row.append(make("bdi", "id", dialogue.id), make("span", "value", values[place] === null ? "" : printed(key, values[place])));
  row.append(make("bdi", "tags", dialogue.tags.join(", ")));
  const difference = differences[place];
  if (difference !== null) row.append(make("span", `value ${sideOf(study.primary, difference)}`, printed(study.primary, difference, true)));
  return row;
}

list.addEventListener("scroll", () => { drawing ||= requestAnimationFrame(drawRows); }, { passive: true });
addEventListener("resize", () => { drawing ||= requestAnimationFrame(drawRows); });
