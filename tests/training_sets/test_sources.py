"""What each source of training sets makes, what it leaves out and counts, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.core import paths, storage
from bench.core.schema import Example, UserError
from bench.data import splits
from bench.rankings import Ranking
from bench.training.context import TrainContext
from bench.training.settings import LengthRange
from bench.training_sets import chosen, mix, self_instruct

Make = Callable[..., TrainContext]
SAFE = [{"instruction": f"Harm {k}?", "output": f"I will not {k}."} for k in range(8)]


def safe(rows: Sequence[dict[str, Any]] = SAFE) -> str:
    Path("safe.json").write_text(json.dumps(list(rows)))
    return "safe.json"


@pytest.mark.parametrize(("share", "added"), [(0.1, 1), (0.2, 2), (1 / 3, 5)])
def test_a_mix_has_the_share_and_keeps_the_split_whole(context: Make, share: float, added: int) -> None:
    config = mix.Config(source="mix", init="base", learns_from=safe(), share=share)
    made = mix.examples(config, context("m"))
    assert made.counts == {"of data/train.jsonl": 10, "of safe.json": added}
    assert made.examples[:10] == list(context("m").train)
    assert added / len(made.examples) == pytest.approx(share, abs=0.05)
    assert all(example.tags == ("mixed-in",) for example in made.examples[10:])
    assert mix.examples(config, context("m")) == made, "the seed decides"
    assert {e.id for e in mix.examples(config, context("m", seed=1)).examples} != {e.id for e in made.examples}


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_a_mix_of_other_files(context: Make, ending: str) -> None:
    """Three rows, one of them without an answer."""
    rows = pd.DataFrame({"instruction": ["a b", "c d", "e f"], "input": ["", "x", ""], "output": ["1", "2", ""]})
    path = f"s.{ending}"
    write = {
        "csv": lambda: rows.to_csv(path, index=False),
        "tsv": lambda: rows.to_csv(path, sep="\t", index=False),
        "parquet": lambda: rows.to_parquet(path),
        "jsonl": lambda: rows.to_json(path, orient="records", lines=True),
    }
    write[ending]()
    made = mix.examples(mix.Config(source="mix", init="base", learns_from=path, share=0.16), context("m"))
    assert {(e.source, e.references) for e in made.examples[10:]} == {("a b", ("1",)), ("c d\n\nx", ("2",))}


def test_a_mix_of_more_than_there_is_says_how_much_there_is(context: Make) -> None:
    config = mix.Config(source="mix", init="base", learns_from=safe(), share=0.5)
    with pytest.raises(
        UserError, match=r"variants\.m\.share: 0\.5 of the whole is 10 examples beside 10, .* at most 0\.444"
    ):
        mix.check(config, context("m"))
    mix.check(config.model_copy(update={"share": 0.444}), context("m"))
    with pytest.raises(UserError, match=r"gone\.json does not exist; put it there"):
        mix.check(config.model_copy(update={"learns_from": "gone.json"}), context("m"))
    safe([{"instruction": "x"}])
    with pytest.raises(UserError, match=r"safe\.json line 1: field 'output' is missing; mend that line"):
        mix.check(config, context("m"))


def rankings(**changes: Any) -> None:
    common = {"source": "#person1# : hello", "dialogue_id": "d"}
    rows = [
        Ranking(id="one", summaries=("bad", "good", "so"), scores=(0.0, 2.0, 1.0), **common),
        Ranking(id="tie", summaries=("a", "b"), scores=(1.0, 1.0), **common),
        Ranking(id="revised", summaries=("new", "old"), scores=(1.0, 0.0), category="revision", **common),
    ]
    storage.write_rows(paths.preferences_path("p", "train"), rows)


def test_the_best_of_each_ranking_is_imitated(context: Make) -> None:
    rankings()
    block = {"source": "chosen", "init": "base", "learns_from": "preferences/p"}
    made = chosen.examples(chosen.Config(**block), context("c"))
    assert [(e.id, e.references) for e in made.examples] == [("one-chosen", ("good",)), ("revised-chosen", ("new",))]
    only = chosen.examples(chosen.Config(**block, category="revision"), context("c"))
    assert [e.references for e in only.examples] == [("new",)]
    wide = chosen.examples(chosen.Config(**block, margin=1.0, keep=True), context("c"))
    assert [e.references for e in wide.examples[10:]] == [("good",)] and wide.counts["of data/train.jsonl"] == 10
    with pytest.raises(UserError, match=r"variants\.c: none of 3 rankings .* categories there: revision"):
        chosen.examples(chosen.Config(**block, category="revisions"), context("c"))


def test_what_is_held_out_is_no_part_of_a_training_set() -> None:
    rows = [Example(id=str(k), dialogue_id=str(k), source=f"Say  {k}", references=("x",)) for k in range(4)]
    held = {"test": [rows[1].model_copy(update={"source": "SAY 1"})], "validation": []}
    assert [e.id for e in splits.held_out_left(rows, held, "training_sets.t")] == ["0", "2", "3"]
    with pytest.raises(UserError, match=r"training_sets\.t: no example is left"):
        splits.held_out_left(rows, {"test": rows}, "training_sets.t")
    with pytest.raises(UserError, match=r"training_sets\.t: the id '0' stands twice"):
        splits.held_out_left([rows[0], rows[0]], held, "training_sets.t")


SEEDS = [
    "Name three rivers of the north.", "Translate this sentence into French.", "Explain why the sky is blue.",
    "List reasons to eat less sugar.", "Rewrite the paragraph in a polite tone.",
]  # fmt: skip


def instructed(**block: Any) -> self_instruct.Config:
    Path("seeds.jsonl").write_text("".join(json.dumps({"instruction": s, "output": "x"}) + "\n" for s in SEEDS))
    given = {"learns_from": "seeds.jsonl", "rounds": 2, "batch_size": 2, "shots": 4, "max_new_tokens": 8, **block}
    return self_instruct.Config(source="self_instruct", init="base", **given)


def test_tasks_are_filtered_by_length_form_and_likeness_to_all_that_are_kept(context: Make) -> None:
    """Rouge-L by hand: 'Name four rivers of the north.' shares 5 of 6 words with a seed, F1 .83."""
    config, asked = instructed(), list[str]()
    texts = iter(
        [
            (" Name four rivers of the north.\nTask 6: Suggest a gift for a teacher.\nTask 7: Suggest a gi", True),
            (" Hi\nTask 6: Draw a picture of a house now.\nTask 7: ?What is that thing over there", False),
            (" Suggest a gift for my teacher.\n Task 6: Write a program that sorts numbers.", False),
            (" Describe how bread is baked at home.", False),
        ]
    )

    def go_on(prompts: Sequence[str], number: int) -> list[tuple[str, bool]]:
        asked.extend(prompts)
        return [next(texts) for _ in prompts]

    tasks = self_instruct.written(config, context("s"), SEEDS, go_on)
    assert [(task.text.split()[0], task.left_out) for task in tasks] == [
        ("Name", "alike"), ("Suggest", ""), ("Hi", "too short or long"), ("Draw", "of another form"),
        ("?What", "of another form"), ("Suggest", "alike"), ("Write", "of another form"), ("Describe", ""),
    ]  # fmt: skip
    assert all(prompt.count("Task ") == 5 and prompt.endswith("Task 5:") for prompt in asked)
    assert not any("gift" in prompt for prompt in asked[:2]) and any("gift" in prompt for prompt in asked[2:])
    again = self_instruct.written(config, context("s"), SEEDS, lambda prompts, number: pytest.fail("written again"))
    assert again == tasks, "a run that goes on writes nothing twice"


def test_going_on_equals_never_stopping(context: Make) -> None:
    """A round that was not finished is written again, with the prompts that it had."""
    config, words = instructed(rounds=3), "river bridge garden market winter summer"
    asked: list[str] = []

    def go_on(prompts: Sequence[str], number: int) -> list[tuple[str, bool]]:
        asked.extend(prompts)
        return [(f" Describe the {words.split()[(number + k) % 6]} in three plain words.", False) for k in range(2)]

    whole = self_instruct.written(config, context("whole"), SEEDS, go_on)
    prompts, asked[:] = list(asked), []

    def dies(given: Sequence[str], number: int) -> list[tuple[str, bool]]:
        if number >= 2 * config.batch_size:
            raise KeyboardInterrupt
        return go_on(given, number)

    with pytest.raises(KeyboardInterrupt):
        self_instruct.written(config, context("cut"), SEEDS, dies)
    with (context("cut").work.folder / "rounds.jsonl").open("a") as file:
        file.write('{"tasks":[{"text":"Describe the')  # and the machine died in the middle of a line
    assert self_instruct.written(config, context("cut"), SEEDS, go_on) == whole
    assert sorted(asked) == sorted(prompts), "each prompt was asked once, and is the same"


@pytest.mark.parametrize("cut", [True, False])
def test_the_last_task_is_none_where_the_limit_cut_it(cut: bool) -> None:
    found = list(self_instruct._pieces("One two three.\nTask 5: four  five", cut))
    assert found == (["One two three."] if cut else ["One two three.", "four five"])


def test_the_length_is_in_words() -> None:
    bounds = LengthRange(low=3, high=5)
    assert [bool(self_instruct.unfit(" ".join("abcdef"[:n]), bounds)) for n in range(1, 7)] == [
        True, True, False, False, False, True,
    ]  # fmt: skip


def test_a_model_that_writes_nothing_fit_is_said_to(context: Make) -> None:
    """The random T5 writes words of its own vocabulary; with a likeness of nearly 0 all are left out."""
    with pytest.raises(
        UserError, match=r"variants\.s: of \d+ tasks that 'base' wrote none was fit to keep; raise rounds"
    ):
        self_instruct.examples(instructed(similarity=1e-9, words={"low": 149, "high": 150}), context("s"))
    with pytest.raises(UserError, match=r"variants\.s\.shots: 9 asked for, and seeds\.jsonl holds 5 tasks; lower it"):
        self_instruct.check(instructed(shots=9), context("s"))


def test_tasks_and_answers_come_from_the_model(context: Make) -> None:
    """Whatever a random model writes and ends is kept where hardly anything is filtered; the counts add up."""
    import torch
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained("models/base")
    torch.manual_seed(51)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained("models/base")
    config = instructed(similarity=1.0, words={"low": 1, "high": 150}, rounds=6, max_answer_tokens=64)
    made = self_instruct.examples(config, context("s", seed=3))
    counts, kinds = made.counts, ("too short or long", "of another form", "alike", "without an answer")
    assert counts["made"] == len(made.examples) == counts["written"] - sum(counts.get(kind, 0) for kind in kinds) > 0
    assert all(example.references[0] and example.tags == ("self-instruct",) for example in made.examples)
    assert self_instruct.examples(config, context("s", seed=3)) == made
