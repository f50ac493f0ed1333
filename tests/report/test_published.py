"""Published figures beside ours."""

from __future__ import annotations

from bench import report
from bench.core import parameters, paths
from bench.core.blocks import DatasetConfig
from tests.report.toy import Base, section_of


def test_published_figures_say_when_they_are_of_another_model_or_dataset(study: parameters.Params) -> None:
    same = {"data": DatasetConfig(dataset="dialogsum")}
    same |= {"checkpoints": study.checkpoints | {"base": Base(source="hub", model="google/flan-t5-base")}}
    for changes, note in (({}, "another model, another dataset"), (same, "")):
        report.build(study.model_copy(update=changes))
        text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Published figures beside ours")
        line = next(line for line in text.splitlines() if line.startswith("| full fine-tune ") and "Table 4.1" in line)
        assert line.rstrip(" |").endswith(note if note else "33.8")
        assert "42.2" in line
