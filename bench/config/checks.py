"""Whether the blocks of a study, each right by itself, fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import datasets, methods, metrics, preferences, training_sets
from bench.config.gate import JUDGE, GateConfig
from bench.core import paths, plugins
from bench.core.blocks import GREEDY, MethodConfig, TextConfig
from bench.core.parameters import Params
from bench.core.schema import UserError
from bench.core.validation import validated

NAME = r"[a-z0-9][a-z0-9_-]*"
RESERVED = (*paths.YARDSTICKS, "yardsticks")  # their files lie beside the variants'


def check(params: Params, name: str) -> None:
    """Check names, starts, teachers, seeds and columns together; `name` stands for the file in messages.

    Raises:
        UserError: two blocks contradict each other, or one asks for what is not there.
    """
    _check_names(params, name)
    _check_graph(params, name)
    _check_preferences(params, name)
    _check_training_sets(params, name)
    _check_cycles(params, name)
    _check_writing(params, name)
    _check_columns(params, name)
    _check_data(params, name)
    validated(GateConfig, params.gate, "gate", name)


def _check_data(params: Params, name: str) -> None:
    """The splits are three, and the metrics have what not every dataset has."""
    try:
        params.data.check_splits()
    except ValueError as error:
        raise UserError(f"{name}: data: {error}.") from None
    default = TextConfig().prompt
    texts = {"text": params.text} | {f"variants.{key}.text": b.text for key, b in params.variants.items() if b.text}
    for field, text in texts.items():
        if text.prompt == default and not datasets.find(params.data.dataset).DIALOGUES:
            raise UserError(
                f"{name}: {field}.prompt: asks for the summary of a conversation, and dataset '{params.data.dataset}' holds none; "
                'write prompt: "{source}", with chat: true for a base that answers in a chat.'
            )
    for metric, block in params.metrics.items():
        try:
            metrics.find(metric).check(block, params.data)
        except ValueError as error:
            raise UserError(f"{name}: metrics.{metric}: {error}.") from None


def _check_names(params: Params, name: str) -> None:
    """Names are folders, files and columns; what the graph needs is there, and nothing is named twice."""
    if "base" not in params.checkpoints:
        raise UserError(f"{name}: checkpoints.base: missing; every study has a base model.")
    for variant, block in params.variants.items():
        teacher = Path(block.learns_from)
        followed = teacher.parent == paths.MODELS and teacher.name in params.checkpoints
        if followed and _kind(block) in ("reward", "pairs") and JUDGE not in params.checkpoints:
            raise UserError(
                f"{name}: checkpoints.{JUDGE}: missing; variants.{variant} follows a classifier, and one that no training sees "
                "has to say what came of it."
            )
    for part in ("checkpoints", "variants", "preferences", "rewards", "training_sets"):
        for key in getattr(params, part):
            if not re.fullmatch(NAME, key) or len(key) > 64 or key in RESERVED:
                raise UserError(
                    f"{name}: {part}.{key}: use at most 64 lower-case letters, digits, '-' and '_', and none of the "
                    f"reserved names {', '.join(RESERVED)}."
                )
    models: dict[str, str] = {}
    for part in ("checkpoints", "variants", "rewards"):
        for key in getattr(params, part):
            if key in models:
                raise UserError(f"{name}: {part}.{key}: {models[key]} has this name too; rename one of them.")
            models[key] = {"checkpoints": "a checkpoint", "variants": "a variant"}.get(part, "a reward model")


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


def _check_preferences(params: Params, name: str) -> None:
    """Preferences and reward models start from what there is, and learn from what says which summary is better."""
    writers = [key for key in (*params.checkpoints, *params.variants) if key not in ("reward", "judge")]
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
        starts = [each for each in (*params.checkpoints, *params.variants) if each != JUDGE]
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
    writers = [key for key in (*params.checkpoints, *params.variants) if key not in ("reward", JUDGE)]
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
        if block.keep_every is not None:  # type: ignore[attr-defined]
            raise UserError(f"{name}: variants.{variant}.keep_every: preferences hold no reward to show; remove it.")
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
            unseen = [path for path, key in classifiers.items() if key != JUDGE]
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


def _check_columns(params: Params, name: str) -> None:
    """The classifiers that metrics ask are checkpoints, and the primary measure is a column of some metric."""
    asked = {field: checkpoint for field, (checkpoint, _) in params.labels.items()}
    for metric, block in params.metrics.items():
        asked |= {f"metrics.{metric}.{field}": of for field, of in metrics.find(metric).checkpoints(block).items()}
        for field, reward in metrics.find(metric).rewards(block).items():
            if reward not in params.rewards:
                known = plugins.nearest(reward, list(params.rewards))
                raise UserError(f"{name}: metrics.{metric}.{field}: there is no reward model '{reward}'; {known}")
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
