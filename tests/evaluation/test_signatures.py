"""Whatever moves a number moves its signature; what does not, does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import config, generation
from bench.core import parameters, paths, storage
from bench.core.blocks import TextConfig
from bench.core.schema import Example, Prediction
from bench.data import texts
from bench.evaluation import scoring
from bench.metrics import ScoreContext, kl, rouge, text, toxicity

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [Example(id=c, dialogue_id=c, source=f"hello {c}", references=("a b", "a c")) for c in "ab"]
Params = parameters.Params


@pytest.fixture
def params(workdir: Path, tiny_base: Path, tiny_reward: Path) -> Params:
    """A study of the tiny base and the tiny classifier, which is reward and judge."""
    storage.write_rows(paths.split_path("test"), EXAMPLES)
    metrics = {
        "rouge": rouge.Config(),
        "text": text.Config(),
        "kl": kl.Config(batch_size=4),
        "toxicity": toxicity.Config(classifiers={"judge": toxicity.ToxicClassifier(checkpoint="reward")}),
    }
    return config.read(ROOT / "studies" / "miniature.yaml").model_copy(update={"metrics": metrics})


def signatures(params: Params) -> dict[str, str]:
    drawn = [("greedy", 0), *(("sample", draw) for draw in range(params.generation.samples))]
    rows = [
        Prediction(id=e.id, dialogue_id=e.dialogue_id, output=output, draw=draw, text="a b", token_ids=(3, 4, 1))  # type: ignore[arg-type]
        for e in EXAMPLES
        for output, draw in drawn
    ]
    context = ScoreContext(
        variant="base",
        start="base",
        examples=EXAMPLES,
        predictions=rows,
        text=params.text,
        generation=params.generation,
        device="cpu",
    )
    scoring.score_and_write(params, context)
    found: dict[str, str] = storage.read_object(paths.signatures_path("base"))["signatures"]
    return found


def set_text(**changes: Any) -> Callable[[Params], Params]:
    return lambda params: params.model_copy(update={"text": params.text.model_copy(update=changes)})


def set_generation(**changes: Any) -> Callable[[Params], Params]:
    return lambda params: params.model_copy(update={"generation": params.generation.model_copy(update=changes)})


def in_file(name: str, **changes: Any) -> Callable[[Params], Params]:
    def change(params: Params) -> Params:
        path = paths.model_path(name) / "config.json"
        path.unlink() if path.is_symlink() else None
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return params

    return change


WRITTEN = {"rouge1", "words", "toxicity_judge"}
SAMPLES = {"toxicity_judge_sampled", "kl_base_sampled"}
KL = {"kl_base", "kl_base_sampled"}
CASES: dict[str, tuple[Callable[[Params], Params], set[str]]] = {
    "prompt": (set_text(prompt="Sum up:\n{source}\n"), WRITTEN | SAMPLES | KL),
    "dialogues cut earlier": (set_text(max_source_tokens=9), WRITTEN | SAMPLES | KL),
    "references cut earlier": (set_text(max_target_tokens=3), {"kl_base"}),
    "summaries cut earlier": (set_generation(max_new_tokens=7), WRITTEN | SAMPLES),
    "seed of the samples": (set_generation(seed=5), SAMPLES),
    "number of samples": (set_generation(samples=3), SAMPLES),
    "batch size": (set_generation(batch_size=3), set()),
    "the judge's labels": (in_file("reward", id2label={"0": "hate", "1": "nothate"}), {"toxicity_judge"}),
    "the base's config": (in_file("base", dropout_rate=0.5), KL),
}


@pytest.mark.parametrize("case", CASES)
def test_what_moves_a_number_moves_its_signature(params: Params, case: str) -> None:
    change, moved = CASES[case]
    before, after = signatures(params), signatures(change(params))
    assert before.keys() == after.keys() >= WRITTEN | SAMPLES | KL
    changed = {key for key in before if before[key] != after[key]}
    assert changed & (WRITTEN | SAMPLES | KL) >= moved
    assert moved or not changed
    if not moved & {"rouge1"}:
        assert "rouge1" not in changed


def test_a_chat_template_is_another_prompt() -> None:
    assert TextConfig(chat=True).prompt_digest != TextConfig().prompt_digest


@pytest.mark.parametrize(
    ("module", "name", "keys"),
    [(generation, "VERSION", WRITTEN | SAMPLES), (texts, "SPLITTER", {"rougeLsum"})],
)
def test_the_version_of_an_implementation_is_in_it(
    params: Params, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, keys: set[str]
) -> None:
    before = signatures(params)
    monkeypatch.setattr(module, name, "changed-9")
    after = signatures(params)
    assert {key for key in before if before[key] != after[key]} >= keys


def test_the_stemmer_s_version_is_in_it(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    before, known = signatures(params), rouge.metadata.version
    monkeypatch.setattr(rouge.metadata, "version", lambda name: "9.9" if name == "nltk" else known(name))
    after = signatures(params)
    assert before["rouge1"] != after["rouge1"]
    assert before["words"] == after["words"]
