"""A tiny build of the base: loads as Hugging Face reads it, stays untied, is the same bit by bit."""

from __future__ import annotations

import json

import pytest

from bench.checkpoints import BuildContext, miniature_t5

SMALL = {"pool": 60, "training": {"steps": 3, "batch_size": 4, "warmup_steps": 1}}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("base")
    facts = {}
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        facts[name] = miniature_t5.build(miniature_t5.Config(seed=seed, **SMALL), BuildContext(out / name))
    torch.set_num_threads(threads)
    return out, facts


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(built):
    out, _ = built
    assert weights(out / "one") == weights(out / "again")
    assert (out / "one" / "tokenizer.json").read_bytes() == (out / "again" / "tokenizer.json").read_bytes()
    assert weights(out / "one") != weights(out / "other")


def test_facts(built):
    _, facts = built
    assert facts["one"]["steps"] == 3 and facts["one"]["final_loss"] > 0
    assert 0.9e6 < facts["one"]["parameters"] < 1.1e6


def test_the_folder_loads_untied_and_generates(built):
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    out, facts = built
    assert json.loads((out / "one" / "config.json").read_text())["tie_word_embeddings"] is False
    model, report = AutoModelForSeq2SeqLM.from_pretrained(out / "one", output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr()
    assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert sum(parameter.numel() for parameter in model.parameters()) == facts["one"]["parameters"]
    config = model.generation_config
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 1, 0)
    tokenizer = AutoTokenizer.from_pretrained(out / "one")
    rows = tokenizer(["#Person1#: Hello.", "#Person2#: I lost my umbrella."], return_tensors="pt", padding=True)
    assert set(rows) == {"input_ids", "attention_mask"}
    assert model.generate(**rows, max_new_tokens=4).shape[0] == 2


def test_saving_again_keeps_the_head_untied(built, tmp_path):
    """As after fine-tuning: transformers reports `tie_word_embeddings` as true on every loaded T5."""
    import torch
    from transformers import AutoModelForSeq2SeqLM

    out, _ = built
    model = AutoModelForSeq2SeqLM.from_pretrained(out / "one").eval()
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[5, 6, 7, 1]])
    with torch.no_grad():
        first, second = (each(input_ids=ids, decoder_input_ids=ids).logits for each in (model, again))
    assert torch.equal(first, second)
    assert again.lm_head.weight.data_ptr() != again.shared.weight.data_ptr()


def test_progress_sees_every_step(tmp_path):
    seen = []

    def progress(items, label, total):
        for item in items:
            seen.append((label, total))
            yield item

    miniature_t5.build(miniature_t5.Config(**SMALL), BuildContext(tmp_path, progress))
    assert seen == [("base", 3)] * 3


def test_the_fresh_model_copies():
    """Before any training the circuit writes the token that followed the current one in the source."""
    import torch

    from bench.miniature import seq2seq

    torch.manual_seed(0)
    model = seq2seq.make(seq2seq.Shape(), 400).eval()
    source = torch.randperm(380)[:60].unsqueeze(0) + 15
    with torch.no_grad():
        logits = model(input_ids=source, decoder_input_ids=source).logits[0, :-1]
    logits[torch.arange(59), source[0, :-1]] = -1e9  # the residual stream still shows the token itself
    assert (logits.argmax(-1) == source[0, 1:]).float().mean() > 0.5
