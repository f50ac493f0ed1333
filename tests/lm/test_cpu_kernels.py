"""The faster functions are torch's: equal to a product in double precision, and in law where they draw numbers."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers

from bench.lm import architectures, cpu_kernels, models
from bench.lm.architectures.interface import Batch

DRAWS = 200_000


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_dropout_drops_the_share_asked_for_and_keeps_the_mean(p: float) -> None:
    x = torch.ones(DRAWS, requires_grad=True)
    with cpu_kernels.CpuKernels():
        found = F.dropout(x, p)
    dropped = (found == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=4.5 * (p * (1 - p) / DRAWS) ** 0.5)
    assert found[found != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())  # type: ignore[arg-type]  # the same elements, by the same factor


def test_dropout_has_no_pattern_over_rows_columns_and_calls() -> None:
    with cpu_kernels.CpuKernels():
        first, second = (F.dropout(torch.ones(512, 128), 0.5) > 0 for _ in range(2))
    for kept in (first.double().mean(0), first.double().mean(1), (first == second).double().mean(0)):
        # The largest of 512 or 128 means of so many coins: within five standard errors.
        assert (kept - 0.5).abs().max() < 5 * 0.5 / 128**0.5
    pairs = (first[:, 1:] == first[:, :-1]).double().mean()
    assert abs(pairs - 0.5) < 5 * 0.5 / (512 * 127) ** 0.5


def test_the_same_seed_of_torch_draws_the_same_and_the_next_call_others() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        with cpu_kernels.CpuKernels():
            drawn.append([F.dropout(torch.ones(1000), 0.3) for _ in range(2)])
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(*drawn[0])


@pytest.mark.parametrize(
    ("x", "arguments"),
    [
        (torch.ones(8), {"training": False}),
        (torch.ones(8), {"p": 0.0}),
        (torch.ones(8), {"p": 1.0}),
        (torch.ones(8, dtype=torch.bfloat16), {"p": 0.5}),
        (torch.ones(8), {"p": 0.5, "inplace": True}),
    ],
)
def test_what_is_no_dropout_of_float32_is_left_to_torch(x: torch.Tensor, arguments: dict[str, Any]) -> None:
    torch.manual_seed(1)
    expected = F.dropout(x.clone(), **arguments)
    torch.manual_seed(1)
    with cpu_kernels.CpuKernels():
        assert torch.equal(F.dropout(x.clone(), **arguments), expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(70, 96), (5, 20, 96), (3, 96)])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("wide", [80, 112])
def test_a_linear_layer_and_its_gradients_equal_double_precision(
    bias: bool, shape: tuple[int, ...], frozen: bool, wide: int
) -> None:
    layer, x = torch.nn.Linear(96, wide, bias=bias), torch.randn(shape, requires_grad=True)
    layer.weight.requires_grad_(not frozen)
    exact, y = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    with cpu_kernels.CpuKernels():
        found = layer(x)
    expected = exact(y)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    expected.backward(gradient.double())
    pairs = [(found, expected), (x.grad, y.grad)]
    pairs += [(one.grad, other.grad) for one, other in zip(layer.parameters(), exact.parameters(), strict=True)]
    for one, other in pairs:
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one.double(), other, atol=1e-4)  # type: ignore[union-attr]


def test_what_a_layer_gives_can_be_changed_in_place() -> None:
    """LED divides its queries so."""
    layer, x = torch.nn.Linear(64, 64), torch.randn(2, 40, 64)
    with cpu_kernels.CpuKernels():
        found = layer(x)
        found /= 2.0
        attended = F.scaled_dot_product_attention(*(found[:, None] for _ in range(3)))
        attended *= 3.0
    attended.sum().backward()
    gradient = layer.weight.grad.clone()  # type: ignore[union-attr]
    layer.zero_grad()
    expected = layer(x) / 2
    (F.scaled_dot_product_attention(*(expected[:, None] for _ in range(3))) * 3).sum().backward()
    assert torch.allclose(gradient, layer.weight.grad, atol=1e-3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["none", "additive", "boolean"])
@pytest.mark.parametrize("scale", [None, 1.0])
def test_attention_with_dropout_equals_a_loop_on_average(kind: str, scale: float | None) -> None:
    query, key, value = (torch.randn(2, 3, 6, 8) for _ in range(3))
    seen = torch.ones(2, 1, 6, 6).tril().bool()
    mask = {"none": None, "boolean": seen, "additive": torch.zeros(2, 1, 6, 6).masked_fill(~seen, -1e9)}[kind]
    exact = F.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    draws = torch.zeros_like(exact)
    with cpu_kernels.CpuKernels():
        for _ in range(2000):
            draws += F.scaled_dot_product_attention(query, key, value, mask, 0.1, scale=scale) / 2000
    # Dropout's mean is the value: each weight's standard error is at most (.1 / .9 / 2000) ** .5 of it.
    assert torch.allclose(draws, exact, atol=5 * (0.1 / 0.9 / 2000) ** 0.5 * value.abs().max().item())


@pytest.mark.parametrize("kind", ["none", "additive", "boolean", "learnt", "of two dimensions"])
@pytest.mark.parametrize("scale", [None, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_attention_and_its_gradients_equal_double_precision(kind: str, scale: float | None, p: float) -> None:
    """With dropout: under the same kept weights, which attention to the identity shows."""
    query, key = (torch.randn(2, 5, 3, 8).transpose(1, 2) for _ in range(2))  # heads as a model has them, not in a row
    value = torch.eye(5).expand(2, 3, 5, 5).contiguous()
    seen = torch.ones(2, 1, 5, 5).tril().bool()
    mask: torch.Tensor | None = {
        "none": None,
        "boolean": seen,
        "additive": torch.zeros(2, 1, 5, 5).masked_fill(~seen, -1e9),
        "learnt": torch.randn(1, 3, 5, 5),
        "of two dimensions": torch.randn(5, 5),
    }[kind]
    given = [x.detach().requires_grad_() for x in (query, key, value)]
    exact = [x.detach().double().requires_grad_() for x in given]
    if kind in ("learnt", "of two dimensions"):
        assert mask is not None
        given.append(mask.clone().requires_grad_())
        exact.append(mask.double().requires_grad_())
    with cpu_kernels.CpuKernels():
        found = F.scaled_dot_product_attention(*given[:3], given[3] if len(given) > 3 else mask, p, scale=scale)
    scores = exact[0] @ exact[1].transpose(-2, -1) * (8**-0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e30) if mask.dtype == torch.bool else scores + (exact[3:] or [mask])[0]
    kept = (found.detach() != 0) / (1 - p) if p else torch.ones(())
    expected = (scores.softmax(-1) * kept) @ exact[2]
    gradient = torch.randn_like(found)
    found.backward(gradient)
    expected.backward(gradient.double())
    for one, other in [(found, expected), *((x.grad, y.grad) for x, y in zip(given, exact, strict=True))]:
        assert torch.allclose(one.double(), other, atol=1e-4)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize("p", [0.0, 0.1])
def test_a_row_that_sees_nothing_disturbs_no_other(p: float) -> None:
    """By minus infinity as by False: torch gives zeros there, which nobody reads."""
    x = torch.randn(1, 2, 5, 8)
    seen = torch.ones(1, 1, 5, 5).tril().bool()
    seen[..., 0, :] = False
    for mask in (seen, torch.zeros(1, 1, 5, 5).masked_fill(~seen, -torch.inf)):
        given = x.clone().requires_grad_()
        torch.manual_seed(0)
        with cpu_kernels.CpuKernels():
            found = F.scaled_dot_product_attention(given, given, given, mask, p)
        found[:, :, 1:].sum().backward()
        assert given.grad is not None and given.grad.isfinite().all() and found.isfinite().all()
        expected = F.scaled_dot_product_attention(x, x, x, mask)
        assert p or torch.allclose(found[:, :, 1:], expected[:, :, 1:], atol=1e-6)


def test_attention_that_torch_does_as_fast_or_otherwise_is_left_to_torch() -> None:
    """Long rows without dropout; a causal mask by its flag; heads that are shared; halves; all dropped."""
    long, short = torch.randn(1, 2, 256, 8), torch.randn(1, 4, 6, 8)
    calls: list[tuple[tuple[torch.Tensor, ...], dict[str, Any]]] = [
        ((long, long, long), {}),
        ((short, short, short), {"is_causal": True}),
        ((short, short[:, :2], short[:, :2]), {"enable_gqa": True}),
        ((short.bfloat16(),) * 3, {}),
        ((short, short, short), {"dropout_p": 1.0}),
    ]
    for tensors, arguments in calls:
        expected = F.scaled_dot_product_attention(*tensors, **arguments)
        with cpu_kernels.CpuKernels():
            assert torch.equal(F.scaled_dot_product_attention(*tensors, **arguments), expected)


def test_no_number_is_drawn_by_torchs_own_dropout(tiny_base: Any) -> None:
    """In a step of T5, whose attention has dropout too."""
    model = models.load("base", "cpu").model.train()
    batch = models.collate([[5, 6, 7, 1], [8, 1]], [[9, 10, 1], [11, 1]], 0, "cpu")
    for context, calls in ((cpu_kernels.CpuKernels(), 0), (nullcontext(), 1)):
        with torch.profiler.profile() as profile, context:
            architectures.of(model).loss(model, batch)
        assert min(1, sum(event.key == "aten::bernoulli_" for event in profile.key_averages())) == calls


def test_nothing_is_replaced_outside_the_block() -> None:
    with cpu_kernels.CpuKernels():
        pass
    torch.manual_seed(1)
    found = F.dropout(torch.ones(1000), 0.5)
    torch.manual_seed(1)
    assert torch.equal(found, torch.ones(1000).bernoulli_(0.5).div_(0.5))


def other_families() -> dict[str, Any]:
    """Encoder-decoders that make their loss each in its own way. mBART shifts labels from another start than it writes from;
    tests/lm/test_families.py has it.
    """
    sizes: dict[str, Any] = {
        "vocab_size": 90, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 32,
        "dropout": 0.0,
    }  # fmt: skip
    prophet = transformers.ProphetNetConfig(
        vocab_size=90, hidden_size=32, encoder_ffn_dim=64, num_encoder_layers=1, num_encoder_attention_heads=2,
        decoder_ffn_dim=64, num_decoder_layers=1, num_decoder_attention_heads=2,
    )  # fmt: skip
    bart = transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes))
    torch.nn.init.normal_(bart.final_logits_bias)
    return {
        "bart": bart,
        "m2m100": transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(**sizes)),
        "blenderbot": transformers.BlenderbotForConditionalGeneration(transformers.BlenderbotConfig(**sizes)),
        "prophetnet": transformers.ProphetNetForConditionalGeneration(prophet),
    }


def test_a_loss_without_the_paddings_logits_is_transformers_loss(tiny_base: Any) -> None:
    batch = models.collate([[5, 6, 7, 1], [8, 1]], [[9, 10, 1], [11, 12, 13, 14, 15, 1]], 0, "cpu")
    for model in (models.load("base", "cpu").model, *(model.eval() for model in other_families().values())):
        expected = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels).loss
        expected.backward()
        gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        model.zero_grad()
        with cpu_kernels.CpuKernels():
            found = architectures.of(model).loss(model, Batch(batch.input_ids, batch.attention_mask, batch.labels))
        found.backward()
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)
        for name, one in model.named_parameters():
            assert name not in gradients or torch.allclose(one.grad, gradients[name], atol=1e-6), name
        # The head is as it was: all logits again.
        assert models.target_logits(model, batch).shape[:2] == batch.labels.shape
