"""Every family that is let in: what is trained on is what is written from, padding changes nothing, saved is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import generation
from bench.core import manifest, paths
from bench.core.schema import UserError
from bench.evaluation import rehearsal
from bench.lm import architectures, models
from tests.lm import families

SOURCES = [[10, 11, 12, 13, 14, 15, 1], [20, 21, 1]]
TARGETS = [[30, 31, 1], [32, 33, 34, 35, 1]]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((families.seq2seq, name) for name in families.SEQ2SEQ),
        *((families.decoder, name) for name in families.DECODERS),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_family_does_all_that_its_stages_ask(make: Any, name: str, workdir: Path) -> None:
    """What its stages ask of it, on trial; and what is saved computes what was loaded."""
    make(name, paths.model_path("base"))
    loaded = models.load("base", "cpu")
    rehearsal.rehearse(loaded, 40, 20, "models/base")
    models.save(loaded, "again", "sft", {})
    batch = models.collate(SOURCES, TARGETS, int(loaded.tokenizer.pad_token_id), "cpu")
    with torch.no_grad():
        before, after = (
            models.target_logits(one.model, batch)[batch.labels != -100]
            for one in (loaded, models.load("again", "cpu"))
        )
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize(("name", "start"), [("mbart", 5), ("bart", 2), ("t5", 0), ("m2m_100", 7), ("blenderbot", 3)])
def test_training_reads_what_decoding_reads(name: str, start: int, workdir: Path) -> None:
    """The loss of a target is that of its tokens one by one, each after the start token and what came before."""
    families.seq2seq(name, paths.model_path("base"), decoder_start_token_id=start)
    loaded = models.load("base", "cpu")
    source, target = SOURCES[0], TARGETS[1]
    nats = []
    with torch.no_grad():
        for place, token in enumerate(target):
            read = torch.tensor([[start, *target[:place]]])
            logits = loaded.model(input_ids=torch.tensor([source]), decoder_input_ids=read).logits[0, -1]
            nats.append(-float(logits.log_softmax(-1)[token]))
        batch = models.collate([source], [target], 0, "cpu")
        found = architectures.of(loaded.model).loss(loaded.model, batch)
    assert float(found) == pytest.approx(sum(nats) / len(nats), rel=1e-4)


def test_opt_s_value_head_reads_the_projected_states(workdir: Path) -> None:
    from bench.methods.ppo.learner import PolicyWithValue

    families.decoder("opt", paths.model_path("base"))
    policy = PolicyWithValue(models.load("base", "cpu").model)
    logits, values = policy(models.collate(SOURCES, TARGETS, 2, "cpu"))
    assert policy.value_head.in_features == 8 and values.shape == logits.shape[:2] == (2, 5)


@pytest.mark.parametrize("named", [[2, 70], [70, 71, 2]])
def test_every_end_token_ends_a_summary(named: list[int], workdir: Path) -> None:
    folder = families.decoder("llama", paths.model_path("base"))
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": named}))
    loaded = models.load("base", "cpu")
    assert loaded.ends[0] == 2 and set(loaded.ends) == set(named)
    with torch.no_grad():  # whatever it reads, it writes token 70
        loaded.model.get_output_embeddings().weight.zero_()
        loaded.model.get_output_embeddings().weight[70] = 1.0
        loaded.model.model.norm.weight.fill_(1.0)
    generated = [one for (one,) in generation.generate(loaded, SOURCES, 6)]
    states = [70 in one.token_ids for one in generated]
    assert any(states)
    for one, ended in zip(generated, states, strict=True):
        if ended:
            assert one.token_ids[-1] == 70 and not one.hit_limit
    models.save(loaded, "again", "sft", {})
    assert models.load("again", "cpu").ends == loaded.ends


def test_a_control_token_beyond_the_embeddings_is_harmless_and_a_word_is_not(workdir: Path) -> None:
    folder = families.decoder("gemma", paths.model_path("base"))
    tokenizer = models.load("base", "cpu").tokenizer
    beyond = ["<image>", "<image 2>", "<image 3>", "<image 4>", "<image 5>"]
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", *beyond]})
    tokenizer.save_pretrained(folder)
    assert max(tokenizer.get_vocab().values()) >= models.load("base", "cpu").model.get_input_embeddings().num_embeddings
    tokenizer.add_tokens(["idiot"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="do not belong together"):
        models.load("base", "cpu")


def test_positions_that_the_architecture_computes_need_not_be_stored(workdir: Path) -> None:
    folder = families.seq2seq("pegasus", paths.model_path("base"))
    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "embed_positions" not in key}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    models.load("base", "cpu")
    lacking = {key: value for key, value in kept.items() if "decoder.layers.0.fc1.bias" not in key}
    save_file(lacking, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights .*fc1\.bias"):
        models.load("base", "cpu")


def test_constants_of_old_files_are_no_layers(workdir: Path) -> None:
    folder = families.decoder("gpt2", paths.model_path("base"))
    weights = load_file(folder / "model.safetensors")
    prefix = "transformer.h.0.attn" if any(key.startswith("transformer.") for key in weights) else "h.0.attn"
    old = {f"{prefix}.masked_bias": torch.tensor(-1e4), f"{prefix}.bias": torch.ones(1, 1, 8, 8).tril()}
    save_file(weights | old, folder / "model.safetensors", {"format": "pt"})
    models.load("base", "cpu")
    save_file(weights | {f"{prefix}.other": torch.randn(4, 4)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="holds 1 weights"):
        models.load("base", "cpu")


def test_code_of_a_type_that_transformers_knows_is_not_needed(workdir: Path) -> None:
    folder = families.decoder("phi3", paths.model_path("base"))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoConfig": "configuration_phi3.X"}}))
    models.load("base", "cpu")


def test_weights_beside_those_that_are_read_count_for_nothing(workdir: Path) -> None:
    folder = families.decoder("llama", paths.model_path("base"))
    before = manifest.stored_bytes("base"), manifest.stored_parameters("base"), manifest.digest("base")
    save_file({"x": torch.zeros(100)}, folder / "consolidated.safetensors")
    assert (manifest.stored_bytes("base"), manifest.stored_parameters("base"), manifest.digest("base")) == before
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    keys = dict.fromkeys(load_file(folder / "model-00001-of-00001.safetensors"), "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": keys}))
    assert manifest.stored_bytes("base") == before[0]
    models.load("base", "cpu")
