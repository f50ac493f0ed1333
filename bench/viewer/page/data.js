// The study as the page holds it, and how a value of it is found and written. A dialogue is known by its place in the test
// split; lists of values and texts are in that order, null where there is none.

const study = JSON.parse(document.getElementById("data").textContent);
const columns = new Map(study.columns.map((column) => [column.key, column]));
const systems = new Map(study.systems.map((system) => [system.name, system]));
const HUMAN = "human"; // its runs are the references, one each
const LENGTH = "summary.words";
// Columns of two systems: how far the primary score of the one that is read lies from that of the other.
const DIFFERENCE = "pair.difference", CHANGED = "pair.changed";
const nothing = study.dialogues.map(() => null);

/** The runs of a system in the chosen training (its first, where it has not that one) and draw. */
function runsOf(system, output, { seed, draw }) {
  const { runs } = systems.get(system);
  const trained = runs.some((run) => run.seed === seed) ? seed : runs[0].seed;
  return runs.filter((run) => run.seed === trained && run.output === output && (output === "greedy" || run.draw === draw));
}

/** The runs whose texts are shown: greedy ones where a system drew no samples. */
function shownRuns(system, state) {
  const sampled = state.output === "sample" ? runsOf(system, "sample", state) : [];
  return sampled.length ? sampled : runsOf(system, "greedy", state);
}

const kept = new Map();

/** The values of a column of one system, by place: the mean over its runs, of which only `human` has several. */
function valuesOf(key, system, state) {
  if (key === DIFFERENCE || key === CHANGED) return differences(key, state);
  if (columns.get(key).of === "dialogue") return study.of_dialogues[key];
  const name = JSON.stringify([key, system, state.seed, state.draw]);
  if (!kept.has(name)) {
    const output = columns.get(key).of === "sample" ? "sample" : "greedy";
    const found = runsOf(system, output, state).flatMap((run) => (Object.hasOwn(run.scores, key) ? [run.scores[key]] : []));
    kept.set(name, found.length > 1 ? nothing.map((_, place) => mean(found.map((values) => values[place]))) : found[0] ?? nothing);
  }
  return kept.get(name);
}

function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

function differences(key, state) {
  const [one, other] = [state.of, state.against].map((system) => valuesOf(study.primary, system, state));
  return one.map((value, place) => {
    if (value === null || other[place] === null) return null;
    return key === CHANGED ? Math.abs(value - other[place]) : value - other[place];
  });
}

/** The column whose units a column has. */
function unitsOf(key) {
  return columns.get(key === DIFFERENCE || key === CHANGED ? study.primary : key);
}

function printed(key, value, signed = false) {
  if (value === null || value === undefined) return "–";
  const column = unitsOf(key), text = (value * column.factor).toFixed(column.decimals);
  if (Number(text) === 0) return text.replace("-", "");
  return signed && value > 0 ? `+${text}` : text.replace("-", "−");
}

function titleOf(key) {
  if (key === DIFFERENCE) return "Difference";
  if (key === CHANGED) return "Changed most";
  return columns.get(key).title + columns.get(key).heading;
}

/** Whether a column says something of one system, and not of the dialogue or of the pair. */
function isOfSystem(key) {
  return columns.has(key) && columns.get(key).of !== "dialogue";
}

/** `better`, `worse` or nothing, of a difference in a column. */
function sideOf(key, difference) {
  const higher = unitsOf(key).higher_is_better;
  return higher === null || /^[0.]+$/.test(printed(key, difference)) ? "" : difference > 0 === higher ? "better" : "worse";
}
