"""What would otherwise be found after hours: a label that a classifier lacks, an adapter that fits no module, a prompt
that does not fit. Everything is loaded as the stages load it, on the CPU, and let go again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.parameters import Params
from bench.core.schema import Example, Lengths, UserError
from bench.evaluation import rehearsal

if TYPE_CHECKING:
    from bench.lm import models


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


def check_starts(params: Params, splits: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, Lengths]]:
    """Check that every start loads, every adapter fits its start, the prompt leaves room for the dialogue, and each does
    what its stages will ask of it.

    Returns:
        For each start and split how many dialogues lose their end to fit, and how many first references.

    Raises:
        UserError: it names the field of params.yaml, or the folder that cannot be a start.
    """
    from bench.lm import models

    found: dict[str, dict[str, Lengths]] = {}
    for name, block in params.variants.items():
        root, adapter = params.root_of(name), getattr(block, "adapter", None)
        if root not in found:
            start = models.load(root, "cpu")
            _check_room(start, params)
            found[root] = _lengths(start, params, splits)
            rehearsal.rehearse(start, _longest(start, params, splits), _longest_target(params), f"models/{root}")
        if adapter is not None:  # a model of its own, for an adapter stays on what it was put on
            field = f"variants.{name}.adapter"
            adapted = models.with_adapter(models.load(root, "cpu"), adapter, field)
            rehearsal.rehearse_adapter(adapted, f"params.yaml: {field}")
    return found


def _longest_target(params: Params) -> int:
    return max(params.text.max_target_tokens, params.generation.max_new_tokens)


def _longest(start: models.Loaded, params: Params, splits: Mapping[str, Sequence[Example]]) -> int:
    """How many tokens the longest prompt of the study has, cut to its limit."""
    from bench.lm import models

    longest = max((e.source for examples in splits.values() for e in examples), key=len)
    return len(models.encode_source(start.tokenizer, longest, params.text)[0])


def _check_room(start: models.Loaded, params: Params) -> None:
    from bench.lm import architectures

    room = architectures.of(start.model).positions(start.model)
    prompt, summary = params.text.max_source_tokens, _longest_target(params)
    of_summary = "text.max_target_tokens" if params.text.max_target_tokens == summary else "generation.max_new_tokens"
    has = f"that models/{start.name} has positions for"
    if room.source is not None and prompt > room.source:
        raise UserError(
            f"params.yaml: text.max_source_tokens: {prompt} tokens of a prompt are more than the {room.source} {has}; lower it."
        )
    if room.target is not None and summary > room.target:
        raise UserError(
            f"params.yaml: {of_summary}: {summary} tokens of a summary are more than the {room.target} {has}; lower it."
        )
    if room.together is not None and prompt + summary > room.together:
        raise UserError(
            f"params.yaml: text.max_source_tokens: {prompt} tokens of a prompt and {summary} of a "
            f"summary are more than the {room.together} {has}; lower one of them."
        )


def _lengths(start: models.Loaded, params: Params, splits: Mapping[str, Sequence[Example]]) -> dict[str, Lengths]:
    from bench.lm import models

    def tokens(texts: list[str]) -> list[int]:
        return [len(ids) for ids in start.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    found = {}
    for split, examples in splits.items():
        sources = [len(models.prompt_ids(start.tokenizer, example.source, params.text)) for example in examples]
        targets = tokens([example.references[0] for example in examples])
        longest = examples[max(range(len(examples)), key=sources.__getitem__)]
        models.encode_source(start.tokenizer, longest.source, params.text)
        found[split] = Lengths(
            rows=len(examples),
            sources_cut=sum(length > params.text.max_source_tokens for length in sources),
            references_cut=sum(length > params.text.max_target_tokens for length in targets),
        )
    return found
