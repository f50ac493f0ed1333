"""Text classifiers (the reward, the judge): one face over Hugging Face folders and alt-profanity-check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.classifiers import folders, packaged
from bench.classifiers.packaged import Library
from bench.core import manifest, paths, plugins, storage, untrusted
from bench.core.schema import UserError
from bench.lm import batching

Text = str | tuple[str, str]  # one text, or two that a model reads together
Score = Callable[[Sequence[Text]], np.ndarray]


@dataclass(frozen=True)
class Classifier:
    """A text classifier whose labels are found by name, never by place.

    `name` is the checkpoint's name in params.yaml, `labels` the label of each column, `identity` what a signature
    says of it: the kind of model and eight digits of its files' digest, or a library and its version. One that is
    `of_dialogues` was made to read a dialogue with its summary.
    """

    name: str
    labels: tuple[str, ...]
    identity: str
    score: Score = field(repr=False)
    reads_pairs: bool = True
    of_dialogues: bool = False

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Compute the unnormalised scores, float64 `[texts, labels]`, in the order of `texts`; equal texts, equal scores."""
        return self._of_distinct([_encodable(text) for text in texts])

    def pair_logits(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Compute the same of pairs that the model reads together, such as (premise, hypothesis); the longer is cut to fit.

        Raises:
            UserError: this classifier reads single texts.
        """
        if not self.reads_pairs:
            raise UserError(f"checkpoint '{self.name}' reads single texts, not pairs; name an entailment classifier.")
        return self._of_distinct([(_encodable(one), _encodable(other)) for one, other in pairs])

    def summary_logits(self, sources: Sequence[str], texts: Sequence[str]) -> np.ndarray:
        """Compute the unnormalised scores of the summaries `texts`, `[texts, labels]`, with their dialogues where it reads them."""
        return self.pair_logits(list(zip(sources, texts, strict=True))) if self.of_dialogues else self.logits(texts)

    def _of_distinct(self, texts: Sequence[Text]) -> np.ndarray:
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        if not distinct:
            return np.zeros((0, len(self.labels)))
        return self.score(list(distinct))[[distinct[text] for text in texts]]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Compute the softmax of `logits`, float64 `[texts, labels]`; each row sums to 1."""
        return softmax(self.logits(texts))

    def column(self, label: str) -> int:
        """Return the column of the label called `label`.

        Raises:
            UserError: this classifier has no such label.
        """
        if label not in self.labels:
            raise UserError(
                f"checkpoint '{self.name}' has no label '{label}'; name one of its labels in params.yaml: "
                f"{', '.join(self.labels)}."
            )
        return self.labels.index(label)


def _encodable(text: str) -> str:
    """Whatever a tokenizer cannot encode as U+FFFD: half a surrogate pair from a broken decoder must not end a run of hours."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute probabilities of unnormalised scores along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)


def load(name: str, device: str, precision: str = "float32") -> Classifier:
    """Load the classifier in models/<name>/ on `device` (`cpu` or `cuda`), in eval mode and `precision`.

    Raises:
        UserError: the folder is missing, or holds no classifier with one softmax over at least two labels.
    """
    folder = paths.model_path(name)
    if (folder / "classifier.json").is_file():
        return _packaged(name, folder / "classifier.json")
    if (folder / manifest.REWARD).is_file():
        return _reward_model(name, folder, device)
    if (folder / "config.json").is_file():
        return load_folder(name, folder, device, precision)
    raise UserError(
        f"{folder} holds no classifier (neither config.json nor classifier.json); run `dvc repro` to build "
        f"checkpoint '{name}'."
    )


def _reward_model(name: str, folder: Path, device: str) -> Classifier:
    """A reward model that was trained here: one logit, of a dialogue with its summary."""
    settings = storage.read_object(folder / manifest.REWARD)
    form = settings.get("form")
    if not isinstance(form, str):
        raise UserError(f"{folder / manifest.REWARD}: names no form; run `dvc repro` to train '{name}' again.")
    model = plugins.find("reward model", form).load(name, settings, device)

    def score(pairs: Sequence[Text]) -> np.ndarray:
        return np.asarray(model.score(pairs, name))[:, None]

    identity = f"{form}@{manifest.digest(name)[:8]}"
    return Classifier(name, ("preferred",), identity, score, of_dialogues=True)


def _packaged(name: str, path: Path) -> Classifier:
    """A classifier inside a Python package: its weights are part of what is installed."""
    facts = storage.read_json(path)
    given = facts if isinstance(facts, dict) else {}
    library, version = packaged.LIBRARIES.get(str(given.get("library"))), given.get("version")
    if library is None or not isinstance(version, str) or tuple(given.get("labels", ())) != library.labels:
        known = " or ".join(
            f"{one.name} with the labels {', '.join(one.labels)}" for one in packaged.LIBRARIES.values()
        )
        raise UserError(f"{path} does not describe {known}; run `dvc repro` to build checkpoint '{name}' again.")
    library.check_version(version, str(path))
    return of_package(name, library, version)


def of_package(name: str, library: Library, version: str) -> Classifier:
    """Return the classifier of an installed package, whose version the caller has checked."""

    def score(texts: Sequence[Text]) -> np.ndarray:
        return library.logits([str(text) for text in texts])

    return Classifier(name, library.labels, f"{library.name}-{version}", score, reads_pairs=False)


def load_folder(name: str, folder: Path, device: str, precision: str = "float32") -> Classifier:
    """Load a Hugging Face sequence classifier with safetensors weights from any folder; the rest as `load`."""
    import torch

    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no .safetensors weights; save the model again with `save_pretrained`.")
    untrusted.check_folder(folder)
    _check_head(folder / "config.json")
    tokenizer, model = folders.read(folder, str(folder))
    labels = tuple(str(model.config.id2label[i]) for i in range(model.config.num_labels))
    if len(set(labels)) < len(labels):
        raise UserError(
            f"{folder}/config.json: id2label: two columns share a name ({', '.join(labels)}); {untrusted.AT_THE_SOURCE}, with one renamed."
        )
    model = model.to(device, getattr(torch, precision)).eval().requires_grad_(False)
    _hasten(model)
    identity = f"{model.config.model_type}@{manifest.folder_digest(folder)[:8]}"
    return Classifier(name, labels, identity, _Scorer(name, tokenizer, model, device))


def _hasten(model: Any) -> None:
    """Leave out what a model that only scores need not do; the logits stay the same but for rounding."""
    from bench.classifiers import first_token
    from bench.lm import prepack  # torch, which a caller of the other kind of classifier does without

    first_token.first_token_only(model)
    prepack.prepack(model)


def _check_head(path: Path) -> None:
    """Only one softmax over two or more labels gives probabilities that compare between classifiers."""
    config = storage.read_object(path)
    stated = storage.read_object(path.with_name("facts.json")) if path.with_name("facts.json").exists() else {}
    kind = config.get("problem_type") or stated.get("problem_type")
    if kind is None and len(config.get("id2label", ())) > 2:
        raise UserError(
            f"{path}: problem_type: not said, and {len(config['id2label'])} labels are one choice or as many questions; where "
            "one softmax over them is right, write problem_type: single_label_classification into the checkpoint's block "
            "of params.yaml, or (without a study) into that file."
        )
    kind = kind or "single_label_classification"
    if kind != "single_label_classification":
        raise UserError(
            f"{path}: problem_type: '{kind}' is not supported; use a classifier with a softmax over its "
            "labels (single_label_classification)."
        )
    names = config.get("id2label", dict.fromkeys(map(str, range(config.get("num_labels", 2)))))
    if not isinstance(names, dict) or set(names) != set(map(str, range(len(names)))):
        raise UserError(
            f"{path}: id2label: must name the columns '0', '1', … in turn; {untrusted.AT_THE_SOURCE}, with the labels' names."
        )
    if len(names) < 2:
        raise UserError(
            f"{path}: id2label: a head with a single logit is not supported; use a classifier with two or more labels."
        )


class _Scorer:
    """Logits of one model. Texts of like length share a batch, so that little is spent on padding."""

    def __init__(self, name: str, tokenizer: Any, model: Any, device: str) -> None:
        self.name, self.tokenizer, self.model, self.device = name, tokenizer, model, device
        self.padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        self.longest = folders.longest(tokenizer, model)

    def __call__(self, texts: Sequence[Text]) -> np.ndarray:
        import torch

        from bench.lm import memory

        encoded = self._encode(texts)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        out, parts = np.empty((len(texts), self.model.config.num_labels)), memory.Parts(f"{self.name}: scores")

        def logits(rows: Sequence[int]) -> list[np.ndarray]:
            width = max(lengths[row] for row in rows)
            # On the right: positions count from the first token in most encoders.
            batch = {
                key: torch.tensor([values[row] + [self.padding.get(key, 0)] * (width - lengths[row]) for row in rows])
                for key, values in encoded.items()
            }
            found = self.model(**{key: value.to(self.device) for key, value in batch.items()}).logits
            return list(found.to(device="cpu", dtype=torch.float64).numpy())

        with torch.inference_mode():
            for rows in batching.by_length(lengths, batching.TOKENS[self.device]):
                out[rows] = parts.run(rows, logits)
        return out

    def _encode(self, texts: Sequence[Text]) -> dict[str, list[list[int]]]:
        """Token ids and their masks. Padding comes later, batch by batch."""
        given = [list(part) for part in zip(*texts, strict=True)] if isinstance(texts[0], tuple) else [list(texts)]
        encoded = dict(self.tokenizer(*given, truncation=True, max_length=self.longest))  # of a pair the longer is cut
        unknown = self.tokenizer.unk_token_id
        filler = {"input_ids": self.tokenizer.pad_token_id if unknown is None else unknown, "attention_mask": 1}
        for row, ids in enumerate(encoded["input_ids"]):
            if not ids:  # the empty text, to a tokenizer that adds no special tokens: a model needs one token
                for key, values in encoded.items():
                    values[row] = [filler.get(key, 0)]
        return encoded
