"""How each variant is asked and how it writes, where that is not the same for all."""

from __future__ import annotations

from bench import methods
from bench.core.blocks import DecodingConfig, MethodConfig
from bench.report.markdown import cell, table
from bench.report.view import NONE, View, count


def differs(view: View) -> bool:
    """Tell whether any variant has a prompt or a decoding of its own, or is the best of several."""
    params = view.study.params
    changed = (block.text or block.decoding or _chosen(block) for block in params.variants.values())
    return params.generation.primary != "greedy" or any(changed)


def _chosen(block: MethodConfig) -> bool:
    """Whether a variant's summaries are chosen among several, no draws of its own."""
    method = methods.find(block.method)
    return method.LEARNS_FROM != "outputs" and not method.OWN_DISTRIBUTION


def writing(view: View) -> str:
    """Lay out prompt, shots and decoding by variant; empty where all are the study's."""
    if not differs(view):
        return ""
    study, rows = view.study, []
    for variant, predictions in study.predictions.items():
        if (block := study.params.variants[variant]).method == "outputs":
            continue
        text, (name, decoding) = study.params.text_of(variant), study.params.decoding_of(variant)
        asked = text.shots if isinstance(text.shots, int) else len(text.shots)
        shown = [row.shots for row in predictions if row.output == "greedy"]
        how = f"best of {block.n} samples" if _chosen(block) else _settings(name, decoding)  # type: ignore[attr-defined]
        rows.append(
            [
                cell(variant),
                cell(text.prompt) + (" (as a chat)" if text.chat else ""),
                count(asked),
                f"{sum(shown) / len(shown):.2f} ({min(shown)} to {max(shown)})" if asked and shown else NONE,
                f"{text.max_source_tokens:,}",
                how,
            ]
        )
    headers = ["", "prompt", "shots asked for", "shots shown a dialogue", "tokens at most", "decoding"]
    return table(headers, rows, align="llrrrl")


def _settings(name: str, decoding: DecodingConfig) -> str:
    settings = ", ".join(f"{key} {value:g}" for key, value in decoding.changed.items())
    return f"{cell(name)}: `{settings}`" if settings else cell(name)
