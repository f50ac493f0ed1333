"""What made the numbers."""

from __future__ import annotations

import re
import subprocess

import numpy as np
from ruamel.yaml import YAML

from bench import report
from bench.core import parameters, paths, storage
from tests.report.toy import section_of


def test_provenance_names_settings_models_versions_and_seeds(study: parameters.Params) -> None:
    YAML().dump({"study": "toy"}, paths.PARAMS)
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Provenance")
    assert storage.sha256_file(paths.PARAMS) in text
    assert storage.sha256_file(paths.split_path("test")) in text
    assert "tiny/one" in text
    assert f"numpy {np.__version__}" in text
    assert "Toy GPU" in text
    assert "not a git commit" in text
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"], check=True
    )
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Provenance")
    assert re.search(r"[0-9a-f]{40}, with uncommitted changes", text)
