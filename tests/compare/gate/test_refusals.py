"""Every broken input to the gate gives exit code 2 and one sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]


def stale_report(project: Any) -> None:
    project.drop("lora", 1)
    (project.report / "metrics.json").write_text(json.dumps(project.metrics()))
    (project.report / "scores.csv").write_text(project.scores())


def edit(name: str, old: str, new: str, count: int = 1) -> Callable[[Any], None]:
    """Replace text in a file of the report and lock it, so that nothing but the content is wrong."""

    def change(project: Any) -> None:
        path = project.report / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, count))
        project.lock()

    return change


def without(place: str) -> Callable[[Any], None]:
    """Delete a file of the project."""
    return lambda project: (project.root / place).unlink()


def written(name: str, content: bytes) -> Callable[[Any], None]:
    """Overwrite a file of the project."""

    def change(project: Any) -> None:
        (project.root / name).write_bytes(content)

    return change


def signed(text: str) -> Callable[[Any], None]:
    def change(project: Any) -> None:
        project.signature = text
        project.write()

    return change


def params(**blocks: Any) -> Callable[[Any], None]:
    def change(project: Any) -> None:
        project.params |= blocks
        project.write()

    return change


def unlocked_knob(project: Any) -> None:
    text = (project.root / "params.yaml").read_text()
    (project.root / "params.yaml").write_text(text.replace("r: 4", "r: 8"))


def without_rows(project: Any) -> None:
    lines = project.scores().splitlines()
    (project.report / "scores.csv").write_text(
        "\n".join(line for line in lines if not line.startswith("lora,t7,")) + "\n"
    )
    project.lock()


def other_rows(project: Any) -> None:
    (project.report / "scores.csv").write_text(project.scores().replace("lora,t7,", "lora,t700,"))
    project.lock()


def other_cluster(project: Any) -> None:
    (project.report / "scores.csv").write_text(project.scores().replace(",t7,d7,", ",t7,other,"))
    project.lock()


def twice(project: Any) -> None:
    lines = project.scores().splitlines()
    (project.report / "scores.csv").write_text("\n".join([*lines, lines[5]]) + "\n")
    project.lock()


def fewer(project: Any) -> None:
    project.values = {name: {c: v[:50] for c, v in held.items()} for name, held in project.values.items()}
    project.write()


def without_variant(project: Any) -> None:
    del project.values["lora"]
    project.write()


def without_metric(project: Any) -> None:
    for held in project.values.values():
        del held["toxicity_judge"]
    project.write()


def a_folder(project: Any) -> None:
    (project.report / "scores.csv").unlink()
    (project.report / "scores.csv").mkdir()


def code_changed(project: Any) -> None:
    """The report ran with another plots.py: its file and the lock still say so."""
    (path, text) = next((p, t) for p, t in project.inputs().items() if p.stem == "report")
    plots = json.loads(text)["code"]["bench/report/plots.py"]
    (project.root / path).parent.mkdir(parents=True)
    (project.root / path).write_text(text.replace(plots, "0" * len(plots)))
    lock = project.root / "dvc.lock"
    old, new = (hashlib.md5(t.encode()).hexdigest() for t in (text, text.replace(plots, "0" * len(plots))))
    lock.write_text(lock.read_text().replace(old, new))


SIGNED = "{column}|made-1|stem:porter|data:toy@1234abcd|split:test|gen:greedy,max40|n:{n}"
ROUGE = '"value": 0.'
BROKEN: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "no metrics": (without("reports/toy/metrics.json"), ("reports/toy/metrics.json does not exist",)),
    "no rows": (without("reports/toy/scores.csv"), ("reports/toy/scores.csv does not exist",)),
    "no costs": (without("reports/toy/costs.json"), ("costs.json does not exist",)),
    "no params": (without("params.yaml"), ("params.yaml",)),
    "no lock": (without("dvc.lock"), ("dvc.lock is missing",)),
    "broken json": (edit("metrics.json", "{", "{{"), ("metrics.json is not valid JSON",)),
    "json of another kind": (edit("metrics.json", '"variants"', '"varieties"'), ("variants is missing",)),
    "NaN in metrics": (
        edit("metrics.json", '"n_dialogues": 60', '"n_dialogues": NaN'),
        ("metrics.json is not valid JSON (NaN is no finite number)",),
    ),
    "another value": (edit("metrics.json", ROUGE, '"value": 1.'), ("scores.csv", "averages", "metrics.json says 1.")),
    "another study": (edit("metrics.json", '"toy"', '"ploy"'), ("is of study 'ploy', not of 'toy'",)),
    "a variant less": (without_variant, ("variant 'lora' is in HEAD",)),
    "a metric less": (without_metric, ("toxicity_judge of 'baseline' is not in reports/toy/metrics.json",)),
    "a row less": (without_rows, ("rows of 59 dialogues for rouge1 of 'lora', and metrics.json counts 60",)),
    "another row": (other_rows, ("row 't7'",)),
    "another cluster": (other_cluster, ("row 't7' belongs to another dialogue now",)),
    "a row twice": (twice, ("row 't4' of 'baseline' is there twice",)),
    "other n": (fewer, ("signature field `n` differs, '60' before and '50' now",)),
    "NaN in rows": (edit("scores.csv", "lora,t0,d0,greedy,0,", "lora,t0,d0,greedy,0,nan"), ("line 62, column rouge1",)),
    "a word in rows": (edit("scores.csv", "lora,t0,d0,greedy,0,", "lora,t0,d0,greedy,0,x"), ("is no finite number",)),
    "a field less": (edit("scores.csv", "lora,t0,d0,", "lora,t0,"), ("7 fields instead of 8",)),
    "broken csv": (edit("scores.csv", "lora,t0", '"lora,t0'), ("scores.csv line",)),
    "no header": (edit("scores.csv", "dialogue_id", "dialog"), ("the header lacks 'dialogue_id'",)),
    "a strange variant": (edit("scores.csv", "lora,t0", "dora,t0"), ("variant 'dora' is not in metrics.json",)),
    "other data": (
        signed(SIGNED.replace("1234abcd", "9")),
        ("signature field `data` differs, 'toy@1234abcd' before and 'toy@9' now",),
    ),
    "other stemmer": (signed(SIGNED.replace("porter", "none")), ("signature field `stem` differs",)),
    "other version": (signed(SIGNED.replace("made-1", "made-2")), ("signature field `implementation` differs",)),
    "stale report": (stale_report, ("dvc.lock of the working tree is stale: reports/toy/metrics.json",)),
    "stale params": (unlocked_knob, ("stale: stage 'train@lora' ran with another `variants.lora.",)),
    "stale code": (code_changed, ("dvc.lock is stale: bench/report/plots.py changed since stage 'report' ran",)),
    "broken lock": (written("dvc.lock", b"a: [\n"), ("dvc.lock of the working tree is not valid YAML",)),
    "lock of no blocks": (written("dvc.lock", b"stages: {report: 5}\n"), ("stages.report is missing or no mapping",)),
    "lock without a list": (
        written("dvc.lock", b"stages: {report: {outs: true}}\n"),
        ("stages.report.outs is no list",),
    ),
    "lock with an odd entry": (
        written("dvc.lock", b"stages: {report: {outs: [1]}}\n"),
        ("report.outs is missing or no",),
    ),
    "lock with odd params": (
        written("dvc.lock", b"stages: {report: {outs: [], params: [1]}}\n"),
        ("does not record reports/toy/metrics.json",),
    ),
    "lock without report": (written("dvc.lock", b"stages: {}\n"), ("stages.report is missing",)),
    "unknown margin": (params(gate={"metrics": {"rouge1": {"fail_margn": 1}}}), ("gate.metrics.rouge1.fail_margn",)),
    "margins crossed": (params(gate={"metrics": {"rouge1": {"fail_margin": 2}}}), ("must be above fail_margin 2",)),
    "unknown column": (params(gate={"metrics": {"rouge1": {}, "rogue2": {}}}), ("gate.metrics.rogue2: no variant",)),
    "primary not judged": (params(gate={"metrics": {"toxicity_judge": {}}}), ("'rouge1' is not among them",)),
    "no better side": (params(gate={"metrics": {"rouge1": {}, "words": {}}}), ("'words' has no better side",)),
    "unknown cost": (params(gate={"costs": {"money": 2}}), ("there is no cost 'money'",)),
    "not utf-8": (written("reports/toy/scores.csv", b"\xff"), ("scores.csv is not UTF-8",)),
    "a folder": (a_folder, ("cannot be read",)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_one_sentence(project: Any, bench: Bench, refused: Refused, name: str) -> None:
    change, words = BROKEN[name]
    change(project)
    refused(bench("gate", "--against", "HEAD"), *words)


@pytest.mark.parametrize("given", ["nowhere", "--evil", "", "HEAD~9", "missing/metrics.json", "main:reports", "a\x00b"])
def test_a_baseline_that_is_not_there(project: Any, bench: Bench, refused: Refused, given: str) -> None:
    refused(bench("gate", f"--against={given}"))


def test_a_revision_without_a_report(project: Any, bench: Bench, refused: Refused) -> None:
    project.git("rm", "-q", "-r", "reports")
    project.git("commit", "-q", "-m", "none")
    project.write()
    refused(bench("gate", "--against", "HEAD"), "reports/toy/metrics.json of revision HEAD", "does not exist")


def test_a_shallow_clone_says_so(
    project: Any, bench: Bench, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit("second")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", project.root.as_uri(), str(clone)], check=True)
    monkeypatch.chdir(clone)
    refused(bench("gate", "--against", "HEAD~1"), "shallow", "fetch-depth: 0")


def test_outside_a_repository(project: Any, bench: Bench, refused: Refused) -> None:
    shutil.rmtree(project.root / ".git")
    refused(bench("gate", "--against", "HEAD"), "no git repository")


def test_the_baselines_lock_counts_too(project: Any, bench: Bench, refused: Refused) -> None:
    stale_report(project)
    project.git("commit", "-q", "-a", "-m", "by hand")
    project.write()
    refused(bench("gate", "--against", "HEAD"), "dvc.lock of HEAD", "stale")
