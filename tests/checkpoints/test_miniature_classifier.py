"""Builds of the classifiers: Hugging Face folders, the labels by name, told apart by architecture and by data."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bench.checkpoints import BuildContext, miniature_classifier
from bench.classifiers import loading
from bench.miniature import dialogues, sentences


def build(role, out, seed=0, **training):
    return miniature_classifier.build(
        miniature_classifier.Config(role=role, seed=seed, training=training), BuildContext(out)
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("house")
    for role in ("reward", "judge"):
        build(role, root / "models" / role)
    few = {"texts": 100, "steps": 3}
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        build("reward", root / "models" / name, seed=seed, **few)
    torch.set_num_threads(threads)
    return root


@pytest.fixture(autouse=True)
def inside(house, monkeypatch):
    monkeypatch.chdir(house)


@pytest.mark.parametrize(("role", "kind"), [("reward", "roberta"), ("judge", "bert")])
def test_folders_load_with_their_labels_and_architecture(role, kind):
    loaded = loading.load(role, "cpu")
    assert loaded.labels == ("nothate", "hate")
    assert loaded.identity.startswith(f"{kind}@")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(house):
    one, again, other = (
        (house / "models" / name / "model.safetensors").read_bytes() for name in ("one", "again", "other")
    )
    assert one == again and one != other


@pytest.mark.parametrize("role", ["reward", "judge"])
def test_held_out_texts_are_told_apart(role):
    rows = sentences.texts(role, 0, 600, raters=1, part="held out")
    hate = loading.load(role, "cpu").probabilities([row.text for row in rows])[:, 1]
    assert np.mean((hate > 0.5) == np.array([row.hateful for row in rows])) >= 0.97


@pytest.mark.parametrize("role", ["reward", "judge"])
def test_quoting_references_rank_above_polite_ones_and_nothing_is_saturated(role):
    rows = dialogues.study(0, train=1, validation=1, test=400, heated=0.3)["test"]
    told = [(text, quoted) for row in rows for text, quoted in zip(row.references, row.quoted, strict=True)]
    hate = loading.load(role, "cpu").probabilities([text for text, _ in told])[:, 1]
    quoted = np.array([flag for _, flag in told])
    ranks = np.argsort(np.argsort(hate))
    area = (ranks[quoted].sum() - quoted.sum() * (quoted.sum() - 1) / 2) / (quoted.sum() * (~quoted).sum())
    assert area >= 0.97
    assert hate[quoted].mean() > 0.6 > 0.15 > hate[~quoted].mean()
    assert hate.min() > 1e-3 and hate.max() < 1 - 1e-3


def test_a_role_must_be_one_of_the_two():
    with pytest.raises(ValidationError):
        miniature_classifier.Config(role="jury")
