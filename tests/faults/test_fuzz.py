"""Every file that people hand in or edit, broken in ways that nobody thought of: it is taken, or one sentence says why not.

Whatever the bytes, an entry point ends in one of two ways. It works, and what it then wrote is right. Or it exits with
another code than 0 and one clean line that names the file, without a traceback, and no file is other than before.

    BENCH_FAULTS=long pytest -n0 -s tests/faults/test_fuzz.py     # thousands of fresh cases, minutes
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench import cli, config
from bench.core import manifest, paths, runtime, storage
from bench.core.schema import UserError

ROOT = Path(__file__).resolve().parents[2]
STUDIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "studies").glob("*.yaml"))}
LONG = os.environ.get("BENCH_FAULTS") == "long"
TRIED: Counter[tuple[str, str]] = Counter()


def cases(short: int, long: int) -> Any:
    """So many cases. The short form is the same in every run; the long form draws anew and prints how to repeat."""
    return settings(
        max_examples=long if LONG else short,
        derandomize=not LONG,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


# What is put in the place of a value, beside a value of the same file.
EXTREMES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    7,
    10**6,
    10**9,
    10**30,
    2**63,
    -(2**63),
    0.0,
    -0.0,
    0.5,
    1e-300,
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    "",
    " ",
    "\n",
    "0",
    "x",
    "X" * 3000,
    "é\u202e\u200b",
    "\x1b[31mred",
    "\x00",
    "\ud800",
    "../..",
    "/etc/passwd",
    "https://localhost:1/x",
    "${variants}",
    "{source}",
    "{{ x }}",
    "; touch pwned",
    "$(touch pwned)",
    "=1+1",
    "2020-13-45",
    "base",
    "reward",
    "judge",
    "models/base",
    "models/judge",
    "data/train.jsonl",
    [],
    [None],
    ["q", "v"],
    [[[]]],
    {},
    {"a": 1},
    {"": None},
    {"type": "LORA"},
    {"auto_map": {"AutoModel": "evil.X"}},
    "stranger/kernel",
]
KEYS = [
    "",
    "x",
    "seed",
    "type",
    "\x1b[2J",
    "a\nb",
    "../..",
    "; touch pwned",
    "ünï",
    "0",
    "auto_map",
    "learning_rat",
    "X" * 300,
]
TOKENS = [
    b"\x00",
    b"\xff",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[" * 3000,
    b"]",
    b":",
    b": ",
    b",",
    b"- ",
    b"#",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/name:os.system ",
    b"!!timestamp x",
    b"!!binary x",
    b"%YAML 9.9\n",
    b"---\n",
    b"...\n",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\xc2\x85",
    b"\x1b[31m",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"0x" + b"f" * 5000,
    b"9" * 5000,
    b"\\ud800",
    b"\\u0000",
    b"null",
    b"true",
    b"${x}",
    b"=",
    b"@",
    b"|",
    b">",
    b"~",
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


def extreme(draw: Callable[[Any], Any]) -> Any:
    """A value of the list; a copy, for what is drawn is changed further."""
    return copy.deepcopy(draw(st.sampled_from(EXTREMES)))


def draw_structure(draw: Callable[[Any], Any], value: Any) -> Any:
    """The value with one to three changes: gone, renamed, replaced, doubled, or with something new beside it."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(value))
        if not known:
            return extreme(draw)
        way = draw(st.sampled_from(known))
        home = value
        for key in way[:-1]:
            home = home[key]
        change = draw(st.sampled_from(["replace", "replace", "replace", "delete", "rename", "add", "swap", "nudge"]))
        if change == "delete":
            del home[way[-1]]
        elif change == "rename" and isinstance(home, dict):
            home[draw(st.sampled_from(KEYS))] = home.pop(way[-1])
        elif change == "add" and isinstance(home, dict):
            home[draw(st.sampled_from(KEYS))] = extreme(draw)
        elif change == "add":
            home.append(copy.deepcopy(home[way[-1]]))
        elif change == "swap":
            other = value
            for key in draw(st.sampled_from(known)):
                other = other[key] if isinstance(other, dict | list) and key in _keys(other) else other
            home[way[-1]] = copy.deepcopy(other)
        elif change == "nudge" and isinstance(home[way[-1]], str):
            home[way[-1]] = draw_bytes(draw, home[way[-1]].encode("utf-8", "replace")).decode(
                "utf-8", "surrogateescape"
            )
        else:
            home[way[-1]] = extreme(draw)
    return value


def _keys(value: Any) -> Any:
    return value if isinstance(value, dict) else range(len(value))


def draw_bytes(draw: Callable[[Any], Any], content: bytes) -> bytes:
    """The content with one to three changes: cut off, overwritten, or with something between."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        change = draw(st.sampled_from(["insert", "insert", "insert", "cut", "delete", "double", "flip"]))
        if change == "insert":
            content = content[:start] + draw(st.sampled_from(TOKENS)) + content[start:]
        elif change == "cut":
            content = content[:start]
        elif change == "delete":
            content = content[:start] + content[end:]
        elif change == "double":
            content = content[:end] + content[start:]
        elif start < len(content):
            content = content[:start] + bytes([content[start] ^ draw(st.integers(1, 255))]) + content[start + 1 :]
    return content


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def as_yaml(value: Any) -> bytes:
    """JSON is YAML, but for its words for what is no number."""
    return re.sub(
        rb"(?<![\w\"])(-?)(Infinity|NaN)(?!\")",
        lambda m: m[1] + (b".nan" if m[2] == b"NaN" else b".inf"),
        as_json(value),
    )


@dataclass
class Outcome:
    """How an entry point ended."""

    code: int
    out: str
    err: str
    wrote: bool = False  # an earlier, successful step of the same case did, by right


def run(entry: Callable[[], int | None]) -> Outcome:
    """Call an entry point as its process would; any exception but the exit it asks for is a failure."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = entry() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
    return Outcome(code, out.getvalue(), err.getvalue())


def stage(name: str, *arguments: str) -> Outcome:
    """A stage as DVC runs it."""
    module = __import__(f"stages.{name}", fromlist=["main"])
    return run(lambda: runtime.stage(module.main, *arguments))


def unclean(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"}


def is_sentence(err: str) -> bool:
    """One clean line that begins as all do, is not endless, names a file or field, and ends as a sentence does."""
    named = re.search(r"\.(yaml|jsonl|json|csv|lock|safetensors)\b|models/|study|signature|metric|checkpoint", err)
    return bool(
        re.fullmatch(r"error: [^\n]{15,850}[.?]\n", err) and named and not unclean(err) and "Traceback" not in err
    )


@dataclass
class Project:
    """A folder with a tiny finished study in it; every case starts from the same files."""

    root: Path

    def __post_init__(self) -> None:
        self.pristine = self.files()

    def files(self) -> dict[Path, bytes]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found if "work" not in path.relative_to(self.root).parts}

    def attempt(self, what: str, path: Path, content: bytes, act: Callable[[], Outcome]) -> Outcome:
        """Put `content` in the place of a file and act: a refusal must be one sentence and change nothing."""
        try:
            self._put(path, content)
            before = self.files()
            outcome = act()
            if outcome.err:
                assert outcome.code != 0 and is_sentence(outcome.err), outcome
                assert self.files() == before or outcome.wrote
            assert not unclean(outcome.out), outcome
            TRIED[what, "refused" if outcome.err else "taken"] += 1
            return outcome
        finally:
            self._restore()

    def _put(self, path: Path, content: bytes) -> None:
        """As a new file: the old one's content may be shared by a hard link."""
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def _restore(self) -> None:
        found = self.files()
        for path in found.keys() - self.pristine.keys():
            path.unlink()
        for path, content in self.pristine.items():
            if found.get(path) != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._put(path, content)


STUDY = """\
study: tiny
about: ""
seed: 0
sources: {data: local/data, checkpoint-base: local/base, checkpoint-reward: local/reward, checkpoint-judge: local/reward}
compute: {device: cpu, threads: 1}
data:
  dataset: dialogsum
  path: local/data
  train: {file: train.jsonl}
  validation: {file: dev.jsonl}
  test: {file: test.jsonl}
text: {prompt: "Summarize {source}", max_source_tokens: 16, max_target_tokens: 4}
checkpoints:
  base: {source: local, path: local/base, name: tiny-base}
  reward: {source: local, path: local/reward, name: tiny-reward}
  judge: {source: local, path: local/reward, name: tiny-judge}
variants:
  baseline: {method: none, init: base, learns_from: models/base}
  again: {method: none, init: baseline, learns_from: models/baseline}
generation: {max_new_tokens: 4, samples: 1}
metrics:
  rouge: {}
  text: {}
  toxicity: {}
report: {resamples: 100, examples: 2}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base_template: Path, reward_template: Path) -> Iterator[Project]:
    """The tiny study, run by its own stages; two reports of it lie beside each other to be compared."""
    from bench.lm import models
    from bench.report import plots

    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(plots, "draw", lambda view, folder: {})  # pictures take longest, and say what the tables say
        shutil.copytree(base_template, "local/base")
        shutil.copytree(reward_template, "local/reward")
        Path("params.yaml").write_text(STUDY)
        Path("studies").mkdir()
        Path("studies/tiny.yaml").write_text(STUDY)
        for name, split in (("train", "train"), ("dev", "validation"), ("test", "test")):
            keys = ("summary1", "summary2", "summary3") if name == "test" else ("summary",)
            rows = [
                {
                    "fname": f"{name}_{k}",
                    "dialogue": f"#person1# : hello {split} {'a b c d e '[: 2 * k]}",
                    **dict.fromkeys(keys, f"they meet {k}"),
                }
                for k in range(4)
            ]
            Path("local/data").mkdir(exist_ok=True)
            Path(f"local/data/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        steps = [("params",), ("data",), *(("checkpoint", name) for name in ("base", "reward", "judge")), ("check",)]
        steps += [(each, name) for name in ("baseline", "again") for each in ("train", "generate", "score")]
        for step in (*steps, ("yardsticks",), ("report",)):
            outcome = stage(*step)
            assert outcome.code == 0, (step, outcome)
        models.save(
            models.with_adapter(models.load("base", "cpu"), {"type": "LORA", "r": 2, "target_modules": ["q"]}),
            "lora",
            "sft",
            {},
        )
        shutil.copytree("reports/tiny", "old")
        outs = [
            {"path": f"reports/tiny/{name}", "md5": hashlib.md5(Path("old", name).read_bytes()).hexdigest()}
            for name in ("metrics.json", "scores.csv", "costs.json")
        ]
        Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"report": {"cmd": "x", "outs": outs}}}))
        yield Project(root)


def changed(draw: Callable[[Any], Any], path: Path, as_text: Callable[[Any], bytes] = as_json) -> bytes:
    """A file's content after changes to its structure (JSON, JSON lines or YAML) or to its bytes."""
    content = path.read_bytes()
    if path.suffix not in (".json", ".jsonl", ".yaml", ".lock") or draw(st.booleans()):
        return draw_bytes(draw, content)
    if path.suffix == ".jsonl":
        rows = draw_structure(draw, [json.loads(line) for line in content.decode().split("\n")[:-1]])
        return b"".join(as_text(row) + b"\n" for row in (rows if isinstance(rows, list) else [rows]))
    return as_text(draw_structure(draw, YAML(typ="safe", pure=True).load(content.decode())))


RAW = {name: YAML(typ="safe", pure=True).load(text) for name, text in STUDIES.items()}


@cases(short=40, long=700)
@given(data=st.data())
def test_params(project: Project, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(STUDIES)))
    if data.draw(st.integers(0, 2)):
        content = as_yaml(draw_structure(data.draw, RAW[name]))
    else:
        content = draw_bytes(data.draw, STUDIES[name].encode())
    path = project.root / "studies" / f"{name}.yaml"

    def act() -> Outcome:
        outcome = run(lambda: cli.main(["use", name]))
        if outcome.code == 0:
            params = config.read()
            plain = content.decode().replace("\r\n", "\n").replace("\r", "\n")
            active = Path("params.yaml").read_text(encoding="utf-8")
            if b"sweep" not in content:  # what is swept is written out, and white space with it
                left_out = f"{plain.rstrip()}\n\n# what the study leaves to the defaults"
                assert active == plain or active.startswith(left_out)
            names = [params.study, *params.checkpoints, *params.variants, *(b.init for b in params.variants.values())]
            names += [*params.preferences, *params.rewards, *params.training_sets]
            assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", each) for each in names)
            given = {block.learns_from for block in params.variants.values() if block.method == "outputs"}
            given |= {made.learns_from for made in params.training_sets.values()}
            assert not any(Path(path).is_absolute() or ".." in Path(path).parts for path in given)
            given |= {f"preferences/{name}" for name in params.preferences}
            given |= {f"training_sets/{name}.jsonl" for name in params.training_sets}
            teachers = {block.learns_from for block in params.variants.values()} - given
            assert teachers <= {"data/train.jsonl", *(f"models/{each}" for each in names)} - {"models/judge"}
        return outcome

    project.attempt("params", path, content, act)


@cases(short=30, long=500)
@given(data=st.data())
def test_dialogues(project: Project, data: st.DataObject) -> None:
    path = project.root / "local" / "data" / data.draw(st.sampled_from(["train.jsonl", "dev.jsonl", "test.jsonl"]))

    def act() -> Outcome:
        outcome = stage("data")
        if outcome.code == 0:
            rows = {split: storage.read_split(split) for split in paths.SPLITS}
            seen = [
                " ".join(row.source.split()).casefold()
                for split in rows.values()
                for row in {r.source: r for r in split}.values()
            ]
            assert len(seen) >= 3
            assert not {r.source for r in rows["train"]} & {r.source for r in rows["test"]}
        return outcome

    project.attempt("dialogues", path, changed(data.draw, path), act)


@cases(short=25, long=500)
@given(data=st.data())
def test_checkpoints(project: Project, data: st.DataObject) -> None:
    """Settings, tokenizers, headers and weights of a base and of a classifier: what is taken can also be used."""
    from bench import generation
    from bench.classifiers import loading
    from bench.core.schema import Example
    from bench.lm import models

    name = data.draw(st.sampled_from(["base", "reward"]))
    path = data.draw(st.sampled_from(sorted((project.root / "local" / name).iterdir())))
    content = path.read_bytes()
    if path.suffix == ".safetensors" and data.draw(st.booleans()):
        size = int.from_bytes(content[:8], "little")
        header = draw_structure(data.draw, json.loads(content[8 : 8 + size]))
        made = as_json(header)
        content = len(made).to_bytes(8, "little") + made + content[8 + size :]
    else:
        content = changed(data.draw, path)

    def use() -> None:
        params = config.read()
        if name == "reward":
            model = loading.load("reward", "cpu")
            assert model.logits(["a b", ""]).shape == (2, len(model.labels))
        else:
            example = Example(id="x", dialogue_id="x", source="hello a b", references=("a",))
            generation.predict(models.load("base", "cpu"), [example], params.text, params.generation)

    def act() -> Outcome:
        outcome = stage("checkpoint", name)
        if outcome.code == 0:
            before = project.files()

            def guarded() -> int:
                try:
                    use()
                except UserError as error:
                    print(f"error: {error}", file=sys.stderr)
                    return 1
                return 0

            outcome = run(guarded)
            outcome.wrote = True
            assert project.files() == before
        return outcome

    project.attempt("checkpoints", path, content, act)


@cases(short=15, long=150)
@given(data=st.data())
def test_trained_adapters(project: Project, data: st.DataObject) -> None:
    from bench.lm import models

    folder = project.root / "models" / "lora"
    path = folder / data.draw(st.sampled_from(["manifest.json", "adapter_config.json", "adapter_model.safetensors"]))

    def load() -> int:
        try:
            models.load("lora", "cpu")
            manifest.digest("lora")
            manifest.stored_parameters("lora")
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    project.attempt("adapters", path, changed(data.draw, path), lambda: run(load))


@cases(short=15, long=150)
@given(data=st.data())
def test_summaries_before_they_are_scored(project: Project, data: st.DataObject) -> None:
    path = project.root / data.draw(st.sampled_from(["predictions/again.jsonl", "data/test.jsonl"]))
    project.attempt("summaries", path, changed(data.draw, path), lambda: stage("score", "again"))


RESULTS = [
    "scores/again.jsonl",
    "scores/again.meta.json",
    "scores/lead-3.jsonl",
    "scores/human.meta.json",
    "predictions/again.jsonl",
    "data/test.jsonl",
    "data/counts.json",
    "curves/again.csv",
    "checked/lengths.json",
    "costs/train/again",
    "costs/data",
]


@cases(short=25, long=400)
@given(data=st.data())
def test_results_before_they_are_reported(project: Project, data: st.DataObject) -> None:
    path = project.root / data.draw(st.sampled_from(RESULTS))
    path = max(path.glob("*.json")) if path.is_dir() else path  # costs are named by what they were measured with

    def act() -> Outcome:
        outcome = stage("report")
        if outcome.code == 0:
            assert not unclean(Path("reports/tiny/report.md").read_text(encoding="utf-8"))
            storage.read_object(Path("reports/tiny/metrics.json"))
            storage.read_object(Path("reports/tiny/costs.json"))
        return outcome

    project.attempt("results", path, changed(data.draw, path), act)


COMPARED = ["metrics.json", "scores.csv", "costs.json", "predictions.jsonl"]


@cases(short=30, long=400)
@given(data=st.data())
def test_baselines_before_they_are_compared(project: Project, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([*(f"old/{name}" for name in COMPARED), "params.yaml", "dvc.lock"]))
    path = project.root / place
    content = changed(data.draw, path, as_yaml if place == "params.yaml" else as_json)
    commands = [["gate", "--against", "old"], ["diff", "old", "reports/tiny"], ["diff", "old", "--format", "markdown"]]
    command = data.draw(st.sampled_from(commands))
    outcome = project.attempt("baselines", path, content, lambda: run(lambda: cli.main([*command, "--study", "tiny"])))
    assert outcome.code in ((0, 1, 2) if command[0] == "gate" else (0, 2))
    assert (outcome.code == 2) == bool(outcome.err)


CLAIMS = (ROOT / "bench" / "audit" / "papers" / "thesis.json").read_bytes()


@cases(short=15, long=250)
@given(data=st.data())
def test_claims_of_a_paper(project: Project, data: st.DataObject) -> None:
    path = project.root / "claims.json"
    path.write_bytes(CLAIMS)
    raw = json.loads(CLAIMS)
    raw["claims"] = raw["claims"][:8]
    structured = data.draw(st.booleans())
    content = as_json(draw_structure(data.draw, raw)) if structured else draw_bytes(data.draw, as_json(raw))
    project.attempt(
        "claims", path, content, lambda: run(lambda: cli.main(["audit", "claims.json", "--out", "audited"]))
    )


@pytest.mark.parametrize(
    ("name", "content", "command"),
    [
        ("studies/tiny.yaml", b"study: tiny\nvariants: [", ["bench.cli", "use", "tiny"]),
        ("params.yaml", STUDY.replace("again:", "../again:").encode(), ["stages.params"]),
        ("local/data/train.jsonl", b'{"fname": "x"\xff}', ["stages.data"]),
        ("local/base/model.safetensors", b"\x80\x04K\x01.", ["stages.checkpoint", "base"]),
        ("scores/again.jsonl", b"[]\n", ["stages.report"]),
        ("old/metrics.json", b"[" * 100_000, ["bench.cli", "gate", "--against", "old"]),
    ],
)
def test_a_process_ends_with_a_code_and_a_sentence(
    project: Project, name: str, content: bytes, command: list[str]
) -> None:
    """The same through real processes."""

    def act() -> Outcome:
        code = "import sys; from bench.cli import main; sys.exit(main())"
        words = ["-c", code, *command[1:]] if command[0] == "bench.cli" else ["-m", *command]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("DVC_STAGE", None)
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, cwd=project.root, env=environment
        )
        assert done.returncode in (1, 2)
        return Outcome(done.returncode, done.stdout, done.stderr)

    assert project.attempt("processes", project.root / name, content, act).err


@pytest.mark.last
def test_so_many_cases_were_tried() -> None:
    """The changes are neither too few nor too strong or too weak to find anything."""
    for (what, how), count in sorted(TRIED.items()):
        print(f"{what}: {count} {how}")
    taken, refused = (sum(n for (_, how), n in TRIED.items() if how == one) for one in ("taken", "refused"))
    print(f"{taken + refused} cases, {taken} taken and {refused} refused")
    assert taken + refused >= (2000 if LONG else 150)
    assert min(taken, refused) > 0.1 * (taken + refused)
