"""A dialogue, a summary or a name may hold anything: reports, tables, the terminal and file names stay what they are."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pandas
import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from bench import cli, config, report
from bench.compare.gate import output as gate_output
from bench.compare.gate.verdicts import Outcome, Verdict
from bench.core import costs, parameters, paths, plugins, runtime, storage
from bench.core.schema import Example, Prediction, UserError
from bench.data import splits
from bench.evaluation import scoring
from bench.metrics import ScoreContext

ROOT = Path(__file__).resolve().parents[2]
# What Markdown, HTML, terminals, templates, spreadsheets, shells, GitHub and file systems give a meaning to.
VISIBLE = (
    "# head\n===\n- list\n1. one\n> quote\n```\ncode\n| a | b |\n|---|---|\n<script>alert(1)</script> <img src=x onerror=y> "
    "<!-- [a](javascript:b) ![p](http://t.r/x.png) http://x.y www.x.y m@x.y @octocat #1 `tick` **bold** ~~no~~ $x$ $$y$$ "
    "&lt; \\ ${variants.a} {{ secrets.TOKEN }} {source} {0} %s %(x)s $(touch pwned) `touch pwned` ; rm -rf . ../../etc/passwd C:\\x "
    "=1+1 +1 -1 @SUM(A1) \u202eright\u202c zero\u200bwidth \u2066iso\u2069 \ufeffbom"
)
RAW = (
    VISIBLE + "\x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://x.y\x07link\x1b]8;;\x07 \x9b31m \x00 \x07 \x08 \r \u2028 \u0085"
)
MARKDOWN = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
MEASURED = "2026-01-02T03:04:05+00:00"
OWN = r'</?(?:code|details|summary)>|<img src="plots/[a-z]+\.png" width="\d+" alt="[a-z ,]+">'  # the report's HTML
BAD = ("Cc", "Cf", "Cs", "Zl", "Zp")


def unclean(text: str) -> set[str]:
    """What a terminal, or a reader's eye, would be led by."""
    return {char for char in text if unicodedata.category(char) in BAD and char not in "\n\t"}


def dialogue(split: str, k: int) -> Example:
    name = f"#{split} {k} ../<b>|`@octocat` ${{x}} {{source}}"
    return Example(
        id=name,
        dialogue_id=name,
        source=f"{k} of {split}: {VISIBLE}",
        references=(VISIBLE, f"{k}{VISIBLE}"),
        tags=("#a|<b>",) if k % 2 else ("b",),
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study whose every foreign text is hostile, scored and reported by the real code."""
    folder = tmp_path_factory.mktemp("study")
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    raw["about"] = RAW
    raw["text"]["prompt"] = f"{RAW.replace('{source}', '')} {{source}}"
    raw["checkpoints"]["base"] = {"source": "local", "path": RAW, "name": RAW}
    raw["variants"] = {name: raw["variants"][name] for name in ("baseline", "full")}
    raw["metrics"] = {"rouge": {}, "text": {}}
    raw["generation"]["samples"] = 1
    raw["report"] = {"resamples": 100, "examples": 6}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        YAML().dump(raw, folder / "params.yaml")
        params = config.read()
        loaded = {split: [dialogue(split, k) for k in range(6)] for split in paths.SPLITS}
        for split, examples in splits.checked(loaded, params.data)[0].items():
            storage.write_rows(paths.split_path(split), examples)
        for name in (*params.variants, "lead-3"):
            finish(params, name)
        storage.write_json(
            costs.path_of("data"), {"wall_seconds": 1.0, costs.AT: MEASURED, "gpu_name": RAW, "machine": {"cpu": RAW}}
        )
        (folder / "said").write_text(report.build(params))
    return folder


def finish(params: parameters.Params, name: str) -> None:
    """What generate, score and train leave of a variant, and of a yardstick."""
    examples, start = storage.read_split("test"), None
    written = scoring.lead_3(examples)
    if name in params.variants:
        start = "base"
        rows = [
            Prediction(id=e.id, dialogue_id=e.dialogue_id, output=output, draw=0, text=f"{name}{k}{RAW}")
            for k, e in enumerate(examples)
            for output in ("greedy", "sample")
        ]
        storage.write_rows(paths.predictions_path(name), rows)
        written = storage.read_predictions(name)
        cost = {"wall_seconds": 1.0, "note": RAW, "machine": {RAW: RAW, "gpu": RAW}}
        storage.write_json(costs.path_of("train", name), cost)
    context = ScoreContext(
        variant=name,
        start=start,
        examples=examples,
        predictions=written,
        text=params.text,
        generation=params.generation,
        device="cpu",
    )
    scoring.score_and_write(params, context)


def test_the_report_holds_text_and_no_markup(study: Path) -> None:
    text = (study / "reports" / "miniature" / "report.md").read_text(encoding="utf-8")
    assert not unclean(text)
    assert "alert(1)" in text  # it was shown, not dropped
    tokens = MARKDOWN.parse(text)
    inline = [child for token in tokens for child in token.children or []]
    html = [child.content for child in inline if child.type == "html_inline"]
    assert all(re.fullmatch(OWN, tag) for tag in html)
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert blocks and all(re.fullmatch(rf"(?:{OWN}|[^<>])*", re.sub("&[a-z]+;", "", block)) for block in blocks)
    assert not [token for token in tokens if token.type in ("fence", "ordered_list_open")]
    links = [child.attrs for child in inline if child.type in ("link_open", "image")]
    assert all(str(link.get("src", "")).startswith("plots/") for link in links)
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1
    shown = re.sub(r"`[^`]*`", "", text)  # what is no code
    assert not re.search(
        r"@octocat|www\.x|http://x|m@x|\$x\$|\$\{|<script|<img (?!src=.plots/[a-z]+\.png. width=)|<!--|\[a\]\(", shown
    )


def test_every_table_keeps_its_columns(study: Path) -> None:
    text = (study / "reports" / "miniature" / "report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(blocks) > 8
    assert all(len({line.count("|") for line in block.splitlines()}) == 1 for block in blocks)


def test_no_cell_of_a_csv_file_is_a_formula(study: Path) -> None:
    paths = sorted((study / "reports").rglob("*.csv"))
    assert len(paths) >= 1
    for path in paths:
        for row in csv.reader(path.read_text(encoding="utf-8").splitlines()):
            for value in row:
                assert not unclean(value)
                assert value[:1] not in ("=", "+", "-", "@", "\t") or float(value)


def test_files_are_named_by_the_study_alone(study: Path) -> None:
    names = [path.relative_to(study).as_posix() for path in study.rglob("*")]
    assert all(re.fullmatch(r"[\w./-]+", name) and ".." not in name for name in names)
    assert not (study / "pwned").exists()


def test_what_a_stage_says_is_one_clean_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runtime.stage(lambda: f"checkpoint base: {RAW}\n{(study / 'said').read_text()}")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and not unclean(said)


@pytest.mark.parametrize("time", [RAW, f"{MEASURED}{RAW}"])
def test_a_time_that_is_none_is_said_in_one_clean_line(study: Path, monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    """Times alone are parsed, not escaped: such a text gets into no report."""
    monkeypatch.chdir(study)
    path = costs.path_of("data")
    before = path.read_bytes()
    storage.write_json(path, storage.read_object(path) | {costs.AT: time})
    with pytest.raises(SystemExit) as exit:
        runtime.stage(lambda: report.build(config.read()))
    path.write_bytes(before)
    said = str(exit.value)
    assert "measured_at: must be a time" in said
    assert "\n" not in said and not unclean(said)


def commit() -> None:
    """Everything in the working folder, as the first commit of a repository of its own."""
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "start"]):
        subprocess.run(["git", *words], check=True)


def change(folder: Path) -> None:
    """The baseline's first greedy summary in a report: other words, and a higher score."""
    path = folder / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    first = next(row for row in rows if (row["variant"], row["output"]) == ("baseline", "greedy"))
    first["text"] += RAW
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = pandas.read_csv(folder / "scores.csv", dtype=str, keep_default_na=False)
    at = (table["variant"] == "baseline") & (table["id"] == first["id"]) & (table["output"] == "greedy")
    table.loc[at, "rouge1"] = str(float(table.loc[at, "rouge1"].item()) + 0.06)
    table.to_csv(folder / "scores.csv", index=False)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["variants"]["baseline"]["rouge1"]["value"] += 0.06 / 6  # of six dialogues
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_two_states_side_by_side_stay_clean(
    study: Path, workdir: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Params, summaries and names of rows that a pull request may bring, all of them another's."""
    shutil.copytree(study, workdir, dirs_exist_ok=True)
    report = Path("reports/miniature")
    for path, coloured in (("scores.csv", "#test\x1b[31m\u202e 0"), ("predictions.jsonl", "#test\\u001b[31m\\u202e 0")):
        text = (report / path).read_text(encoding="utf-8")
        assert "#test 0" in text
        (report / path).write_text(text.replace("#test 0", coloured), encoding="utf-8")
    commit()
    change(report)
    raw = YAML(typ="safe", pure=True).load(Path("params.yaml"))
    YAML().dump(raw | {"about": f"now {RAW}"}, Path("params.yaml"))
    assert cli.main(["diff", "HEAD", "--format", form]) == 0
    said = capsys.readouterr()
    assert not unclean(said.out) and not unclean(said.err)
    assert "alert(1)" in said.out and "now #" in said.out  # they were shown, not dropped
    if form == "markdown":
        assert "<script" not in said.out and "@octocat" not in said.out and "http://x" not in said.out


def test_what_the_gate_says_is_clean() -> None:
    text = RAW.replace("\n", " ")
    verdicts = [Verdict(text, text, word, text, text, text, text) for word in ("FAIL", "PASS", "NOT COMPARED")]
    outcome = Outcome(text, text, text, "retrained", False, verdicts, [text])
    for said in (gate_output.terminal(outcome), gate_output.markdown(outcome)):
        assert not unclean(said) and said.count("alert(1)") > 10
    tokens = MARKDOWN.parse(gate_output.markdown(outcome))
    assert not [
        child for token in tokens for child in token.children or [] if child.type in ("html_inline", "link_open")
    ]


def test_claims_of_strangers_leave_the_terminal_clean(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim = {"check": "mean", "claim": RAW, "source": RAW, "note": RAW, "values": ["1", "2"], "stated": "1.5"}
    Path("x.json").write_text(json.dumps({"about": RAW, "claims": [claim]}))
    assert cli.main(["audit", "x.json", "--out", "out"]) == 0
    assert not unclean(capsys.readouterr().out)
    page = Path("out/audit.md").read_text(encoding="utf-8")
    assert not unclean(page)
    headings = [token for token in MARKDOWN.parse(page) if token.type == "heading_open"]
    assert [token.tag for token in headings].count("h1") == 1


@pytest.mark.parametrize("name", [RAW.replace("\n", " "), "../x", "x\x1b[31m"])
def test_a_study_that_does_not_exist_is_said_in_one_clean_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["use", name]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and not unclean(said)


def test_a_dialogue_cannot_fill_in_the_prompt_again() -> None:
    from bench.lm import prompts

    class Words:
        def __call__(self, text: str, **_: Any) -> dict[str, list[str]]:
            return {"input_ids": text.split()}

    text = parameters.TextConfig(prompt="Read {source} now", max_source_tokens=50)
    ids, cut, _ = prompts.encode_source(Words(), "a {source} b {0} %s", text)  # type: ignore[arg-type]
    assert (" ".join(map(str, ids)), cut) == ("Read a {source} b {0} %s now", False)


# Code of ours that would open a stranger's file as something that runs.
RUNS = re.compile(
    r"\bpickle\b|\btorch\.load\b|\bjoblib\b|\bshelve\b|\bmarshal\b|allow_pickle=True|\beval\(|\bexec\(|os\.system|shell=True"
    r"|trust_remote_code=True|weights_only=False|yaml\.(unsafe_|full_)?load\(|typ=.unsafe|extractall"
)


def test_nothing_of_ours_opens_a_pickle_runs_remote_code_or_builds_a_shell() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("bench", "stages", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if RUNS.search(re.sub(r"model\.eval\(|\.eval\(\)", "", line))
        and not any(safe in line for safe in ('"joblib"', "weights_only=True"))
    ]
    assert not found


def test_plugins_are_files_of_ours_and_never_paths() -> None:
    for kind in plugins.FOLDERS:
        for name in ("os", "../config", "config", "__init__", ".rouge", "rouge.os", ""):
            with pytest.raises(UserError, match=f"there is no {kind}"):
                plugins.find(kind, name)
