"""Who starts from what and learns from whom: every start exists, nothing waits for itself, and no training sees the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import methods, preferences, training_sets
from bench.config.gate import JUDGE
from bench.core import paths, plugins
from bench.core.blocks import MethodConfig
from bench.core.parameters import Params
from bench.core.schema import UserError


def check(params: Params, name: str) -> None:
    """Check starts and teachers; `name` stands for the file in messages.

    Raises:
        UserError: a block starts from, or learns from, what it cannot.
    """
    _check_graph(params, name)
    _check_preferences(params, name)
    _check_training_sets(params, name)
    _check_cycles(params, name)


def learns(block: MethodConfig) -> str:
    """Return what the method of a block learns from."""
    return methods.find(block.method).LEARNS_FROM


def _check_graph(params: Params, name: str) -> None:
    """Every start exists and is no classifier, there is no cycle, and the judge is not the teacher."""
    # The base has no labels: `_check_columns` says so where some are asked of it.
    asked = {checkpoint for checkpoint, _ in params.labels.values()} - {"base"}
    classifiers = {"reward", "judge", *asked}
    for variant, block in params.variants.items():
        if block.init not in {*params.checkpoints, *params.variants} - {variant}:
            known = sorted({*_writers(params)} - classifiers - {variant})
            raise UserError(
                f"{name}: variants.{variant}.init: there is no '{block.init}'; {plugins.nearest(block.init, known)}"
            )
        if block.init in classifiers & set(params.checkpoints):
            raise UserError(f"{name}: variants.{variant}.init: '{block.init}' is a classifier; start from 'base'.")
        if block.init in params.variants and learns(params.variants[block.init]) == "outputs":
            raise UserError(f"{name}: variants.{variant}.init: '{block.init}' has no model; start from 'base'.")
        if block.init in params.variants and not methods.find(params.variants[block.init].method).OWN_DISTRIBUTION:
            raise UserError(
                f"{name}: variants.{variant}.init: '{block.init}' is the best of several samples, no model; start from "
                f"'{params.variants[block.init].init}'."
            )
        _check_teacher(params, variant, name)
        _check_seeds(block, f"{name}: variants.{variant}.seeds")
        if block.quantize is not None and getattr(block, "adapter", None) is None:
            fix = "add an adapter, or remove it" if "adapter" in type(block).model_fields else "remove it"
            raise UserError(f"{name}: variants.{variant}.quantize: weights in 4 bits cannot be trained; {fix}.")
        if block.quantize is not None and params.compute.inference != "float32":
            raise UserError(
                f"{name}: variants.{variant}.quantize: is computed in float32; write compute.inference: float32."
            )


def _check_seeds(block: MethodConfig, field: str) -> None:
    """`seeds` are for variants that are trained, at least two different ones, and not beside `seed`."""
    if block.seeds is None:
        return
    if learns(block) == "outputs" or (
        learns(block) == "nothing" and not (block.text and isinstance(block.text.shots, int) and block.text.shots)
    ):
        raise UserError(f"{field}: method '{block.method}' trains nothing, so seeds change nothing; remove it.")
    if block.seed is not None:
        raise UserError(f"{field}: 'seed' is given too; keep one of them.")
    if len(set(block.seeds)) < max(2, len(block.seeds)):
        raise UserError(f"{field}: give at least two seeds, each once, got {list(block.seeds)}; for one write 'seed'.")


def _writers(params: Params) -> list[str]:
    """The checkpoints and variants with a model of their own that writes."""
    found = [key for key in params.checkpoints if key not in ("reward", JUDGE)]
    return found + [
        key
        for key, block in params.variants.items()
        if learns(block) != "outputs" and methods.find(block.method).OWN_DISTRIBUTION
    ]


def _check_preferences(params: Params, name: str) -> None:
    """Preferences and reward models start from what there is, and learn from what says which summary is better."""
    writers = _writers(params)
    for key, source in params.preferences.items():
        where = f"{name}: preferences.{key}"
        kind = preferences.find(source.source).LEARNS_FROM
        if source.init not in writers:
            raise UserError(f"{where}.init: no model '{source.init}' writes; {plugins.nearest(source.init, writers)}")
        if kind == "references" and source.learns_from != str(paths.split_path("train")):
            raise UserError(
                f"{where}.learns_from: source '{source.source}' goes by references; write '{paths.split_path('train')}'."
            )
        judges = [str(paths.model_path(writer)) for writer in writers]
        if kind == "model" and source.learns_from not in judges:
            raise UserError(
                f"{where}.learns_from: source '{source.source}' asks a model that writes; write one of: {', '.join(judges)}."
            )
        if kind == "file":
            _check_file(source.learns_from, f"{where}.learns_from")
        if kind == "reward":
            _check_reward(params, source, f"source '{source.source}'", where)
    known = {str(paths.PREFERENCES / key) for key in params.preferences}
    for key, model in params.rewards.items():
        where = f"{name}: rewards.{key}"
        starts = [
            *(key for key in params.checkpoints if key != JUDGE),
            *(key for key in writers if key in params.variants),
        ]
        if model.init not in starts:
            raise UserError(
                f"{where}.init: there is no '{model.init}' to start from; {plugins.nearest(model.init, starts)}"
            )
        for field in ("learns_from", "tested_on"):
            if getattr(model, field) not in known:
                raise UserError(
                    f"{where}.{field}: a reward model learns from a block of `preferences`; "
                    f"{plugins.nearest(getattr(model, field), sorted(known))}"
                )


def _check_training_sets(params: Params, name: str) -> None:
    """A training set is made from a file of the project or from preferences, by a model that writes."""
    writers = _writers(params)
    known = [str(paths.PREFERENCES / key) for key in params.preferences]
    for key, block in params.training_sets.items():
        where, kind = f"{name}: training_sets.{key}", training_sets.find(block.source).LEARNS_FROM
        if block.init not in writers:
            raise UserError(f"{where}.init: no model '{block.init}' writes; {plugins.nearest(block.init, writers)}")
        if kind == "file":
            _check_file(block.learns_from, f"{where}.learns_from")
        elif block.learns_from not in known:
            raise UserError(
                f"{where}.learns_from: source '{block.source}' takes the better ones of a block of `preferences`; write one of: "
                f"{', '.join(known) or 'none is there, add one'}."
            )


def _check_cycles(params: Params, name: str) -> None:
    """What is made does not wait for itself."""
    parts: dict[str, Mapping[str, Any]] = {
        "variants": params.variants,
        "rewards": params.rewards,
        "preferences": params.preferences,
        "training_sets": params.training_sets,
    }
    made = {str(paths.MODELS / key): f"{part}.{key}" for part in ("variants", "rewards") for key in parts[part]}
    made |= {str(paths.PREFERENCES / key): f"preferences.{key}" for key in params.preferences}
    made |= {str(paths.training_set_path(key)): f"training_sets.{key}" for key in params.training_sets}
    needs: dict[str, list[tuple[str, str]]] = {}
    for part, blocks in parts.items():
        for key, block in blocks.items():
            paths_of = {"init": str(paths.MODELS / block.init)}
            paths_of |= {
                field: getattr(block, field) for field in ("learns_from", "tested_on") if hasattr(block, field)
            }
            needs[f"{part}.{key}"] = [(field, made[path]) for field, path in paths_of.items() if path in made]

    def follow(at: str, seen: list[str]) -> None:
        for field, other in needs[at]:
            if other in seen:
                names = " -> ".join(one.partition(".")[2] for one in [*seen[seen.index(other) :], other])
                raise UserError(f"{name}: {at}.{field}: a cycle ({names}); start one of them from 'base'.")
            follow(other, [*seen, other])

    for node in needs:
        follow(node, [node])


def _check_teacher(params: Params, variant: str, name: str) -> None:
    """`learns_from` must be a path that the method can learn from, and never the judge's."""
    block, field = params.variants[variant], f"{name}: variants.{variant}.learns_from"
    kind = learns(block)
    references = str(paths.split_path("train"))
    if kind == "nothing" and block.learns_from != str(paths.model_path(block.init)):
        # DVC takes this for a dependency, so it may not be just any path or address.
        raise UserError(f"{field}: method '{block.method}' learns nothing; write '{paths.model_path(block.init)}'.")
    imitated = [references, *(str(paths.training_set_path(key)) for key in params.training_sets)]
    if kind == "references" and block.learns_from not in imitated:
        raise UserError(f"{field}: method '{block.method}' imitates references; write {' or '.join(imitated)}.")
    if kind == "outputs":
        _check_file(block.learns_from, field)
    known = [str(paths.PREFERENCES / key) for key in params.preferences]
    if kind == "pairs" and block.learns_from in known:
        return
    if kind in ("reward", "pairs"):
        _check_reward(
            params, block, f"method '{block.method}'", f"{name}: variants.{variant}", known if kind == "pairs" else ()
        )


def _check_file(given: str, field: str) -> None:
    """DVC takes it for a dependency, so it may not be just any path or address."""
    path = Path(given)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{field}: '{path}' must lie below the project, local/ for example; link or copy it there.")


def _check_reward(params: Params, block: Any, who: str, where: str, others: Sequence[str] = ()) -> None:
    """A reward is a classifier or reward model, never the judge; or a metric, which goes by the references."""
    field, references = f"{where}.learns_from", str(paths.split_path("train"))
    if block.reward.metric is not None:
        if block.learns_from != references:
            raise UserError(f"{field}: the reward '{block.reward.metric}' goes by the dialogues; write '{references}'.")
        if block.reward.metric == "facts" and params.data.dataset != "miniature":
            raise UserError(f"{where}.reward.metric: only the dataset 'miniature' knows the facts; write 'rouge1'.")
    else:
        classifiers = {str(paths.model_path(key)): key for key in params.checkpoints if key != "base"}
        trained = [str(paths.model_path(key)) for key in params.rewards]
        if block.learns_from not in (*classifiers, *trained):
            judge = params.checkpoints.get(JUDGE)
            unseen = [path for path, key in classifiers.items() if params.checkpoints[key] != judge]
            offered = ", ".join([*unseen, *trained, *others])
            raise UserError(
                f"{field}: {who} follows a classifier; "
                + (f"write one of: {offered}." if offered else "add one to checkpoints, such as checkpoints.reward.")
            )
        if block.learns_from in classifiers:
            _not_the_judge(params, classifiers[block.learns_from], field)
        elif block.reward.label is not None:
            raise UserError(f"{where}.reward.label: a reward model has one logit, without a label; remove it.")
    for part in block.reward.also:
        if "." in part:
            _not_the_judge(params, part.split(".")[0], f"{where}.reward.also.{part}")


def _not_the_judge(params: Params, checkpoint: str, field: str) -> None:
    """Under whatever name it stands."""
    if JUDGE in params.checkpoints and params.checkpoints.get(checkpoint) == params.checkpoints[JUDGE]:
        raise UserError(f"{field}: training must never see the judge; name another classifier.")
