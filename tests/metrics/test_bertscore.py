"""BERTScore on a tiny encoder, against plain loops over transformers' own states."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import ScoreContext, bertscore

WRITTEN = ["you meet in the park", "hello kind friend", ""]
REFERENCES = [("they will meet in park", "you meet"), ("you are an idiot", "hello hello"), ("a b", "c")]


@pytest.fixture
def encoder(workdir: Path, reward_template: Path) -> Path:
    """`models/encoder`: a random BERT whose tokenizer opens and closes a text."""
    folder = workdir / "models" / "encoder"
    shutil.copytree(reward_template, folder)
    return folder


def context() -> ScoreContext:
    examples = [Example(id=str(i), dialogue_id=str(i), source="x", references=r) for i, r in enumerate(REFERENCES)]
    made = [Prediction(id=str(i), dialogue_id=str(i), output="greedy", draw=0, text=t) for i, t in enumerate(WRITTEN)]
    return ScoreContext("v", None, examples, made, TextConfig(), GenerationConfig(), "cpu")


def by_loops(folder: Path, layer: int, summary: str, reference: str) -> tuple[float, float, float]:
    """Zhang et al. 2020, equations 1 to 3, a token at a time; what opens or closes a text is matched with, not counted."""
    from transformers import AutoModel, AutoTokenizer

    tool, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    for text in (summary, reference):
        ids = tool(text or " ")["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        found.append(
            [(i in tool.all_special_ids and i != tool.unk_token_id, v) for i, v in zip(ids, states, strict=True)]
        )

    def one_way(from_: Any, to: Any) -> float:
        best = [
            max(float(torch.dot(v, w) / (v.norm() * w.norm())) for _, w in to) for special, v in from_ if not special
        ]
        return sum(best) / len(best) if best else 0.0

    precision, recall = one_way(*found), one_way(*reversed(found))
    if not precision or not recall:
        return 0.0, 0.0, 0.0
    return precision, recall, 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("references", ["mean", "max"])
def test_it_is_what_plain_loops_find(encoder: Path, layer: int, references: Any) -> None:
    config = bertscore.Config(checkpoint="encoder", layer=layer, references=references, batch_size=2)
    for row, text, several in zip(bertscore.score(config, context()), WRITTEN, REFERENCES, strict=True):
        each = [by_loops(encoder, layer, text, reference) for reference in several]
        for place, key in enumerate(("bertscore_precision", "bertscore_recall", "bertscore")):
            values = [one[place] for one in each]
            expected = max(values) if references == "max" else sum(values) / len(values)
            assert row.values[key] == pytest.approx(expected, abs=1e-5)


def test_a_text_is_like_itself_and_an_empty_one_like_nothing(encoder: Path) -> None:
    found = bertscore.Encoder("encoder", None, "cpu").states(["you meet in the park", ""], 2)
    assert bertscore.match(found[0], found[0]) == pytest.approx((1, 1, 1), abs=1e-6)
    assert bertscore.match(found[1], found[0]) == (0, 0, 0)


def test_the_signature_says_layer_and_weights(encoder: Path) -> None:
    one = bertscore.signature(bertscore.Config(checkpoint="encoder"), context())["bertscore"]
    assert "|layer:1|idf:no|rescaled:no|refs:mean" in one and "|bert@" in one
    assert bertscore.signature(bertscore.Config(checkpoint="encoder", layer=0), context())["bertscore"] != one


def test_a_layer_that_is_not_there_is_said(encoder: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.bertscore\.layer: checkpoint 'encoder' has layers 0 to 1, not 9"):
        bertscore.score(bertscore.Config(checkpoint="encoder", layer=9), context())
