"""BLEU and chrF against sacrebleu's command line and figures that others printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import ScoreContext, sacrebleu

pytest.importorskip("sacrebleu")

REFERENCES = [
    ("They will meet at noon in the park.", "Ann and Bo meet in the park."),
    ("He is late again.", "He's late!"),
]
WRITTEN = ["They meet at noon in a park.", "He will be late."]


def context(written: list[str], references: list[tuple[str, ...]]) -> ScoreContext:
    examples = [Example(id=str(i), dialogue_id=str(i), source="x", references=r) for i, r in enumerate(references)]
    made = [Prediction(id=str(i), dialogue_id=str(i), output="greedy", draw=0, text=t) for i, t in enumerate(written)]
    return ScoreContext("v", None, examples, made, TextConfig(), GenerationConfig(), "cpu")


def scores(key: str, **settings: Any) -> list[float]:
    rows = sacrebleu.score(sacrebleu.Config(scores=[key], **settings), context(WRITTEN, REFERENCES))
    return [row.values[key] for row in rows]


@pytest.mark.parametrize("case", sacrebleu.EXAMPLES, ids=lambda case: case["from"])
def test_examples(case: dict[str, Any]) -> None:
    rows = sacrebleu.score(sacrebleu.Config(**case["config"]), context([case["prediction"]], [case["references"]]))
    assert rows[0].values == pytest.approx(case["values"], abs=1e-9)


@pytest.mark.parametrize(
    ("key", "settings", "words"),
    [
        ("bleu", {}, ["-m", "bleu", "--sentence-level"]),
        ("bleu", {"lowercase": True}, ["-m", "bleu", "--sentence-level", "-lc"]),
        ("bleu", {"tokenize": "char"}, ["-m", "bleu", "--sentence-level", "-tok", "char"]),
        ("chrf", {}, ["-m", "chrf", "--sentence-level"]),
        ("chrf", {"word_order": 2}, ["-m", "chrf", "--sentence-level", "--chrf-word-order", "2"]),
    ],
)
def test_each_summary_has_the_score_of_the_command_line(
    key: str, settings: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("first", "second", "written")]
    for file, lines in zip(files, [*zip(*REFERENCES, strict=True), WRITTEN], strict=True):
        file.write_text("".join(f"{line}\n" for line in lines))
    call = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(files[0]),
        str(files[1]),
        "-i",
        str(files[2]),
        *words,
        "-b",
        "-w",
        "4",
    ]
    printed = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
    assert [100 * value for value in scores(key, **settings)] == pytest.approx([float(x) for x in printed], abs=6e-5)


def test_the_signature_is_sacrebleu_s_own_with_the_references_of_the_study() -> None:
    found = sacrebleu.signature(sacrebleu.Config(), context(WRITTEN, REFERENCES))
    assert found["bleu"].startswith("bleu|sacrebleu|nrefs:2|case:mixed|eff:yes|tok:13a|smooth:exp|version:")
    assert "nc:6|nw:0" in found["chrf"]
    other = sacrebleu.signature(sacrebleu.Config(tokenize="char"), context(WRITTEN, REFERENCES))
    assert other["bleu"] != found["bleu"] and other["chrf"] == found["chrf"]


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(UserError, match="metrics.sacrebleu: the package is not installed; run `pip install sacrebleu`"):
        scores("bleu")
