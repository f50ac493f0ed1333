"""What would otherwise be found after hours: a label that a classifier lacks, an adapter that fits no module, a prompt
that does not fit. Everything is loaded as the stages load it, on the CPU, and let go again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench import metrics
from bench.core import resume, runtime
from bench.core.blocks import TextConfig
from bench.core.parameters import Params
from bench.core.schema import Example, Lengths, Prediction, UserError
from bench.evaluation import rehearsal
from bench.metrics import ScoreContext

if TYPE_CHECKING:
    from bench.lm import models
    from bench.training.context import TrainContext


def check_compiler(params: Params) -> None:
    """Check that torch can compile what `compute.compile` asks for.

    Raises:
        UserError: it cannot.
    """
    if params.compute.compile:
        import torch

        from bench.training import passes

        passes.check_compiler("cuda" if params.compute.device != "cpu" and torch.cuda.is_available() else "cpu")


def check_classifiers(params: Params) -> None:
    """Check that every label that metrics and rewards name is one of its classifier's.

    Raises:
        UserError: it names the field of params.yaml, or the folder that is no classifier.
    """
    from bench.classifiers import loading

    loaded: dict[str, loading.Classifier] = {}
    for field, (checkpoint, label) in params.labels.items():
        if checkpoint not in loaded:
            loaded[checkpoint] = loading.load(checkpoint, "cpu")
        if label not in loaded[checkpoint].labels:
            known = ", ".join(loaded[checkpoint].labels)
            raise UserError(f"params.yaml: {field}: checkpoint '{checkpoint}' has no label '{label}'; one of: {known}.")
    for checkpoint, classifier in loaded.items():
        rehearsal.rehearse_classifier(classifier, f"models/{checkpoint}")


def check_metrics(params: Params, test: Sequence[Example]) -> None:
    """Let every metric score one made-up summary: a package, a checkpoint or a layer that is missing shows here.

    Raises:
        UserError: as the metric's own `score`.
    """
    first = test[0]
    written = [
        Prediction(id=first.id, dialogue_id=first.dialogue_id, output="greedy", draw=0, text=first.references[0]),
        *(
            Prediction(id=first.id, dialogue_id=first.dialogue_id, output="sample", draw=draw, text=first.references[0])
            for draw in range(2)
        ),
    ]
    context = ScoreContext(
        variant="check",
        start=None,
        examples=[first],
        predictions=written,
        text=params.text,
        generation=params.generation,
        device="cpu",
    )
    for name, block in params.metrics.items():
        metric = metrics.find(name)
        if metric.rewards(block):  # are trained later
            continue
        metric.score(block, context)
        metric.signature(block, context)


def check_tags(params: Params, splits: Mapping[str, Sequence[Example]]) -> None:
    """Check that the tags that variants take their prompts by are some dialogues'.

    Raises:
        UserError: it names the field of params.yaml.
    """
    wanted: list[tuple[str, str, str]] = []
    for name, block in params.variants.items():
        for field, holder in (
            (f"variants.{name}.tag", block),
            (f"variants.{name}.pairs.tag", getattr(block, "pairs", None)),
            (f"variants.{name}.samples.tag", getattr(block, "samples", None)),
        ):
            if (tag := getattr(holder, "tag", None)) is not None:
                wanted += [(field, split, tag) for split in ("train", "validation")]
    for field, split, tag in wanted:
        known = sorted({name for example in splits[split] for name in example.tags})
        if tag not in known:
            raise UserError(
                f"params.yaml: {field}: no dialogue of data/{split}.jsonl has the tag '{tag}'; "
                + (f"write one of: {', '.join(known)}." if known else "declare it in data.tags.")
            )


def check_other_datasets(params: Params, splits: Mapping[str, Sequence[Example]]) -> None:
    """Check that the datasets of `evaluate_on` can be read and hold dialogues that nothing here has learnt from.

    Raises:
        UserError: it names the field of params.yaml, or file and line.
    """
    from bench import datasets
    from bench.data.splits import unseen

    learnt = {split: splits[split] for split in ("train", "validation")}
    for name, block in params.evaluate_on.items():
        unseen(datasets.load_other(name, block), learnt, block, f"evaluate_on.{name}")


def check_outputs(params: Params, test: Sequence[Example]) -> None:
    """Check that every file of another system's summaries has one for each test dialogue.

    Raises:
        UserError: it names file and line.
    """
    from bench import methods
    from bench.data import outputs

    for block in params.variants.values():
        if methods.find(block.method).LEARNS_FROM == "outputs":
            outputs.read(Path(block.learns_from), test)


def check_preferences(params: Params) -> None:
    """Check that every file of judgements can be read and gives pairs for each part.

    Raises:
        UserError: it names file and line, or the block of params.yaml.
    """
    from bench import preferences, rankings

    for name, block in params.preferences.items():
        source = preferences.find(block.source)
        if source.LEARNS_FROM == "file":
            context = _context(params, name, block, "preferences")
            seed = params.seed if block.seed is None else block.seed
            parts = rankings.split(source.rankings(block, context), block.validation, block.test, seed)
            rankings.counted(parts, f"params.yaml: preferences.{name}")


def check_training_sets(params: Params, train: Sequence[Example]) -> None:
    """Check that every training set can be made of the file that it names.

    Raises:
        UserError: it names file and line, or the block of params.yaml.
    """
    from bench import training_sets

    for name, block in params.training_sets.items():
        training_sets.find(block.source).check(block, _context(params, name, block, "training_sets", train))


def _context(params: Params, name: str, block: Any, part: str, train: Sequence[Example] = ()) -> TrainContext:
    """What a block is made in, on the checkpoint that its start goes back to; nothing is kept."""
    from bench.training.context import TrainContext

    known = block.init in params.variants
    return TrainContext(
        variant=name,
        init=params.root_of(block.init) if known else block.init,
        learns_from=block.learns_from,
        seed=params.seed,
        text=params.text_of(block.init) if known else params.text,
        compute=params.compute,
        device="cpu",
        train=train,
        meter=runtime.Meter(),
        work=cast(resume.Work, None),
        part=part,
    )


def check_reward_models(params: Params, train: Sequence[Example]) -> None:
    """Let every reward model, on the checkpoint that its start goes back to, take a training step on one made-up pair.

    Raises:
        UserError: it names the block of params.yaml whose form or adapter does not fit.
    """
    from bench import reward_models

    for name, block in params.rewards.items():
        context = _context(params, name, block, "rewards")
        model = reward_models.find(block.form).build(block, context)
        rehearsal.rehearse_reward_model(model, train[0], f"params.yaml: {context.where}")


def check_starts(params: Params, splits: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, Lengths]]:
    """Check that every start loads, every adapter fits its start, every prompt leaves room for the dialogue, and each does
    what its stages will ask of it.

    Returns:
        For each start, and each variant with a text of its own, and split how many dialogues lose their end to fit, and
        how many first references.

    Raises:
        UserError: it names the field of params.yaml, or the folder that cannot be a start.
    """
    from bench.lm import models, prompts

    found: dict[str, dict[str, Lengths]] = {}
    starts, stored = dict[str, models.Loaded](), set[str]()
    for name, block in params.variants.items():
        root, adapter = params.root_of(name), getattr(block, "adapter", None)
        trains = hasattr(block, "adapter") and block.init not in params.variants
        if root not in starts:
            starts[root] = models.load(root, "cpu")
            found[root] = _checked_lengths(starts[root], params.text, "", params, splits)
        if getattr(block, "engine", "ours") == "trl":
            from bench.training import by_trl

            by_trl.check(starts[root], params.text_of(name), f"variants.{name}", plain=block.method != "sft")
        if block.text is not None:
            for training in params.trainings_of(name):
                where = f"variants.{name}"
                text = prompts.with_shots(starts[root].tokenizer, block.text, splits["train"], training.seed, where)
                found[training.name] = _checked_lengths(starts[root], text, f"{where}.", params, splits)
        if adapter is not None:  # a model of its own, for an adapter stays on what it was put on
            field = f"variants.{name}.adapter"
            start = models.load(root, "cpu")
            start = start if block.quantize is None else models.quantized(start, block.quantize)
            adapted = models.with_adapter(start, adapter, field)
            rehearsal.rehearse_adapter(adapted, f"params.yaml: {field}")
            rehearsal.rehearse_storing(adapted, f"params.yaml: {field}")
        elif trains and root not in stored:
            stored.add(root)
            rehearsal.rehearse_storing(starts[root], f"models/{root}")
    return found


def _checked_lengths(
    start: models.Loaded, text: TextConfig, where: str, params: Params, splits: Mapping[str, Sequence[Example]]
) -> dict[str, Lengths]:
    """What the limits of a text cut; `where` stands before its fields in messages."""
    from bench.lm import prompts

    target = max(text.max_target_tokens, params.generation.max_new_tokens)
    _check_room(start, text, where, params)
    lengths = _lengths(start, text, splits)
    longest = max((e.source for examples in splits.values() for e in examples), key=len)
    source = len(prompts.encode_source(start.tokenizer, longest, text).ids)
    rehearsal.rehearse(start, source, target, f"models/{start.name}")
    return lengths


def _check_room(start: models.Loaded, text: TextConfig, where: str, params: Params) -> None:
    from bench.lm import architectures

    room = architectures.of(start.model).positions(start.model)
    prompt, summary = text.max_source_tokens, max(text.max_target_tokens, params.generation.max_new_tokens)
    source, limit = f"{where}text.max_source_tokens", f"{where}text.max_target_tokens"
    of_summary = limit if text.max_target_tokens == summary else "generation.max_new_tokens"
    has = f"that models/{start.name} has positions for"
    if room.source is not None and prompt > room.source:
        raise UserError(
            f"params.yaml: {source}: {prompt} tokens of a prompt are more than the {room.source} {has}; lower it."
        )
    if room.target is not None and summary > room.target:
        raise UserError(
            f"params.yaml: {of_summary}: {summary} tokens of a summary are more than the {room.target} {has}; lower it."
        )
    if room.together is not None and prompt + summary > room.together:
        raise UserError(
            f"params.yaml: {source}: {prompt} tokens of a prompt and {summary} of a "
            f"summary are more than the {room.together} {has}; lower one of them."
        )


def _lengths(start: models.Loaded, text: TextConfig, splits: Mapping[str, Sequence[Example]]) -> dict[str, Lengths]:
    from bench.lm import prompts

    def tokens(texts: list[str]) -> list[int]:
        return [len(ids) for ids in start.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    found = {}
    for split, examples in splits.items():
        sources = [len(prompts.prompt_ids(start.tokenizer, example.source, text)) for example in examples]
        targets = tokens([example.references[0] for example in examples])
        longest = examples[max(range(len(examples)), key=sources.__getitem__)]
        prompts.encode_source(start.tokenizer, longest.source, text)
        found[split] = Lengths(
            rows=len(examples),
            sources_cut=sum(length > text.max_source_tokens for length in sources),
            references_cut=sum(length > text.max_target_tokens for length in targets),
        )
    return found
