"""What a model cannot do is said before anything long begins, whatever kind it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.classifiers import loading
from bench.classifiers.loading import Classifier
from bench.core import paths
from bench.core.schema import UserError
from bench.evaluation import rehearsal
from bench.lm import models
from tests.conftest import save_chat_tokenizer
from tests.lm import families
from tests.lm.test_adapters import ADAPTERS


def test_a_prompt_beyond_the_positions_is_said(workdir: Path) -> None:
    families.seq2seq("bart", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    rehearsal.rehearse(loaded, families.POSITIONS, families.POSITIONS, "models/base")
    for source, target in ((families.POSITIONS + 1, 4), (4, families.POSITIONS + 1)):
        with pytest.raises(
            UserError, match=rf"models/base: the model cannot read {source} tokens and predict {target}"
        ):
            rehearsal.rehearse(loaded, source, target, "models/base")


def test_a_cache_that_drops_no_rows_is_said(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import DynamicCache

    families.decoder("llama", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    monkeypatch.delattr(DynamicCache.__mro__[1], "batch_select_indices")
    with pytest.raises(UserError, match=r"models/base: the model cannot write \(AttributeError: .*docs/studies\.md"):
        rehearsal.rehearse(loaded, 8, 4, "models/base")


def test_a_model_that_writes_from_other_positions_than_it_trains_on_is_said(workdir: Path) -> None:
    """M2M counts positions by what is no padding: a start token that is the padding counts only where it is cached."""
    families.seq2seq("m2m_100", paths.model_path("base"), decoder_start_token_id=0)
    with pytest.raises(UserError, match=r"^models/base: it writes with other figures than those that it is trained on"):
        rehearsal.rehearse(models.load("base", "cpu"), 8, 4, "models/base")


def test_a_hybrid_cache_is_said_before_anything_long_begins(workdir: Path) -> None:
    from transformers import AutoModelForCausalLM, Lfm2Config

    folder = paths.model_path("base")
    size = save_chat_tokenizer(folder)
    config = Lfm2Config(vocab_size=size, layer_types=["conv", "full_attention"], **families.SMALL)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    with pytest.raises(UserError, match=r"^models/base: .*(cannot write|takes no|padding changes)"):
        rehearsal.rehearse(models.load("base", "cpu"), 8, 4, "models/base")


def test_a_model_that_reads_its_padding_is_said(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    families.decoder("gpt2", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    forward = loaded.model.forward

    def blind(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)  # positions then count the padding too

    monkeypatch.setattr(loaded.model, "forward", blind)
    with pytest.raises(UserError, match="models/base: padding changes its figures"):
        rehearsal.rehearse(loaded, 20, 4, "models/base")


def test_weights_that_give_no_numbers_are_said(workdir: Path) -> None:
    families.seq2seq("t5", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    with torch.no_grad():
        loaded.model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(UserError, match="its figures are no numbers"):
        rehearsal.rehearse(loaded, 8, 4, "models/base")


@pytest.mark.parametrize("pad", [None, 0, 2])
def test_a_decoder_s_classifier_scores_a_text_alike_alone_and_beside_another(
    pad: int | None, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head looks for the last token that is no padding: by the config's word, which may be another or none."""
    from transformers import AutoModelForSequenceClassification, LlamaConfig

    folder = paths.model_path("reward")
    size = save_chat_tokenizer(folder, pad_token="<|im_end|>")
    torch.manual_seed(0)
    settings = {key: value for key, value in families.SMALL.items() if key != "initializer_range"}
    config = LlamaConfig(vocab_size=size, pad_token_id=pad, initializer_range=0.3, **settings)
    config.id2label, config.label2id = {0: "fine", 1: "toxic"}, {"fine": 0, "toxic": 1}
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    classifier = loading.load("reward", "cpu")
    rehearsal.rehearse_classifier(classifier, "models/reward")
    alone = [classifier.logits([text])[0] for text in rehearsal.TEXTS]
    assert np.allclose(classifier.logits(rehearsal.TEXTS), alone, atol=1e-5)
    assert not np.allclose(alone[0], alone[1], atol=1e-2)


def test_a_classifier_whose_scores_depend_on_their_neighbours_is_said() -> None:
    def score(texts: Any) -> np.ndarray:
        return np.array([[len(max(texts, key=len)), len(text)] for text in texts], dtype=float)

    with pytest.raises(UserError, match="models/x: a text's score depends on what stands beside it"):
        rehearsal.rehearse_classifier(Classifier("x", ("a", "b"), "x", score), "models/x")


def test_six_labels_without_a_word_about_them_are_asked_about(tiny_reward: Path) -> None:
    path = tiny_reward / "config.json"
    names = {str(k): f"label {k}" for k in range(6)}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": names, "problem_type": None}))
    with pytest.raises(UserError, match=r"6 labels are one choice or as many questions; .* problem_type:"):
        loading.load("reward", "cpu")
    (tiny_reward / "facts.json").write_text(json.dumps({"problem_type": "single_label_classification"}))
    with pytest.raises(UserError, match=r"cannot be loaded"):  # the weights have two: the question was answered
        loading.load("reward", "cpu")


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_adapter_is_stored_and_read_again(kind: str, workdir: Path) -> None:
    families.seq2seq("t5", paths.model_path("base"))
    loaded = models.with_adapter(models.load("base", "cpu"), ADAPTERS[kind])
    rehearsal.rehearse_storing(loaded, "variants.v.adapter")
    assert sorted(path.name for path in paths.MODELS.iterdir()) == ["base"], "nothing is left behind"


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_adapters_of_decoders_are_stored_and_read_again(family: str, dora: bool, workdir: Path) -> None:
    """GPT-2 stores its weights the other way round."""
    families.decoder(family, paths.model_path("base"))
    adapter = {"type": "LORA", "r": 2, "use_dora": dora, "target_modules": "all-linear"}
    rehearsal.rehearse_storing(models.with_adapter(models.load("base", "cpu"), adapter), "variants.v.adapter")


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_whole_model_is_stored_and_read_again(family: str, workdir: Path) -> None:
    families.seq2seq(family, paths.model_path("base"))
    rehearsal.rehearse_storing(models.load("base", "cpu"), "models/base")
    assert sorted(path.name for path in paths.MODELS.iterdir()) == ["base"]


@pytest.mark.parametrize("adapter", [None, ADAPTERS["LORA"]], ids=["whole", "adapter"])
def test_what_is_lost_in_storing_is_said(
    adapter: dict[str, Any] | None, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that writes a tensor otherwise than it is: here the last one of what is written, halved."""
    import safetensors.torch

    families.seq2seq("t5", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    loaded = loaded if adapter is None else models.with_adapter(loaded, adapter)
    real = models.save

    def spoilt(*args: Any) -> Any:
        record = real(*args)
        (path,) = paths.model_path(rehearsal.TRIAL).glob("*.safetensors")
        tensors = safetensors.torch.load_file(path)
        spoilt = {key: value * (1.5 if "SelfAttention.q" in key else 1) for key, value in tensors.items()}
        safetensors.torch.save_file(spoilt, path, metadata={"format": "pt"})
        return record

    monkeypatch.setattr(models, "save", spoilt)
    with pytest.raises(UserError, match=r"^models/base: stored and read again it gives other figures \(by "):
        rehearsal.rehearse_storing(loaded, "models/base")
    assert sorted(path.name for path in paths.MODELS.iterdir()) == ["base"]
    monkeypatch.setattr(models, "save", lambda *_: (_ for _ in ()).throw(RuntimeError("shared tensors")))
    with pytest.raises(UserError, match=r"cannot be stored and read again \(RuntimeError: shared tensors\)"):
        rehearsal.rehearse_storing(loaded, "models/base")
