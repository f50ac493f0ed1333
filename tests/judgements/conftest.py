"""Tiny folders of judgements in the three formats: made-up dialogues, summaries and ratings."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

WORDS = "anna ben cake meets buys shop late train calls friday pays book walks home rain".split()
FACEVAL = ["", "DocID", "Dialogue", "Model", "Summary", "SubObjE", "ProE", "NegE", "ParE", "HalE", "OtherE", "w/ Error"]
SYSTEMS, DIALOGUES = "ABCDEFGHIJ", 12


def text(rng: np.random.Generator, most: int = 12) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(3, most)))


def dialsummeval(rng: np.random.Generator) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number in range(DIALOGUES):
        source = text(rng, 30)
        for system in SYSTEMS:
            ratings = [
                dict(
                    zip(
                        ("consistency", "relevance", "fluency", "coherence"),
                        rng.integers(1, 6, 4).tolist(),
                        strict=True,
                    )
                )
                for _ in range(3)
            ]
            row = {"id": f"d{number}", "dialogue": source, "summary": text(rng), "model_id": system}
            rows.append(row | {"annotations": ratings})
    return rows


def faceval(rng: np.random.Generator) -> list[list[str]]:
    rows = [FACEVAL]
    for number in range(DIALOGUES):
        source = text(rng, 30)
        for system in ("human_ref", "bart", "pegasus", "t5"):
            kinds = ["yes" if rng.random() < 0.3 else "no" for _ in range(6)]
            total = "yes" if "yes" in kinds else "no"
            rows.append([str(len(rows) - 1), f"f{number}", source, system, text(rng), *kinds, total])
    return rows


def factcorr(rng: np.random.Generator) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = []
    for number in range(DIALOGUES):
        same = text(rng)
        pairs = [{"summary": text(rng), "corrected": text(rng)}, {"summary": same, "corrected": same}]
        groups.append({"group": number, "fname": f"test_{number}", "ratio": 2.0, "rows": pairs})
    groups.append({"group": 98, "fname": "test_0", "ratio": 9.0, "rows": []})  # the dialogue of another group too
    groups.append({"group": 99, "fname": "test_98", "ratio": 1.1, "rows": groups[1]["rows"]})  # not safe
    return groups


def dialogues(rng: np.random.Generator) -> list[dict[str, str]]:
    fields = ("dialogue", "summary1", "summary2", "summary3")
    return [{"fname": f"test_{n}"} | {field: text(rng) for field in fields} for n in range(DIALOGUES)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All three formats and the dialogues, 12 dialogues each."""
    rng, path = np.random.default_rng(5), tmp_path / "judged"
    path.mkdir()
    (path / "dialsummeval.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in dialsummeval(rng)))
    with (path / "faceval.csv").open("w", newline="") as file:
        csv.writer(file).writerows(faceval(rng))
    (path / "factcorr_aligned.json").write_text(json.dumps(factcorr(rng)))
    (path / "dialogsum.test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in dialogues(rng)))
    return path
