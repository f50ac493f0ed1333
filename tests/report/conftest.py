"""The toy study with its report, made once, and a copy of it to change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import report
from bench.core import parameters, paths
from bench.report import plots
from tests.report.toy import Built, fabricate, toy_params


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study with its report, made once; tests must only read it."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report.build(fabricate())
    return folder


@pytest.fixture
def built(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Its report folder, its metrics and its Markdown, from inside the study."""
    monkeypatch.chdir(finished)
    folder = paths.report_dir("toy")
    return folder, json.loads((folder / "metrics.json").read_text()), (folder / "report.md").read_text()


@pytest.fixture
def study(finished: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """A copy of the study without its report, to change; its report is built without pictures, which take longest."""
    for part in ("data", "predictions", "scores", "curves", "costs", "checked"):
        shutil.copytree(finished / part, workdir / part)
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    return toy_params(report=parameters.ReportConfig(resamples=100))
