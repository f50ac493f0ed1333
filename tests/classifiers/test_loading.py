"""Classifiers are found by label name, score the same in any batch, and refuse what would give other numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.classifiers import loading, packaged
from bench.core import manifest, storage
from bench.core.schema import UserError
from bench.lm import batching

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "you", "are", "an", "idiot", "nice", "person", "the", "dog", "barks", "."]
TEXTS = [
    "you are an idiot .",
    "",
    "nice person",
    "the dog barks . " * 30,
    "\ud800 lone \x00\x07 control",
    "you",
    "unseen",
]


def tiny(folder, labels=("nothate", "hate"), order=None, special=True, limit=64, **settings):
    """A random one-layer BERT; `order` permutes the columns of its head, and the labels with them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        raw.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    order = list(range(len(labels))) if order is None else order
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.5,
        intermediate_size=32,
        max_position_embeddings=limit,
        num_labels=len(labels),
        **settings,
    )
    config.id2label = {i: labels[k] for i, k in enumerate(order)}
    config.label2id = {label: i for i, label in config.id2label.items()}
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight[order].clone())
        model.classifier.bias.copy_(torch.linspace(-1, 1, len(labels))[order])
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    root = tmp_path_factory.mktemp("classifiers")
    tiny(root / "models" / "reward")
    tiny(root / "models" / "swapped", order=[1, 0])
    tiny(root / "models" / "bare", special=False)
    (root / "models" / "words").mkdir()
    storage.write_json(
        root / "models" / "words" / "classifier.json",
        {"library": "alt-profanity-check", "version": "1.9.1", "labels": ["clean", "profane"]},
    )
    return root


@pytest.fixture(autouse=True)
def inside(house, monkeypatch):
    monkeypatch.chdir(house)


def test_shape_order_and_probabilities():
    model = loading.load("reward", "cpu")
    logits = model.logits(TEXTS)
    assert logits.shape == (len(TEXTS), 2) and logits.dtype == np.float64 and np.isfinite(logits).all()
    assert len({tuple(row) for row in logits.round(4).tolist()}) > 3
    np.testing.assert_allclose(model.probabilities(TEXTS).sum(axis=1), 1)
    np.testing.assert_array_equal(model.logits(TEXTS[::-1])[::-1].round(5), logits.round(5))
    assert model.logits([]).shape == (0, 2) and model.probabilities([]).shape == (0, 2)


def test_against_transformers_itself():
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("models/reward")
    model = AutoModelForSequenceClassification.from_pretrained("models/reward").eval().double()  # its float32 errs too
    texts = ["you are an idiot .", "nice person", ""]
    with torch.no_grad():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits[0].tolist() for text in texts]
    np.testing.assert_allclose(loading.load("reward", "cpu").logits(texts), alone, atol=1e-6)


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_batch_composition_changes_nothing(monkeypatch, budget):
    model = loading.load("reward", "cpu")
    alone = np.concatenate([model.logits([text]) for text in TEXTS])
    monkeypatch.setitem(batching.TOKENS, "cpu", budget)
    np.testing.assert_allclose(model.logits(TEXTS * 3), np.tile(alone, (3, 1)), atol=1e-5, rtol=0)


def test_equal_texts_score_equal_to_the_bit():
    rows = loading.load("reward", "cpu").logits(["nice person", "you", "nice person"])
    assert rows[0].tolist() == rows[2].tolist()


def test_labels_by_name():
    straight, swapped = loading.load("reward", "cpu"), loading.load("swapped", "cpu")
    assert straight.labels == ("nothate", "hate") and swapped.labels == ("hate", "nothate")
    for label in straight.labels:
        by_name = [m.logits(TEXTS)[:, m.column(label)] for m in (straight, swapped)]
        np.testing.assert_allclose(*by_name, atol=1e-6)
    assert abs(straight.logits(TEXTS)[:, 0] - swapped.logits(TEXTS)[:, 0]).max() > 0.1
    with pytest.raises(UserError, match=r"'reward' has no label 'toxic'.*nothate, hate"):
        straight.column("toxic")


def test_truncates_at_the_position_table():
    model = loading.load("reward", "cpu")  # 64 positions
    np.testing.assert_allclose(*model.logits(["the dog " * 40, "the dog " * 400]), atol=1e-6)


def test_empty_text_without_special_tokens():
    model = loading.load("bare", "cpu")
    rows = model.logits(["", "you are", "unseen"])
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)  # one unknown token each


def test_identity_names_the_weights(house):
    a, b = loading.load("reward", "cpu").identity, loading.load("swapped", "cpu").identity
    digest = manifest.folder_digest(house / "models" / "reward")
    assert a == f"bert@{digest[:8]}" and a != b


def test_profanity():
    pytest.importorskip("profanity_check", reason="alt-profanity-check is not installed (pip install '.[judge]')")
    model = loading.load("words", "cpu")
    rows = model.probabilities(["have a nice day", "you fucking asshole", "", "\ud800"])
    assert model.identity == "alt-profanity-check-1.9.1" and rows.shape == (4, 2)
    profane = rows[:, model.column("profane")]
    assert profane[0] < 0.1 and profane[1] > 0.9
    from profanity_check import predict_prob

    np.testing.assert_allclose(profane[:2], predict_prob(["have a nice day", "you fucking asshole"]), atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [{"library": "other"}, {"labels": ["profane", "clean"]}, {"version": None}],
)
def test_profanity_refuses(house, change):
    facts = storage.read_json(house / "models" / "words" / "classifier.json") | change
    storage.write_json(house / "models" / "wrong" / "classifier.json", facts)
    with pytest.raises(UserError, match="does not describe"):
        loading.load("wrong", "cpu")


def test_profanity_another_version_or_none(monkeypatch):
    def missing(name):
        raise packaged.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packaged.metadata, "version", lambda name: "1.0.0")
    with pytest.raises(UserError, match=r"1\.9\.1 is asked for and 1\.0\.0 is installed"):
        loading.load("words", "cpu")
    monkeypatch.setattr(packaged.metadata, "version", missing)
    with pytest.raises(UserError, match=r"not installed; run `pip install alt-profanity-check==1\.9\.1`"):
        loading.load("words", "cpu")


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"problem_type": "regression"}, "'regression' is not supported"),
        ({"problem_type": "multi_label_classification"}, "'multi_label_classification' is not supported"),
        ({"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}, "single logit"),
        ({"id2label": {"0": "hate", "1": "hate"}}, "two columns share a name"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}, "3 labels are one choice"),
        ({"model_type": "nonsense"}, "cannot be loaded"),
    ],
)
def test_refuses_other_heads(tmp_path, monkeypatch, values, message):
    change(tiny(tmp_path / "models" / "odd"), **values)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        loading.load("odd", "cpu")


def test_refuses_a_model_without_a_head(tmp_path, monkeypatch):
    from transformers import AutoModel

    AutoModel.from_pretrained(tiny(tmp_path / "models" / "headless")).save_pretrained(tmp_path / "models" / "headless")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"lacks 2 weights .* \(classifier\.bias, classifier\.weight\)"):
        loading.load("headless", "cpu")


def test_refuses_a_tokenizer_of_another_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tiny(tmp_path / "models" / "odd")
    path = folder / "tokenizer.json"
    facts = json.loads(path.read_text())
    facts["model"]["vocab"]["another"] = 99
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"last token is 99 and the model has embeddings for 14"):
        loading.load("odd", "cpu")


@pytest.mark.parametrize("longest", ["", "512", 0, -1, 0.5, [1]])
def test_refuses_a_longest_text_that_is_no_length(tmp_path, monkeypatch, longest):
    monkeypatch.chdir(tmp_path)
    path = tiny(tmp_path / "models" / "odd") / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": longest}))
    with pytest.raises(UserError, match="model_max_length: .* is no number of tokens|cannot be loaded"):
        loading.load("odd", "cpu")


def test_refuses_labels_that_do_not_name_the_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for names in ("x", {"a": "hate", "b": "nothate"}, {"0": "hate", "2": "nothate"}):
        change(tiny(tmp_path / "models" / "odd"), id2label=names)
        with pytest.raises(UserError, match="id2label: must name the columns"):
            loading.load("odd", "cpu")


def test_refuses_broken_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tiny(tmp_path / "models" / "odd")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="no whole safetensors file"):
        loading.load("odd", "cpu")


def test_refuses_missing_and_pickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"models/nowhere holds no classifier .*'nowhere'"):
        loading.load("nowhere", "cpu")
    folder = tiny(tmp_path / "models" / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \.safetensors weights"):
        loading.load("pickled", "cpu")


def test_roberta_positions_start_late(tmp_path, monkeypatch):
    import torch
    from transformers import RobertaConfig, RobertaForSequenceClassification

    folder = tiny(tmp_path / "models" / "roberta")
    RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=34,
            pad_token_id=0,
            type_vocab_size=1,
            num_labels=2,
        )
    ).save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    with torch.no_grad():
        assert np.isfinite(loading.load("roberta", "cpu").logits(["the dog " * 100])).all()
