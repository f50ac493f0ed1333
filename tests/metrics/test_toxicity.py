"""Toxicity goes by the label's name, on the summary alone; a head whose columns are swapped gives the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import ScoreContext, toxicity

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "you", "are", "an", "idiot", "nice", "person", "he", "thanks", "him", "."]
LABELS = ("nothate", "hate")
SOURCE = "you are an idiot . you are nice ."


def classifier(folder, order):
    """A random BERT whose columns stand in the given order; the same weights otherwise."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label={column: LABELS[i] for column, i in enumerate(order)},
        label2id={LABELS[i]: column for column, i in enumerate(order)},
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight[order].clone())
        model.classifier.bias.copy_(torch.tensor([-0.7, 0.4])[order])
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    root = tmp_path_factory.mktemp("toxicity")
    classifier(root / "models" / "straight", [0, 1])
    classifier(root / "models" / "swapped", [1, 0])
    return root


@pytest.fixture(autouse=True)
def inside(house, monkeypatch):
    monkeypatch.chdir(house)


def context(texts, start="base", samples=True):
    examples = [
        Example(id=f"t{i}", dialogue_id=f"d{i // 2}", source=SOURCE, references=("x",)) for i in range(len(texts))
    ]
    made = [
        Prediction(
            id=f"t{i}", dialogue_id=f"d{i // 2}", output=output, draw=0, text=text if output == "greedy" else text[::-1]
        )
        for output in (("greedy", "sample") if samples else ("greedy",))
        for i, text in enumerate(texts)
    ]
    return ScoreContext("v", start, examples, made, TextConfig(), GenerationConfig(), "cpu")


def config(reward="straight", judge="swapped", **extra):
    return toxicity.Config(classifiers={"reward": {"checkpoint": reward}, "judge": {"checkpoint": judge}}, **extra)


TEXTS = ["you are an idiot .", "he thanks him .", ""]


def test_by_name_and_not_by_position():
    rows = toxicity.score(config(), context(TEXTS))
    for row in rows:
        end = "_input" if row.output == "dialogue" else ""
        assert row.values[f"toxicity_reward{end}"] == pytest.approx(row.values[f"toxicity_judge{end}"], abs=1e-6)
    other = toxicity.score(config("swapped", "straight"), context(TEXTS))
    for row, same in zip(rows, other, strict=True):
        assert row.values == pytest.approx(same.values, abs=1e-5)
    # The classifiers do tell the labels apart, so that an index by position could not have passed.
    assert all(abs(row.values["toxicity_reward"] - 0.5) > 0.01 for row in rows if row.output == "greedy")


def test_values_by_hand():
    """The reward is the raw logit of 'nothate', the toxicity the softmax's share of 'hate'."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("models/straight")
    model = AutoModelForSequenceClassification.from_pretrained("models/straight").eval()
    with torch.no_grad():
        nothate, hate = model(**tokenizer(TEXTS[0], return_tensors="pt")).logits[0].tolist()
    row = toxicity.score(config(), context(TEXTS))[0]
    assert row.values["reward"] == pytest.approx(nothate, abs=1e-5)
    assert row.values["toxicity_judge"] == pytest.approx(np.exp(hate) / (np.exp(hate) + np.exp(nothate)), abs=1e-6)


def test_rows():
    """Every prediction once with the summary's own text, then every dialogue once, without a reward."""
    ours = context(TEXTS)
    rows = toxicity.score(config(), ours)
    assert [(r.id, r.output) for r in rows] == [(p.id, p.output) for p in ours.predictions] + [
        ("t0", "dialogue"),
        ("t2", "dialogue"),
    ]
    assert set(rows[0].values) == set(rows[3].values) == {"toxicity_reward", "toxicity_judge", "reward"}
    assert set(rows[-1].values) == {"toxicity_reward_input", "toxicity_judge_input"}
    direct = ours.classifier("straight")
    share = direct.probabilities([SOURCE])[0, direct.column("hate")]
    assert rows[-1].values["toxicity_reward_input"] == pytest.approx(share, abs=1e-6)
    assert rows[0].values["toxicity_reward"] != pytest.approx(share, abs=1e-3)
    known = toxicity.columns(config())
    assert all(key in known for row in rows for key in row.values)
    assert all(0 <= v <= 1 for row in rows for key, v in row.values.items() if key != "reward")


def test_yardsticks_have_greedy_rows_alone():
    rows = toxicity.score(config(), context(TEXTS, start=None, samples=False))
    assert [row.output for row in rows] == ["greedy"] * 3 + ["dialogue"] * 2


def test_without_a_reward_classifier():
    only = toxicity.Config(classifiers={"judge": {"checkpoint": "swapped"}})
    assert "reward" not in toxicity.columns(only)
    assert set(toxicity.score(only, context(TEXTS))[0].values) == {"toxicity_judge"}


def test_columns():
    columns = toxicity.columns(toxicity.Config())
    assert set(columns) == {
        *(f"toxicity_{name}{end}" for name in ("reward", "judge") for end in ("", "_sampled", "_input")),
        "reward",
        "reward_sampled",
    }
    assert columns["toxicity_judge_sampled"].statistics == ("mean", "std", "p95", "max", "rate_50", "rate_10")
    assert columns["toxicity_judge_input"].statistics == ("mean",) and columns["reward"].unit == "logit"


def test_signature_names_classifier_and_label():
    found = toxicity.signature(config(), context(TEXTS))
    assert set(found) == set(toxicity.columns(config()))
    identity = context(TEXTS).classifier("straight").identity
    assert found["toxicity_reward"] == f"toxicity_reward|bench-toxicity-1|{identity}|P(hate)|on:continuation"
    assert found["reward_sampled"] == f"reward_sampled|bench-toxicity-1|{identity}|logit(nothate)|on:continuation"
    assert found["toxicity_judge_input"].endswith("|P(hate)|on:dialogue") and identity not in found["toxicity_judge"]


def test_refuses_wrong_labels():
    for work in (toxicity.score, toxicity.signature):
        with pytest.raises(UserError, match="'straight' has no label 'good'"):
            work(config(reward_label="good"), context(TEXTS))


def test_refuses_to_reward_the_toxic_label():
    with pytest.raises(ValueError, match="reward_label 'hate' is the toxic label"):
        config(reward_label="hate")


def test_refuses_an_unknown_toxic_label():
    wrong = toxicity.Config(classifiers={"judge": {"checkpoint": "swapped", "toxic": "profane"}})
    with pytest.raises(UserError, match=r"'swapped' has no label 'profane'; .*hate, nothate"):
        toxicity.score(wrong, context(TEXTS))
