// What is chosen. It stands in the address behind `#`, so that a view can be handed on and found again.

const ORDER = "order"; // of the test split
const DEFAULTS = { q: "", slice: "", sort: ORDER, up: false, of: study.pair[0], against: study.pair[1], only: false, output: "greedy", draw: 0, seed: "", where: [], id: "" };
const SORTS = new Set([ORDER, CHANGED, DIFFERENCE, ...columns.keys()]);
const SIGNS = new Set(["ge", "le"]);
const trainings = [...new Set(study.systems.flatMap((system) => system.runs.map((run) => run.seed)))].filter(Boolean);
const draws = [...new Set(study.systems.flatMap((system) => system.runs.filter((run) => run.output === "sample").map((run) => run.draw)))].sort((a, b) => a - b);

/** Read the state from the address; what is none of this study is left out. */
function readState() {
  const given = new URLSearchParams(location.hash.slice(1)), found = { ...DEFAULTS, where: [] };
  const take = (key, allowed) => { if (given.has(key) && allowed(given.get(key))) found[key] = given.get(key); };
  for (const key of ["q", "slice", "id"]) take(key, () => true);
  take("sort", (name) => SORTS.has(name));
  for (const key of ["of", "against"]) take(key, (name) => systems.has(name));
  take("seed", (name) => trainings.includes(name));
  for (const key of ["up", "only"]) found[key] = given.get(key) === "1";
  const sample = /^sample-(\d+)$/.exec(given.get("output") ?? "");
  if (sample && draws.includes(Number(sample[1]) - 1)) Object.assign(found, { output: "sample", draw: Number(sample[1]) - 1 });
  for (const text of given.getAll("where")) {
    const parts = text.split("~"), condition = { key: parts[0], system: parts.slice(1, -2).join("~"), sign: parts.at(-2), bound: parts.at(-1) };
    if (SORTS.has(condition.key) && condition.key !== ORDER && SIGNS.has(condition.sign) && (!isOfSystem(condition.key) || systems.has(condition.system))) found.where.push(condition);
  }
  return found;
}

function outputName(state) {
  return state.output === "sample" ? `sample-${state.draw + 1}` : "greedy";
}

let writing = 0;

/** Write the state into the address, a moment later: browsers refuse hundreds of changes a minute, which a held key makes. */
function writeState(state) {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const kept = new URLSearchParams();
    for (const key of ["q", "slice", "sort", "of", "against", "seed", "id"]) if (state[key] !== DEFAULTS[key]) kept.set(key, state[key]);
    for (const key of ["up", "only"]) if (state[key]) kept.set(key, "1");
    if (state.output === "sample") kept.set("output", outputName(state));
    for (const { key, system, sign, bound } of state.where) if (bound !== "") kept.append("where", [key, isOfSystem(key) ? system : "", sign, bound].join("~"));
    history.replaceState(null, "", `#${kept}`);
  }, 200);
}

const haystacks = new Map();

/** All that can be found in a dialogue: its id, its tags and every text that is shown. */
function haystackOf(place, state) {
  const name = `${state.seed} ${outputName(state)}`;
  if (!haystacks.has(name)) haystacks.set(name, []);
  const dialogue = study.dialogues[place];
  return (haystacks.get(name)[place] ??= folded([dialogue.id, ...dialogue.tags, dialogue.source, ...study.systems.flatMap((system) => shownRuns(system.name, state).map((run) => run.texts[place] ?? ""))].join("\n")));
}

/** The places of the dialogues that are left, in the order asked for; those without a value come last. */
function placesOf(state) {
  const words = wordsOfSearch(state.q);
  const conditions = state.where.filter((one) => one.bound !== "" && Number.isFinite(Number(one.bound))).map((one) => ({ ...one, values: valuesOf(one.key, one.system, state), bound: Number(one.bound), ...scaleOf(one.key) }));
  const places = study.dialogues.flatMap((dialogue, place) => {
    if (state.slice && !dialogue.tags.includes(state.slice)) return [];
    for (const { values, sign, bound, factor, decimals } of conditions) {
      // As it is printed: who reads 52.3 and asks for 52.3 at least means that one too.
      const value = values[place] === null ? null : Number((values[place] * factor).toFixed(decimals));
      if (value === null || (sign === "ge" ? value < bound : value > bound)) return [];
    }
    if (!words.length) return [place];
    const haystack = haystackOf(place, state);
    return words.every((word) => haystack.includes(word)) ? [place] : [];
  });
  if (state.sort === ORDER) return state.up ? places.reverse() : places;
  const values = valuesOf(state.sort, state.of, state), side = state.up ? 1 : -1;
  return places.sort((a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
    return side * (values[a] - values[b]) || a - b;
  });
}

function scaleOf(key) {
  const { factor, decimals } = unitsOf(key);
  return { factor, decimals };
}
