"""Every summary's reward is what the reward model says of it by itself; what no training saw is a result, what it followed a reward."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.classifiers import loading
from bench.classifiers.reward_models.writing import SummedHead
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.lm import models
from bench.metrics import ScoreContext, reward_model
from bench.reward_models import settings_of
from bench.reward_models.head import Config as HeadConfig

EXAMPLES = [
    Example(id=f"e{k}", dialogue_id=f"e{k}", source=f"hello you are {'abc'[k]}", references=("a b",)) for k in range(3)
]


@pytest.fixture
def trained(tiny_base: Path) -> str:
    """A reward model with a head that is not 0."""
    model = SummedHead(models.load("base", "cpu"), TextConfig())
    torch.manual_seed(0)
    torch.nn.init.normal_(model.module.head.weight)  # type: ignore[union-attr, arg-type]
    config = HeadConfig(
        form="head", init="base", learns_from="preferences/p", tested_on="preferences/p",
        optim={"learning_rate": 1e-3, "steps": 1},
    )  # fmt: skip
    model.save("rm", settings_of(config, TextConfig()), {})
    return "rm"


def test_each_summary_has_its_own_reward(trained: str) -> None:
    written = [
        Prediction(id=e.id, dialogue_id=e.dialogue_id, output=output, draw=0, text=text)
        for e in EXAMPLES
        for output, text in (("greedy", "kind friend"), ("sample", f"{e.source} idiot"))
    ]
    context = ScoreContext(
        variant="v", start=None, examples=EXAMPLES, predictions=written, text=TextConfig(),
        generation=GenerationConfig(), device="cpu",
    )  # fmt: skip
    config = reward_model.Config(followed=[trained])
    rows = reward_model.score(config, context)
    alone = loading.load(trained, "cpu")
    by_id = {e.id: e.source for e in EXAMPLES}
    for row, p in zip(rows, written, strict=True):
        expected = float(alone.pair_logits([(by_id[p.id], p.text)])[0, 0])
        assert row.values == {"reward_rm": pytest.approx(expected, abs=1e-5)} and row.output == p.output
    assert len({round(row.values["reward_rm"], 4) for row in rows}) > 3
    signed = reward_model.signature(config, context)
    assert signed["reward_rm"] == f"reward_rm|bench-reward-1|{alone.identity}" and "reward_rm_sampled" in signed


def test_what_was_followed_is_a_reward_and_what_was_not_a_result() -> None:
    columns = reward_model.columns(reward_model.Config(followed=["rm"], judges=["other"]))
    assert {key: column.role for key, column in columns.items()} == {
        "reward_rm": "reward",
        "reward_rm_sampled": "reward",
        "reward_other": "quality",
        "reward_other_sampled": "shape",
    }
    assert reward_model.rewards(reward_model.Config(judges=["other"])) == {"judges.0": "other"}
    with pytest.raises(ValueError, match="name the reward models, each once"):
        reward_model.Config()
