"""Shots and prompts of a variant's own, on the tiny models."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.blocks import Prompt, Shot, TextConfig
from bench.core.schema import Example, UserError
from bench.lm import models, prompts

TRAIN = [  # no two are the same
    Example(
        id=f"t{i}",
        dialogue_id=f"t{i}",
        source=" ".join("abcdefghij"[i % 10 :][: i % 3 + 1] + "j" * (i // 10)),
        references=("kind", "you"),
    )
    for i in range(20)
]
SHOTS = (Shot(id="x", source="a b", summary="hello"), Shot(id="y", source="c", summary="kind"))
TEXT = TextConfig(prompt="says {source} :", max_source_tokens=24)


@pytest.fixture
def tool(tiny_base: Path) -> models.PreTrainedTokenizerBase:
    return models.tokenizer_of("base")


def prompt(**settings: object) -> Prompt:
    return Prompt.model_validate(TEXT.model_dump() | {"examples": SHOTS} | settings)


def test_a_shot_is_the_prompt_round_its_dialogue_with_its_summary(tool: models.PreTrainedTokenizerBase) -> None:
    ids, cut, shots = prompts.encode_source(tool, "d e", prompt())
    assert ids == tool("says a b :\nhello\n\nsays c :\nkind\n\nsays d e :")["input_ids"] and not cut and shots == 2


def test_shots_of_a_chat_are_turns(tiny_decoder: Path) -> None:
    tool = models.load("base", "cpu").tokenizer
    turns = [
        {"role": "user", "content": "says a b :"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "says c :"},
        {"role": "assistant", "content": "kind"},
        {"role": "user", "content": "says d e :"},
    ]
    expected = tool.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert prompts.encode_source(tool, "d e", prompt(chat=True, max_source_tokens=512)).ids == expected


def test_shots_go_before_a_word_of_the_dialogue_does(tool: models.PreTrainedTokenizerBase) -> None:
    whole = [prompts.encode_source(tool, " ".join("j" * n), prompt()) for n in range(1, 30)]
    assert [one.shots for one in whole] == sorted((one.shots for one in whole), reverse=True)
    assert {one.shots for one in whole} == {0, 1, 2}
    for n, one in enumerate(whole, 1):
        assert len(one.ids) <= TEXT.max_source_tokens
        assert one.truncated == (len(tool("says " + " ".join("j" * n) + " :")["input_ids"]) > TEXT.max_source_tokens)
        assert not (one.truncated and one.shots)


def test_a_dialogue_is_no_shot_of_its_own(tool: models.PreTrainedTokenizerBase) -> None:
    assert prompts.encode_source(tool, "c", prompt()).ids == tool("says a b : hello says c :")["input_ids"]


def test_shots_are_drawn_by_the_seed_or_named(tool: models.PreTrainedTokenizerBase) -> None:
    def chosen(seed: int, **settings: object) -> list[str]:
        text = TEXT.model_copy(update={"max_source_tokens": 60} | settings)
        return [shot.id for shot in prompts.with_shots(tool, text, TRAIN, seed, "variants.few").examples]

    assert chosen(1, shots=3) == chosen(1, shots=3) != chosen(2, shots=3)
    assert len(set(chosen(1, shots=3))) == 3
    assert chosen(1, shots=("t4", "t2")) == chosen(2, shots=("t4", "t2")) == ["t4", "t2"]
    assert chosen(1) == []
    with pytest.raises(UserError, match=r"variants\.few\.text\.shots: data/train\.jsonl has no 't99'"):
        chosen(1, shots=("t99",))
    with pytest.raises(UserError, match="21 asked for, the training split holds 20"):
        chosen(1, shots=21)


def test_whole_shots_are_left_out_until_nearly_all_training_dialogues_fit(tool: models.PreTrainedTokenizerBase) -> None:
    for limit in range(9, 40):
        text = TEXT.model_copy(update={"max_source_tokens": limit, "shots": 4})
        try:
            found = prompts.with_shots(tool, text, TRAIN, 0, "variants.few")
        except UserError as error:
            assert "not one shot fits" in str(error) and limit < 14
            continue
        kept = [
            prompts.encode_source(tool, e.source, found).shots
            for e in TRAIN
            if e.id not in {s.id for s in found.examples}
        ]
        assert len(found.examples) + found.dropped == 4
        assert len(kept) > 15 and sum(n < len(found.examples) for n in kept) <= 0.05 * len(TRAIN)
    assert len(found.examples) == 4


def test_a_model_is_asked_for_its_prompt(tiny_base: Path) -> None:
    assert prompts.of("base", TEXT) is TEXT
    (tiny_base / "prompt.json").write_text(prompt().model_dump_json())
    assert prompts.of("base", TEXT) == prompt() and prompt().prompt_digest != TEXT.prompt_digest
    assert prompt(examples=()).prompt_digest == TEXT.prompt_digest, "no shot is no other prompt"
    (tiny_base / "prompt.json").write_text('{"prompt": "no place"}')
    with pytest.raises(UserError, match=r"models/base/prompt\.json: prompt: .*; run `dvc repro`"):
        prompts.of("base", TEXT)
