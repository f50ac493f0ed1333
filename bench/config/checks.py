"""Whether the blocks of a study, each right by itself, fit together."""

from __future__ import annotations

import re
from pathlib import Path

from bench import methods, metrics
from bench.config.gate import GateConfig
from bench.core import paths, plugins
from bench.core.blocks import GREEDY, MethodConfig
from bench.core.parameters import Params, validated
from bench.core.schema import UserError

NAME = r"[a-z0-9][a-z0-9_-]*"
RESERVED = (*paths.YARDSTICKS, "yardsticks")  # their files lie beside the variants'


def check(params: Params, name: str) -> None:
    """Check names, starts, teachers, seeds and columns together; `name` stands for the file in messages.

    Raises:
        UserError: two blocks contradict each other, or one asks for what is not there.
    """
    _check_names(params, name)
    _check_graph(params, name)
    _check_writing(params, name)
    _check_columns(params, name)
    _check_data(params, name)
    validated(GateConfig, params.gate, "gate", name)


def _check_data(params: Params, name: str) -> None:
    """A metric may need what not every dataset has."""
    for metric, block in params.metrics.items():
        try:
            metrics.find(metric).check(block, params.data)
        except ValueError as error:
            raise UserError(f"{name}: metrics.{metric}: {error}.") from None


def _check_names(params: Params, name: str) -> None:
    """Names are folders, files and columns; what the graph needs is there, and nothing is named twice."""
    for needed in ("base", "reward", "judge"):
        if needed not in params.checkpoints:
            raise UserError(
                f"{name}: checkpoints.{needed}: missing; every study has a base model, a reward and an independent judge."
            )
    for part in ("checkpoints", "variants"):
        for key in getattr(params, part):
            if not re.fullmatch(NAME, key) or len(key) > 64 or key in RESERVED:
                raise UserError(
                    f"{name}: {part}.{key}: use at most 64 lower-case letters, digits, '-' and '_', and none of the "
                    f"reserved names {', '.join(RESERVED)}."
                )
    clash = sorted(set(params.checkpoints) & set(params.variants))
    if clash:
        raise UserError(f"{name}: variants.{clash[0]}: a checkpoint has this name too; rename one of them.")


def _check_graph(params: Params, name: str) -> None:
    """Every start exists and is no classifier, there is no cycle, and the judge is not the teacher."""
    classifiers = {"reward", "judge", *(checkpoint for checkpoint, _ in params.labels.values())}
    for variant, block in params.variants.items():
        known = sorted({*params.checkpoints, *params.variants} - {variant})
        if block.init not in known:
            raise UserError(
                f"{name}: variants.{variant}.init: there is no '{block.init}'; {plugins.nearest(block.init, known)}"
            )
        if block.init in classifiers & set(params.checkpoints):
            raise UserError(f"{name}: variants.{variant}.init: '{block.init}' is a classifier; start from 'base'.")
        if block.init in params.variants and _kind(params.variants[block.init]) == "outputs":
            raise UserError(f"{name}: variants.{variant}.init: '{block.init}' has no model; start from 'base'.")
        if block.init in params.variants and not methods.find(params.variants[block.init].method).OWN_DISTRIBUTION:
            raise UserError(
                f"{name}: variants.{variant}.init: '{block.init}' is the best of several samples, no model; start from "
                f"'{params.variants[block.init].init}'."
            )
        _check_teacher(params, variant, name)
        _check_seeds(block, f"{name}: variants.{variant}.seeds")
        if block.quantize is not None and getattr(block, "adapter", None) is None:
            raise UserError(
                f"{name}: variants.{variant}.quantize: weights in 4 bits cannot be trained; add an adapter, or remove it."
            )
        if block.quantize is not None and params.compute.inference != "float32":
            raise UserError(
                f"{name}: variants.{variant}.quantize: is computed in float32; write compute.inference: float32."
            )
        seen, at = [variant], block.init
        while at in params.variants:
            if at in seen:
                raise UserError(
                    f"{name}: variants.{variant}.init: a cycle ({' -> '.join([*seen, at])}); start one of them from 'base'."
                )
            seen.append(at)
            at = params.variants[at].init


def _check_writing(params: Params, name: str) -> None:
    """Every decoding that is named exists, and shots belong to a variant, whose training draws them."""
    known = [GREEDY, *params.generation.decodings]
    if GREEDY in params.generation.decodings:
        raise UserError(
            f"{name}: generation.decodings.{GREEDY}: '{GREEDY}' is the one without settings; call it otherwise."
        )
    asked = {"generation.primary": params.generation.primary}
    asked |= {
        f"variants.{variant}.decoding": block.decoding for variant, block in params.variants.items() if block.decoding
    }
    for field, decoding in asked.items():
        if decoding not in known:
            raise UserError(
                f"{name}: {field}: generation.decodings has no '{decoding}'; {plugins.nearest(decoding, known)}"
            )
    if params.text.shots:
        raise UserError(
            f"{name}: text.shots: shots are a variant's; write them into its own text, such as "
            "variants.three-shot.text: {shots: 3}."
        )
    for variant, block in params.variants.items():
        own = next((field for field in ("text", "decoding") if getattr(block, field) is not None), None)
        if own and _kind(block) == "outputs":
            raise UserError(f"{name}: variants.{variant}.{own}: another system wrote its summaries; remove it.")


def _kind(block: MethodConfig) -> str:
    return methods.find(block.method).LEARNS_FROM


def _check_seeds(block: MethodConfig, field: str) -> None:
    """`seeds` are for variants that are trained, at least two different ones, and not beside `seed`."""
    if block.seeds is None:
        return
    if _kind(block) == "outputs" or (
        _kind(block) == "nothing" and not (block.text and isinstance(block.text.shots, int) and block.text.shots)
    ):
        raise UserError(f"{field}: method '{block.method}' trains nothing, so seeds change nothing; remove it.")
    if block.seed is not None:
        raise UserError(f"{field}: 'seed' is given too; keep one of them.")
    if len(set(block.seeds)) < max(2, len(block.seeds)):
        raise UserError(f"{field}: give at least two seeds, each once, got {list(block.seeds)}; for one write 'seed'.")


def _check_teacher(params: Params, variant: str, name: str) -> None:
    """`learns_from` must be a path that the method can learn from, and never the judge's."""
    block, field = params.variants[variant], f"{name}: variants.{variant}.learns_from"
    kind = _kind(block)
    references = str(paths.split_path("train"))
    classifiers = {str(paths.model_path(key)): key for key in params.checkpoints if key != "base"}
    if kind == "nothing" and block.learns_from != str(paths.model_path(block.init)):
        # DVC takes this for a dependency, so it may not be just any path or address.
        raise UserError(f"{field}: method '{block.method}' learns nothing; write '{paths.model_path(block.init)}'.")
    if kind == "references" and block.learns_from != references:
        raise UserError(f"{field}: method '{block.method}' imitates references; write '{references}'.")
    if kind == "outputs":
        given = Path(block.learns_from)
        if given.is_absolute() or ".." in given.parts:
            raise UserError(
                f"{field}: '{given}' must lie below the project, local/ for example; link or copy it there."
            )
    if kind == "reward":
        if block.learns_from not in classifiers:
            raise UserError(
                f"{field}: method '{block.method}' follows a classifier; write one of: {', '.join(classifiers)}."
            )
        if params.checkpoints[classifiers[block.learns_from]] == params.checkpoints["judge"]:  # under whatever name
            raise UserError(f"{field}: training must never see the judge; name another classifier.")


def _check_columns(params: Params, name: str) -> None:
    """The classifiers that metrics ask are checkpoints, and the primary measure is a column of some metric."""
    asked = {field: checkpoint for field, (checkpoint, _) in params.labels.items()}
    for metric, block in params.metrics.items():
        asked |= {f"metrics.{metric}.{field}": of for field, of in metrics.find(metric).checkpoints(block).items()}
    for field, checkpoint in asked.items():
        if checkpoint not in params.checkpoints:
            known = plugins.nearest(checkpoint, list(params.checkpoints))
            raise UserError(f"{name}: {field}: there is no checkpoint '{checkpoint}'; {known}")
    columns = metrics.columns_of(params.metrics)
    if params.report.primary not in columns:
        raise UserError(
            f"{name}: report.primary: no metric has a column '{params.report.primary}'; "
            f"{plugins.nearest(params.report.primary, sorted(columns))}"
        )
