"""The hot paths under pytest-benchmark; each result is checked once against a naive computation. See README.md here."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from bench import stats
from bench.data import texts
from bench.metrics import rouge

PAIRS, DIALOGUES, RESAMPLES = 1500, 500, 10_000
VOCABULARY = 32_128
WORDS = 100  # of a model whose head is not what is timed

Benchmark = Any  # pytest-benchmark's fixture is untyped


def sentence(rng: random.Random, length: int) -> str:
    """Words with endings, so that the stemmer has work, in sentences."""
    stems = ["talk", "meet", "plan", "travel", "order", "call", "ask", "book", "cook", "help", "visit", "answer"]
    words = [rng.choice(stems) + rng.choice(["", "s", "ed", "ing"]) for _ in range(length)]
    return " ".join(word + ("." if k % 9 == 8 else "") for k, word in enumerate(words)) + "."


def flan_t5_small(layers: int, decoder_layers: int) -> Any:
    """Some layers of that width with random weights."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=WORDS,
        d_model=512,
        d_kv=64,
        num_heads=6,
        d_ff=1024,
        num_layers=layers,
        num_decoder_layers=decoder_layers,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config).eval().requires_grad_(False)
    model.generation_config.decoder_start_token_id, model.generation_config.eos_token_id = 0, 1
    return model


def test_rouge_over_1500_pairs(benchmark: Benchmark) -> None:
    from rouge_score import rouge_scorer

    rng, config = random.Random(0), rouge.Config()
    predictions = [sentence(rng, 25) for _ in range(PAIRS)]
    references = [[sentence(rng, 22)] for _ in range(PAIRS)]
    found = benchmark.pedantic(rouge.rouge_rows, (predictions, references, config), rounds=3, warmup_rounds=1)
    assert len(found) == PAIRS
    naive = rouge_scorer.RougeScorer(list(config.types), use_stemmer=True)
    for k in range(0, PAIRS, 100):
        pair = ("\n".join(texts.sentences(text)) for text in (references[k][0], predictions[k]))
        expected = {key: score.fmeasure for key, score in naive.score(*pair).items()}
        assert found[k] == pytest.approx(expected)


def test_intervals_of_all_columns_of_five_variants(benchmark: Benchmark) -> None:
    """As many as the report's: 20 means with Student's interval and 40 shares with bounded ones, 5 variants."""
    rng = np.random.default_rng(0)
    values = rng.beta(1, 4, (DIALOGUES, 300))
    supports: list[stats.Support | None] = [None] * 100 + [(0.0, 1.0)] * 200
    low, high = benchmark.pedantic(stats.mean_intervals, (values, supports, 0.95, RESAMPLES, 0), rounds=3)
    naive = scipy.stats.t.interval(0.95, DIALOGUES - 1, values[:, 0].mean(), scipy.stats.sem(values[:, 0]))
    assert (low[0], high[0]) == pytest.approx(naive)
    weights = rng.dirichlet(np.ones(DIALOGUES + 1), RESAMPLES)
    upper = np.quantile(weights @ np.r_[values[:, -1], 1.0], 0.975)
    assert high[-1] == pytest.approx(upper, abs=0.1 * (high[-1] - low[-1]))


def test_exact_kl_over_a_whole_vocabulary(benchmark: Benchmark) -> None:
    """Summaries of 40 tokens over T5's vocabulary: 16 on a GPU, 2 on a CPU (20 MB a tensor)."""
    import torch

    from bench.lm import models

    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    shape = (16 if device == "cuda" else 2, 40, VOCABULARY)
    policy, reference = (
        torch.randn(shape, generator=generator).log_softmax(-1).to(device) for _ in ("policy", "reference")
    )

    def run() -> torch.Tensor:
        found = models.exact_kl(policy, reference)
        if device == "cuda":
            torch.cuda.synchronize()
        return found

    found = benchmark.pedantic(run, rounds=10, warmup_rounds=2)
    for place in ((0, 0), (1, 39)):
        p, q = (np.asarray(t[place].cpu(), np.float64) for t in (policy, reference))
        assert found[place].item() == pytest.approx(float(np.sum(np.exp(p) * (p - q))), rel=1e-4)
    assert models.exact_kl(policy[:1, :1], policy[:1, :1]).item() == 0


def test_collation_of_a_batch_of_long_dialogues(benchmark: Benchmark) -> None:
    from bench.lm import models

    rng = random.Random(0)
    sources = [[rng.randrange(2, VOCABULARY) for _ in range(rng.randrange(100, 512))] for _ in range(64)]
    targets = [[rng.randrange(2, VOCABULARY) for _ in range(rng.randrange(5, 128))] for _ in range(64)]
    batch = benchmark(models.collate, sources, targets, 0, "cpu")
    for k, (source, target) in enumerate(zip(sources, targets, strict=True)):
        width, height = batch.input_ids.shape[1], batch.labels.shape[1]
        assert batch.input_ids[k].tolist() == source + [0] * (width - len(source))
        assert batch.attention_mask[k].tolist() == [1] * len(source) + [0] * (width - len(source))
        assert batch.labels[k].tolist() == target + [models.IGNORE_INDEX] * (height - len(target))


def test_generation_of_a_tiny_random_t5(benchmark: Benchmark, tiny_base: Path) -> None:
    import torch

    from bench import generation
    from bench.lm import models

    loaded, limit, rng = models.load("base", "cpu"), 16, random.Random(0)
    size = loaded.model.config.vocab_size
    sources = [[rng.randrange(3, size) for _ in range(rng.randrange(10, 40))] + [1] for _ in range(16)]
    found = benchmark.pedantic(generation.generate, (loaded, sources, limit), rounds=5, warmup_rounds=1)
    for k in (0, 7):
        tokens = [int(loaded.model.generation_config.decoder_start_token_id)]
        while len(tokens) <= limit and (len(tokens) == 1 or tokens[-1] != loaded.tokenizer.eos_token_id):
            with torch.no_grad():
                logits = loaded.model(
                    input_ids=torch.tensor([sources[k]]), decoder_input_ids=torch.tensor([tokens])
                ).logits
            tokens.append(int(logits[0, -1].argmax()))
        assert list(found[k][0].token_ids) == tokens[1:]


@pytest.mark.parametrize("keys", ["copied", "shared"])
def test_four_samples_a_dialogue(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    """16 dialogues of 100 to 400 tokens by two of FLAN-T5-small's decoder layers, 16 tokens a sample."""
    import torch

    from bench import generation
    from bench.lm import models, shared_attention

    if keys == "copied":
        monkeypatch.setattr(shared_attention.SharedCrossAttention, "settle", lambda self, cache: None)
    model = flan_t5_small(layers=1, decoder_layers=2)
    tokenizer: Any = SimpleNamespace(pad_token_id=0)
    loaded = models.Loaded("t5", model, tokenizer, "full", None)
    rng, limit = random.Random(0), 16
    sources = [[rng.randrange(3, WORDS) for _ in range(rng.randrange(100, 400))] for _ in range(16)]
    uniforms = torch.rand(16, 4, limit)
    found = benchmark.pedantic(generation.generate, (loaded, sources, limit, uniforms), rounds=5, warmup_rounds=1)
    for i, draw in ((0, 0), (15, 3)):
        assert generation.generate(loaded, sources[i : i + 1], limit, uniforms[i : i + 1, draw : draw + 1]) == [
            [found[i][draw]]
        ]


@pytest.mark.parametrize("kept", [False, True], ids=["plain", "packed"])
def test_the_head_of_flan_t5_small_for_16_rows(benchmark: Benchmark, kept: bool) -> None:
    """What most of a decoding step's products are like: few rows, many weights."""
    import torch

    from bench.lm import prepack

    torch.manual_seed(0)
    head = torch.nn.Linear(512, VOCABULARY, bias=False).requires_grad_(False)
    x, plain = torch.randn(16, 1, 512), head.weight.clone()
    if kept:
        prepack.prepack(head)
    found = benchmark.pedantic(head, (x,), rounds=50, warmup_rounds=3)
    for row in (0, 15):
        naive = plain.double() @ x[row, 0].double()
        assert found[row, 0].numpy() == pytest.approx(naive.numpy(), abs=1e-5)


@pytest.mark.parametrize("kernels", ["torch", "ours"])
@pytest.mark.parametrize("layer", ["linear", "LoRA 8", "LoRA 32", "attention"])
def test_a_layer_in_training(benchmark: Benchmark, layer: str, kernels: str) -> None:
    """Forward and backward at FLAN-T5-small's width: 16 dialogues of 200 tokens, LoRA by rank, a mask that is learnt."""
    import copy
    from contextlib import nullcontext

    import peft
    import torch
    import torch.nn.functional as F

    from bench.training import passes

    torch.manual_seed(0)
    if layer == "attention":
        inputs = [torch.randn(16, 200, 6, 64).transpose(1, 2) for _ in range(3)] + [torch.randn(1, 6, 200, 200)]

        def compute(query: Any, key: Any, value: Any, mask: Any) -> Any:
            return F.scaled_dot_product_attention(query, key, value, mask, scale=1.0)

        module: Any = compute
    else:
        inputs, module = [torch.randn(16, 200, 512)], torch.nn.Sequential(torch.nn.Linear(512, 1024, bias=False))
        if layer.startswith("LoRA"):
            adapter = peft.LoraConfig(r=int(layer.split()[1]), target_modules=["0"], init_lora_weights=False)
            module = peft.get_peft_model(module, adapter)  # type: ignore[arg-type]

    def run(given: list[Any], by: Any, context: Any) -> tuple[Any, Any]:
        given = [one.detach().requires_grad_() for one in given]
        with context:
            found = by(*given)
        found.square().mean().backward()
        return found, given[0].grad

    found = benchmark.pedantic(
        lambda: run(inputs, module, passes.for_training("cpu") if kernels == "ours" else nullcontext()),
        rounds=15,
        warmup_rounds=3,
    )
    exact = module if layer == "attention" else copy.deepcopy(module).double()
    naive = run([one.double() for one in inputs], exact, nullcontext())
    for one, other in zip(found, naive, strict=True):
        assert torch.allclose(one.double(), other, atol=1e-4)


@pytest.mark.parametrize("budget", [512, 1024, 2048, 4096, 8192])
def test_encoding_by_token_budget(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """Two of FLAN-T5-small's encoder layers, 64 dialogues of 20 to 400 tokens."""
    import torch

    from bench.lm import architectures, batching, prepack

    rng, size = random.Random(0), WORDS
    model = flan_t5_small(layers=2, decoder_layers=1)
    sources = [[rng.randrange(3, size) for _ in range(rng.randrange(20, 400))] for _ in range(64)]
    monkeypatch.setitem(batching.TOKENS, "cpu", budget)
    with prepack.prepacked(model):
        found = benchmark.pedantic(
            architectures.of(model).start_decoding, (model, sources, 0), rounds=5, warmup_rounds=1
        )
    for k in (0, 63):
        alone = model.get_encoder()(input_ids=torch.tensor([sources[k]])).last_hidden_state[0]
        assert torch.allclose(found.hidden[k, : len(sources[k])], alone, atol=1e-4)
