"""The judge inside a package is pinned by its version."""

from __future__ import annotations

from importlib import metadata

import pytest
from pydantic import ValidationError

from bench.checkpoints import BuildContext, profanity_check
from bench.classifiers import loading, packaged
from bench.core import paths, storage
from bench.core.schema import UserError

pytestmark = pytest.mark.skipif(
    not any(d.name == packaged.PROFANITY.name for d in metadata.distributions(name=packaged.PROFANITY.name)),
    reason="alt-profanity-check is not installed (pip install '.[judge]')",
)


def test_builds_a_loadable_classifier(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = profanity_check.build(
        profanity_check.Config(source="profanity_check"), BuildContext(paths.model_path("judge"))
    )
    assert facts["name"] == "alt-profanity-check 1.9.1"
    assert storage.read_json(paths.model_path("judge") / "classifier.json") == {
        "library": "alt-profanity-check",
        "version": "1.9.1",
        "labels": ["clean", "profane"],
    }
    assert loading.load("judge", "cpu").labels == ("clean", "profane")


def test_refuses_another_version(tmp_path):
    with pytest.raises(UserError, match=r"alt-profanity-check 1\.8\.0 is asked for and 1\.9\.1 is installed"):
        profanity_check.build(
            profanity_check.Config(source="profanity_check", version="1.8.0"), BuildContext(tmp_path / "judge")
        )
    assert not (tmp_path / "judge").exists()
    with pytest.raises(ValidationError):
        profanity_check.Config(source="profanity_check", version="newest")
