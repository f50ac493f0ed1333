"""`bench new`: a study of one's own data, every block written out, checked."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import config
from bench.commands import Command
from bench.core import paths, storage
from bench.core.schema import UserError
from bench.data import tables

REWARD = "facebook/roberta-hate-speech-dynabench-r4-target"
COMMIT = "391c99ab8b3f65beb77746a2cf6ddf1ddf9817e6"
PER_TOKEN = 3.5  # characters of English a token, about; `check` counts with the model's own tokenizer
PART = 0.95  # of the dialogues that the limits should hold whole
MOST = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("name", help="what the study is called; it becomes studies/NAME.yaml")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        type=Path,
        metavar="FILE",
        help="one file, which is split; or train and test; or train, validation and test",
    )
    parser.add_argument("--base", required=True, metavar="MODEL", help="a name on the hub, or a folder of this machine")
    parser.add_argument("--reward", default=REWARD, metavar="MODEL", help="the classifier that alignment follows")
    parser.add_argument("--toxic", default="hate", metavar="LABEL", help="its label for toxic texts (hate)")
    parser.add_argument("--clean", default="nothate", metavar="LABEL", help="its label for clean texts (nothate)")
    parser.add_argument("--columns", nargs="+", default=[], metavar="WHAT=NAME", help="dialogue, reference, id")


def run(given: argparse.Namespace) -> int:
    """Write studies/NAME.yaml.

    Raises:
        UserError: the study exists, a file is missing, or its columns cannot be told; it says which to name.
    """
    path = paths.STUDIES / f"{given.name}.yaml"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", given.name):
        raise UserError(f"'{given.name}' is no name of a study; use lower-case letters, digits and '-'.")
    if path.exists():
        raise UserError(f"{path} exists; choose another name, or remove it.")
    rows = _rows(given.data)
    columns = _columns(given.data[0], rows[0], given.columns)
    text = study(given, columns, rows)
    try:
        config.parse(_parsed(text), str(path))
    except UserError as error:
        options = "--data, --base, --columns, --reward, --toxic, --clean"
        raise UserError(f"{error} {path} is not written: give another of {options}.") from None
    storage.write_text(path, text)
    print(f"{path}: {len(rows):,} rows, dialogue '{columns['dialogue']}', reference {columns['references']}")
    print(f"next: bench use {given.name} && dvc repro")
    return 0


def _parsed(text: str) -> dict[str, Any]:
    from bench.core import parsing

    return parsing.parse_yaml(text.encode(), "the new study")


def _rows(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of the first file; all files must lie in one folder."""
    for file in files:
        if not file.is_file():
            raise UserError(f"--data: {file} does not exist; name a file.")
        if file.resolve().parent != files[0].resolve().parent:
            raise UserError(f"--data: {file} lies in another folder than {files[0]}; put them into one.")
    if len(files) > 3:
        raise UserError(f"--data: {len(files)} files; give one, or train and test, or train, validation and test.")
    found = [row for _, row in tables.rows(files[0])]
    if not found:
        raise UserError(f"--data: {files[0]} holds no row; name a file that does.")
    return found


def _columns(file: Path, row: dict[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    """Which columns hold what: as asked, else by their usual names."""
    named = dict(each.partition("=")[::2] for each in asked)
    unknown = next((what for what in named if what not in ("dialogue", "reference", "id")), None)
    if unknown is not None:
        raise UserError(f"--columns: '{unknown}' is none of dialogue, reference, id; write such as dialogue=NAME.")
    found = {
        what: tables.needed(file, (1, row), usual, named.get(what), what, f"say which with --columns {what}=NAME")
        for what, usual in (("dialogue", tables.DIALOGUES), ("reference", tables.REFERENCES))
    }
    numbered = [str(name) for name in row if re.fullmatch(rf"{re.escape(found['reference'])}_?\d+", str(name))]
    identity = (
        tables.needed(file, (1, row), (), named["id"], "id", "") if "id" in named else tables.known(row, tables.IDS)
    )
    return {"dialogue": found["dialogue"], "references": [found["reference"], *numbered], "id": identity}


def _limit(lengths: list[int], least: int) -> int:
    """Tokens that hold most of the texts, about: in steps of 64."""
    longest = sorted(lengths)[min(int(PART * len(lengths)), len(lengths) - 1)] / PER_TOKEN
    return max(least, min(MOST, -(-int(longest) // 64) * 64))


def _checkpoint(model: str) -> dict[str, Any]:
    if Path(model).is_dir():
        return {"source": "local", "path": Path(model).as_posix(), "name": Path(model).name}
    if model.endswith(".gguf"):
        return {"source": "gguf", "path": model, "name": Path(model).stem}
    return {"source": "hub", "repo": model, "revision": COMMIT if model == REWARD else "main"}


def study(given: argparse.Namespace, columns: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Write a study as YAML, each block with a word about it."""
    files = [file.name for file in given.data]
    named = dict(zip(paths.SPLITS, {1: files * 3, 2: [files[0], *files]}.get(len(files), files), strict=True))
    source = _limit([len(str(row[columns["dialogue"]])) for row in rows], 128) + 32
    target = _limit([len(str(row[columns["references"][0]])) for row in rows], 64)
    folder = Path(given.data[0]).parent.as_posix()

    def flow(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    held = {key: value for key, value in columns.items() if value is not None}
    parts = (
        '\n  parts: {"validation": 0.1, "test": 0.1, "seed": 0}   # kept back from that file, by dialogue'
        if len(set(named.values())) < 3
        else ""
    )
    splits = "\n".join(f"  {split}: {flow({'file': file})}" for split, file in named.items())
    return f"""\
# Written by `bench new`. Every key is explained where it is typed: bench/core/blocks.py, bench/core/parameters.py, and the
# Config of each dataset, method and metric.
study: {given.name}
about: >-
  {given.base} on {", ".join(files)}.
seed: 0

compute:
  device: auto       # a GPU where there is one
  threads: 2
  precision: float32

data:
  dataset: files
  path: {flow(folder)}
  columns: {flow(held)}
  overlap: drop      # a dialogue that stands in two splits stays in the later{parts}
{splits}

text:
  prompt: "Summarize the following conversation.\\n\\n{{source}}\\n\\nSummary: "
  max_source_tokens: {source}    # about 95 % of the dialogues fit whole; `check` says how many do
  max_target_tokens: {target}

checkpoints:
  base: {flow(_checkpoint(given.base))}
  reward: {flow(_checkpoint(given.reward))}   # what alignment follows
  judge: {{"source": "profanity_check", "version": "1.9.1"}}   # training never sees it

variants:
  baseline:
    method: none
    init: base
    learns_from: models/base
  lora:
    method: sft
    init: base
    learns_from: data/train.jsonl
    optim: {{learning_rate: 1e-3, batch_size: 8, epochs: 1}}
    adapter: {{type: LORA, r: 16, lora_alpha: 32, lora_dropout: 0.05, target_modules: all-linear}}
  dpo:               # remove it where nothing has to be detoxified
    method: dpo
    init: lora
    learns_from: models/reward
    beta: 0.3
    optim: {{learning_rate: 5e-5, batch_size: 8, epochs: 1}}
    pairs: {{prompts: 512, samples: 4, margin: 0.5, max_new_tokens: {target}, batch_size: 64}}
    reward: {{label: {flow(given.clean)}}}

generation:
  max_new_tokens: {target}
  samples: 1
  batch_size: 64

metrics:
  rouge: {{}}          # tokenizer: unicode for texts that are not English
  toxicity:
    reward_label: {flow(given.clean)}
    classifiers:
      reward: {{checkpoint: reward, toxic: {flow(given.toxic)}}}
      judge: {{checkpoint: judge, toxic: profane}}
  kl: {{}}
  text: {{}}

report:
  primary: rouge1
  resamples: 10000
  examples: 4
  texts: true        # false keeps dialogues and summaries out of what is committed
"""


COMMAND = Command("write a study of your own data, checked, into studies/", add_arguments, run)
