"""What both sides are given. Imports no torch: the process that starts the others stays small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench.core.blocks import ComputeConfig, TextConfig
from bench.core.schema import Example, UserError

TEXT = TextConfig()  # the lab's prompt; 512 source tokens, 128 target tokens
ADAPTER = {"r": 32, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": ["q", "v"]}  # the lab's
LEARNING_RATE, TRAIN_BATCH = 5e-4, 8
PPO_BATCH, PPO_MINIBATCH, PPO_LEARNING_RATE, PPO_TOKENS = 16, 4, 1.41e-5, 64  # the lab's, but its 100 to 400 tokens
TRL = ("trl==0.11.4", "tyro==1.0.17", "docstring-parser==0.18.0", "typeguard==4.6.0")  # the last that has PPO


@dataclass(frozen=True)
class Task:
    """Settings of one run. Models lie in `work`/models/{base,tuned,reward}; every process works inside `work`."""

    data: str
    work: str
    device: str
    threads: int
    dialogues: int
    rounds: int
    batch_size: int
    max_new_tokens: int
    label: str
    seed: int = 0
    precision: str = "float32"
    tf32: bool = False
    compiled: bool = False
    base: str = "base"
    texts: str = "summaries"

    @property
    def compute(self) -> ComputeConfig:
        """The block `compute` of a study."""
        where = {"device": self.device, "threads": self.threads}
        how = {"precision": self.precision, "tf32": self.tf32, "compile": self.compiled}
        return ComputeConfig.model_validate(where | how)

    @property
    def arithmetic(self) -> str:
        """How a side trains: no two of a race share a name, nor a folder of what they keep."""
        return "-".join((self.precision, *["tf32"] * self.tf32, *["compiled"] * self.compiled))

    def examples(self, split: str, count: int) -> list[Example]:
        """The first `count` dialogues of DialogSum's file for `split`: train, dev or test.

        Raises:
            UserError: the file is missing or too short.
        """
        path = Path(self.data) / f"dialogsum.{split}.jsonl"
        if not path.is_file():
            raise UserError(f"{path} does not exist; put DialogSum's files there or name their folder with --data.")
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for _, line in zip(range(count), file, strict=False)]
        if len(rows) < count:
            raise UserError(f"{path} holds {len(rows)} dialogues and {count} are asked for; lower --dialogues.")
        return [
            Example(
                id=str(i),
                dialogue_id=str(i),
                source=row["dialogue"],
                references=(row["summary"] if "summary" in row else row["summary1"],),
            )
            for i, row in enumerate(rows)
        ]

    def scored(self) -> list[str]:
        """The texts that the classifiers score."""
        found = self.examples("test", self.dialogues)
        return [example.source if self.texts == "dialogues" else example.references[0] for example in found]
