"""BERTScore (Zhang et al. 2020): the words of a summary matched with those of its reference by an encoder's states.

Recall is the mean over the reference's tokens of the largest cosine with a token of the summary, precision the same the
other way round, and F1 their harmonic mean, as in the paper's equations 1 to 3 and the authors' package: without idf
weights, and the tokens that open and close a text are matched with but not counted. Nothing is rescaled. The encoder is a
checkpoint of the study; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bench.core import manifest, paths, untrusted
from bench.core.schema import ScoreRow, Strict, UserError
from bench.metrics import Column, ScoreContext

if TYPE_CHECKING:
    import torch

EXAMPLES: tuple[dict[str, Any], ...] = ()  # needs an encoder: tests/metrics/test_bertscore.py holds it against loops


class Config(Strict):
    """`checkpoint` names the encoder, `layer` whose states are compared (0: the embeddings; the last when absent).

    Of several references the `mean` or the `max` counts.
    """

    checkpoint: str
    layer: int | None = Field(None, ge=0)
    references: Literal["mean", "max"] = "mean"
    batch_size: int = Field(64, ge=1)


def columns(config: Config) -> dict[str, Column]:
    """List F1, and precision and recall behind it, in points."""
    titles = {"bertscore": "BERTScore F1", "bertscore_precision": "BERTScore P", "bertscore_recall": "BERTScore R"}
    return {
        key: Column(title=title, unit="points", higher_is_better=True, role="quality", detail=key != "bertscore")
        for key, title in titles.items()
    }


def checkpoints(config: Config) -> dict[str, str]:
    """Name the encoder among the study's checkpoints."""
    return {"checkpoint": config.checkpoint}


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State encoder and layer, and that neither idf nor a baseline is in it."""
    encoder = _encoder(config, context)
    digest = manifest.folder_digest(paths.model_path(config.checkpoint))[:8]
    what = f"{encoder.kind}@{digest}|layer:{encoder.layer}|idf:no|rescaled:no|refs:{config.references}"
    return {key: f"{key}|bench-bertscore-1|{what}" for key in columns(config)}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every summary.

    Raises:
        UserError: the checkpoint is no encoder of text, or has no such layer.
    """
    encoder = _encoder(config, context)
    greedy = [row for row in context.predictions if row.output == "greedy"]
    references = [context.example(row.id).references for row in greedy]
    texts = list(dict.fromkeys([row.text for row in greedy] + [text for several in references for text in several]))
    states = dict(zip(texts, encoder.states(texts, config.batch_size), strict=True))
    combine: Callable[[list[float]], float] = max if config.references == "max" else _mean
    rows = []
    for row, several in zip(greedy, references, strict=True):
        found = [match(states[row.text], states[reference]) for reference in several]
        values = {key: combine([one[i] for one in found]) for i, key in enumerate(("_precision", "_recall", ""))}
        rows.append(
            ScoreRow.of(
                row,
                "bertscore",
                {f"bertscore{key}": value for key, value in values.items()},
            )
        )
    return rows


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


States = tuple["torch.Tensor", "torch.Tensor"]  # unit vectors (T, D), and which tokens count (T,)


def match(summary: States, reference: States) -> tuple[float, float, float]:
    """Compute (precision, recall, F1) of two texts; 0 where one has no token that counts."""
    (ours, own), (theirs, other) = summary, reference
    if not own.any() or not other.any():
        return 0.0, 0.0, 0.0
    cosines = ours @ theirs.T
    precision = float(cosines.max(1).values[own].mean())
    recall = float(cosines.max(0).values[other].mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


class Encoder:
    """Unit vectors of every token of a text, by one layer of a model."""

    def __init__(self, name: str, layer: int | None, device: str) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = paths.model_path(name)
        untrusted.check_folder(folder)
        with untrusted.loading(folder):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
        self.kind = str(model.config.model_type)
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        self.model, self.device = model.to(device).eval(), device
        layers = int(model.config.num_hidden_layers)
        if layer is not None and layer > layers:
            raise UserError(
                f"params.yaml: metrics.bertscore.layer: checkpoint '{name}' has layers 0 to {layers}, not {layer}; lower it."
            )
        self.layer = layers if layer is None else layer
        positions = getattr(model.config, "max_position_embeddings", None) or 512
        self.longest = min(int(positions) - 2, self.tokenizer.model_max_length)  # RoBERTa counts from 2

    def states(self, texts: Sequence[str], batch_size: int) -> list[States]:
        """Compute the states of each text, in order; what does not fit into the encoder is cut."""
        import torch

        found: dict[int, States] = {}
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            batch = self.tokenizer(
                [texts[i] or " " for i in rows],
                padding=True,
                truncation=True,
                max_length=self.longest,
                return_tensors="pt",
                return_special_tokens_mask=True,
            )
            special = batch.pop("special_tokens_mask").bool()
            with torch.inference_mode():
                out = self.model(**batch.to(self.device), output_hidden_states=True).hidden_states[self.layer]
            unit = torch.nn.functional.normalize(out.float(), dim=-1).cpu()
            for i, vectors, mask, closing in zip(
                rows, unit, batch["attention_mask"].bool().cpu(), special, strict=True
            ):
                found[i] = vectors[mask], ~closing[mask]
        return [found[i] for i in range(len(texts))]


def _encoder(config: Config, context: ScoreContext) -> Encoder:
    def make() -> Encoder:
        return Encoder(config.checkpoint, config.layer, context.device)

    return context.once("encoder", config.checkpoint, make)
