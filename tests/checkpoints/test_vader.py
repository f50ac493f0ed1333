"""VADER's examples from its own README, and that its version is pinned."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from bench.checkpoints import BuildContext, vader
from bench.classifiers import loading
from bench.classifiers.packaged import VADER
from bench.core import paths
from bench.core.schema import UserError

pytestmark = pytest.mark.skipif(
    not any(metadata.distributions(name=VADER.name)),
    reason="vaderSentiment is not installed (pip install '.[sentiment]')",
)

# The compound scores that its README lists.
PUBLISHED = {
    "VADER is smart, handsome, and funny.": 0.8316,
    "VADER is smart, handsome, and funny!": 0.8439,
    "VADER is not smart, handsome, nor funny.": -0.7424,
    "Today SUX!": -0.5461,
    "The book was good.": 0.4404,
}


def test_its_compound_score_is_the_published_one(workdir: Path) -> None:
    vader.build(vader.Config(source="vader"), BuildContext(paths.model_path("tone")))
    tone = loading.load("tone", "cpu")
    assert tone.labels == ("negative", "positive") and tone.identity == "vaderSentiment-3.3.2"
    chances = tone.probabilities(list(PUBLISHED))[:, tone.column("positive")]
    assert 2 * chances - 1 == pytest.approx(np.array(list(PUBLISHED.values())), abs=1e-4)
    with pytest.raises(UserError, match="reads single texts"):
        tone.pair_logits([("a", "b")])


def test_another_version_is_another_classifier(workdir: Path) -> None:
    with pytest.raises(UserError, match=r"vaderSentiment 3\.3\.1 is asked for and 3\.3\.2 is installed"):
        vader.build(vader.Config(source="vader", version="3.3.1"), BuildContext(Path("tone")))
