"""Broken files of claims: each is one clear sentence that names file, claim and field, and nothing is written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bench.commands import audit as command
from bench.core.schema import UserError


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


GOOD: dict[str, Any] = {"check": "difference", "claim": "c", "source": "s", "before": "1", "after": "2", "stated": "1"}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (GOOD | {"stated": 1.0}, "claims[0].stated: 1.0 is no printed number; write it in quotes as printed"),
        (GOOD | {"stated": "1,5"}, "claims[0].stated: '1,5' is no printed number"),
        (GOOD | {"stated": "nan"}, "claims[0].stated: 'nan' is no printed number"),
        (GOOD | {"check": "diference"}, "claims[0].check: there is no check 'diference'; did you mean 'difference'?"),
        (
            {"claim": "c", "source": "s"},
            "claims[0].check: there is no check ''; write one of: bytes, change, consistent, count",
        ),
        (GOOD | {"sauce": "x"}, "claims[0].sauce: no such field"),
        ({k: v for k, v in GOOD.items() if k != "after"}, "claims[0].after: Field required"),
        (GOOD | {"n": 5}, "claims[0]: 'n' and 'sd' belong together"),
        (GOOD | {"stated": None}, "claims[0].stated: a 'difference' needs 'stated', or 'n' and 'sd'"),
        (
            {"check": "mean", "claim": "c", "source": "s", "values": "rewrad", "stated": "1"},
            "claims[0].values: there is no column 'rewrad' in 'columns'; did you mean 'reward'?",
        ),
        (
            {"check": "paired", "claim": "c", "source": "s", "before": "reward", "after": ["1", "2", "3"]},
            "claims[0].after: 3 numbers against 2 in 'before'; pairs need equally many",
        ),
        (
            {"check": "paired", "claim": "c", "source": "s", "before": ["1"], "after": ["2"]},
            "claims[0].before: 1 number, and a 'paired' needs two or more",
        ),
        (
            GOOD | {"percent": True},
            "claims[0].percent: per cent needs a stated difference of fractions above 0 and scale",
        ),
        (
            {"check": "limits", "claim": "c", "source": "s", "values": "reward"},
            "claims[0]: a 'limits' needs 'above', 'at_least' or 'at_most'",
        ),
        (
            {"check": "limits", "claim": "c", "source": "s", "values": "reward", "above": "1", "percent": True},
            "claims[0].percent: per cent needs",
        ),
        (
            {"check": "limits", "claim": "c", "source": "s", "values": "reward", "minus": ["1"], "above": "1"},
            "claims[0].minus: 1 numbers against 2 in 'values'; write equally many",
        ),
        ({"check": "count", "claim": "c", "source": "s", "stated": "1"}, "needs either 'items' or 'total'"),
        (
            {"check": "improvement", "claim": "c", "source": "s", "before": "0", "after": "1", "stated": "1"},
            "claims[0].before: its mean is 0",
        ),
        (
            {
                "check": "lora",
                "claim": "c",
                "source": "s",
                "blocks": 1,
                "modules": {"q": [8, 0]},
                "r": 1,
                "stated": "8",
            },
            "claims[0].modules.q[1]: Input should be greater than or equal to 1",
        ),
    ],
)
def test_a_broken_claim_is_one_clear_sentence(workdir: Path, block: dict[str, Any], message: str) -> None:
    Path("mine.json").write_text(json.dumps({"about": "a", "columns": {"reward": ["1", "2"]}, "claims": [block]}))
    with pytest.raises(UserError) as caught:
        command.run(arguments("mine.json"))
    assert str(caught.value).startswith("mine.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "mine.json does not exist; claims lie in claims/<name>.json."),
        (b"{", "mine.json is not valid JSON"),
        (b"\xff\xfe", "mine.json is not UTF-8 text"),
        (b'{"x": ' + b"9" * 5000 + b"}", "mine.json is not valid JSON"),
        (b"[]", "mine.json: the file: Input should be"),
        (b'{"about": "a", "claims": []}', "mine.json: claims: "),
    ],
)
def test_a_broken_file_is_one_clear_sentence(workdir: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        Path("mine.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        command.run(arguments("mine.json"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_two_files_of_one_name_are_refused(workdir: Path) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "mine.json").write_text(json.dumps({"about": "a", "claims": [GOOD]}))
    with pytest.raises(UserError, match="another file of claims has this name"):
        command.run(arguments("a/mine.json", "b/mine.json"))
