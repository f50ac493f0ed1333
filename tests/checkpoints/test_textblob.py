"""TextBlob's example from its own quickstart, and that its version is pinned."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from bench.checkpoints import BuildContext, textblob
from bench.classifiers import loading
from bench.classifiers.packaged import TEXTBLOB
from bench.core import paths
from bench.core.schema import UserError

pytestmark = pytest.mark.skipif(
    not any(metadata.distributions(name=TEXTBLOB.name)),
    reason="textblob is not installed (pip install '.[sentiment]')",
)

# Polarities that its quickstart prints; a text without a known word is neutral.
PUBLISHED = {
    "Textblob is amazingly simple to use. What great fun!": 0.39166666666666666,
    "Beautiful is better than ugly.": 0.2166666666666667,
    "the and of": 0.0,
}


def test_its_polarity_is_the_published_one(workdir: Path) -> None:
    textblob.build(textblob.Config(source="textblob"), BuildContext(paths.model_path("tone")))
    tone = loading.load("tone", "cpu")
    assert tone.labels == ("negative", "positive") and tone.identity == "textblob-0.20.1"
    chances = tone.probabilities(list(PUBLISHED))[:, tone.column("positive")]
    known = np.array(list(PUBLISHED.values()))
    assert 2 * chances - 1 == pytest.approx(known, abs=1e-6)


def test_another_version_is_another_classifier(workdir: Path) -> None:
    with pytest.raises(UserError, match=r"textblob 0\.19\.0 is asked for and 0\.20\.1 is installed"):
        textblob.build(textblob.Config(source="textblob", version="0.19.0"), BuildContext(Path("tone")))
