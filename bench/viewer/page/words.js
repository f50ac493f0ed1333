// Words: which of a text are not in another, and where those that are searched for stand.

// Word boundaries of Unicode's annex 29, which also part a text in a script that has no spaces.
const segmenter = "Segmenter" in Intl ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
const COUNTS = /[\p{L}\p{N}\p{Extended_Pictographic}]/u; // punctuation and white space are no words
const MOST_EDITS = 800; // above, two texts have so little in common that all between their common ends is marked

/** The pieces of a text in order, words and what stands between them. */
function piecesOf(text) {
  if (!segmenter) return text.match(/[\p{L}\p{M}\p{N}'’#]+|[^\p{L}\p{M}\p{N}'’#]+/gu) ?? [];
  const pieces = [];
  for (const { segment } of segmenter.segment(text)) {
    // The nameless speakers of a dialogue, #Person1#, are a word.
    if (segment === "#" && pieces.at(-2) === "#" && COUNTS.test(pieces.at(-1))) pieces.splice(-2, 2, `#${pieces.at(-1)}#`);
    else pieces.push(segment);
  }
  return pieces;
}

function folded(text) {
  return text.normalize("NFKC").toLowerCase();
}

const split = new Map();

/** The words of a text as they are compared. Kept, for a dialogue's texts are each held against the same one. */
function wordsOf(text) {
  if (!split.has(text)) {
    if (split.size > 200) split.clear();
    split.set(text, piecesOf(text).filter((piece) => COUNTS.test(piece)).map(folded));
  }
  return split.get(text);
}

/**
 * For each word of `one`, whether a shortest edit script to `other` keeps it (Myers, "An O(ND) difference algorithm and its
 * variations", 1986, the greedy form). Time and memory grow with the number of edits, not with the product of the lengths.
 */
function keptBy(one, other) {
  const result = new Uint8Array(one.length);
  let start = 0, end = one.length, stop = other.length;
  while (start < end && start < stop && one[start] === other[start]) result[start++] = 1;
  while (end > start && stop > start && one[end - 1] === other[stop - 1]) { end--; stop--; result[end] = 1; }
  const n = end - start, m = stop - start, most = Math.min(n + m, MOST_EDITS);
  if (!n || !m) return result;
  const furthest = new Int32Array(2 * most + 3), trace = []; // by diagonal x - y, which lies at `most + 1` where it is 0
  for (let d = 0; d <= most; d++) {
    trace.push(furthest.slice(most - d, most + d + 3));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && furthest[most + k] < furthest[most + k + 2]);
      let x = down ? furthest[most + k + 2] : furthest[most + k] + 1;
      while (x < n && x - k < m && one[start + x] === other[start + x - k]) x++;
      furthest[most + 1 + k] = x;
      if (x >= n && x - k >= m) return walkedBack(result, trace, start, n, m);
    }
  }
  return result;
}

/** Go back along the edits and set what lies on their diagonals. `trace[d]` is the state before edit d, from diagonal -d - 1 on. */
function walkedBack(result, trace, start, n, m) {
  let x = n, k = n - m;
  for (let d = trace.length - 1; d >= 0; d--) {
    const before = trace[d], at = (diagonal) => before[diagonal + d + 1];
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const from = d === 0 ? 0 : down ? at(k + 1) : at(k - 1) + 1;
    while (x > from) result[start + --x] = 1;
    if (d) { k += down ? 1 : -1; x = down ? x : x - 1; }
  }
  return result;
}

/** A text against others: [piece, differs] in runs, by the one that shares most words with it; case and punctuation aside. */
function compared(text, others) {
  const pieces = piecesOf(text), words = pieces.flatMap((piece, place) => (COUNTS.test(piece) ? [place] : []));
  const own = words.map((place) => folded(pieces[place]));
  let best = null, most = -1;
  for (const other of others) {
    const same = keptBy(own, wordsOf(other));
    const count = same.reduce((sum, one) => sum + one, 0);
    if (count > most) [best, most] = [same, count];
  }
  const differs = new Map(words.map((place, number) => [place, best !== null && !best[number]]));
  return runsOfPieces(pieces, differs);
}

/** Join neighbours alike; what stands between two words that differ is marked with them. */
function runsOfPieces(pieces, differs) {
  const runs = [];
  let between = "";
  const push = (text, mark) => {
    if (text && runs.length && runs.at(-1)[1] === mark) runs.at(-1)[0] += text;
    else if (text) runs.push([text, mark]);
  };
  pieces.forEach((piece, place) => {
    if (!differs.has(place)) { between += piece; return; }
    push(between, differs.get(place) && runs.length > 0 && runs.at(-1)[1]);
    push(piece, differs.get(place));
    between = "";
  });
  push(between, false);
  return runs;
}

/** What a search asks for: words, and phrases in quotes. */
function wordsOfSearch(query) {
  return Array.from(query.matchAll(/"([^"]+)"|(\S+)/gu), (match) => folded(match[1] ?? match[2]).replace(/"/g, "")).filter(Boolean);
}

/** Ranges of the searched words below an element, in whichever nodes they lie. */
function rangesOf(element, words) {
  const ranges = [];
  for (const paragraph of words.length ? element.querySelectorAll("[data-searched]") : []) {
    const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT), nodes = [], starts = [];
    let text = "";
    while (walker.nextNode()) { nodes.push(walker.currentNode); starts.push(text.length); text += walker.currentNode.data; }
    const lower = text.toLowerCase();
    if (lower.length !== text.length) continue; // a letter grew, and places no longer agree
    const node = (place) => starts.findLastIndex((start) => start <= place);
    for (const word of words)
      for (let from = lower.indexOf(word); from >= 0; from = lower.indexOf(word, from + word.length)) {
        const range = new Range(), [first, last] = [node(from), node(from + word.length - 1)];
        range.setStart(nodes[first], from - starts[first]);
        range.setEnd(nodes[last], from + word.length - starts[last]);
        ranges.push(range);
      }
  }
  return ranges;
}
