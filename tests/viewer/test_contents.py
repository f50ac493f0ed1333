"""What the page holds: every text and score of the study, once, beside the numbers of its report."""

from __future__ import annotations

import numpy as np
import pytest

from bench import viewer
from bench.core import parameters, paths, storage
from bench.core.schema import UserError
from bench.report import inputs
from bench.viewer import contents
from tests.report.toy import GIVEN, START
from tests.viewer.conftest import HOSTILE, N, embedded, run_of

METRICS = paths.report_dir("toy") / "metrics.json"


def test_it_holds_every_text(study: parameters.Params) -> None:
    data = embedded(viewer.build(study))
    assert [system["name"] for system in data["systems"]] == [*START, "lead-3", "human"]
    assert [dialogue["id"] for dialogue in data["dialogues"]] == [f"t{k}" for k in range(N)]
    assert data["dialogues"][0]["references"] == ["They greet 0.", GIVEN] and data["slices"] == ["heated", "calm"]
    texts = run_of(data, "ppo")["texts"]
    assert texts[3] == HOSTILE and texts[5] == "" and texts[7] == "They greet 7 warmly today."
    assert run_of(data, "ppo")["cut"] == [6] and run_of(data, "ppo")["source_cut"] == []
    assert run_of(data, "ppo", output="sample", draw=1)["texts"][2] == "Sample 2 of ppo about 2."
    assert run_of(data, "lead-3")["texts"][0] == "\n".join(data["dialogues"][0]["source"].split("\n")[:3])
    assert run_of(data, "human", draw=1)["texts"] == [GIVEN] * N
    written = sum(len(storage.read_predictions(name)) for name in START)
    assert sum(len(run["texts"]) for system in data["systems"] for run in system["runs"]) == written + N + 2 * N


def test_it_holds_every_score(study: parameters.Params) -> None:
    data = embedded(viewer.build(study))
    known = {column["key"] for column in data["columns"]}
    place = {dialogue["id"]: k for k, dialogue in enumerate(data["dialogues"])}
    for system in (*START, *paths.YARDSTICKS):
        for row in storage.read_scores(system):
            for key, value in row.values.items():
                if key == "words":  # which the page counts itself
                    continue
                column = f"{key}_sampled" if row.output == "sample" else key
                assert column in known
                if key.endswith("_input"):  # of the dialogue; those of the first system stand for all
                    assert system != "human" or data["of_dialogues"][key][place[row.id]] == pytest.approx(
                        value, abs=1e-5
                    )
                    continue
                output, seed = (
                    "sample" if row.output == "sample" else "greedy",
                    "" if row.seed is None else str(row.seed),
                )
                found = run_of(data, system, output=output, draw=row.draw, seed=seed)["scores"][column]
                assert found[place[row.id]] == pytest.approx(value, abs=1e-5), (system, key)


def test_lengths_are_counted_for_every_system(study: parameters.Params) -> None:
    data = embedded(viewer.build(study))
    for system in data["systems"]:
        for run in system["runs"]:
            assert run["scores"]["summary.words"] == [len(text.split()) for text in run["texts"]]
    first = data["dialogues"][0]
    assert data["of_dialogues"]["dialogue.words"][0] == len(first["source"].split())
    assert data["of_dialogues"]["dialogue.turns"][0] == first["source"].count("\n") + 1
    assert data["of_dialogues"]["references.words"][0] == round((3 + len(GIVEN.split())) / 2, 1)


def test_its_front_is_that_of_the_report(study: parameters.Params) -> None:
    front = embedded(viewer.build(study))["front"]
    assert front["systems"] == ["human", "lead-3", *START]
    rouge, judge = front["rows"][0], front["rows"][1]
    assert (rouge["title"], judge["title"]) == ("ROUGE-1", "Toxicity (judge) (%)")
    entry = storage.read_object(METRICS)["variants"]["ppo"]["rouge1"]
    mean = np.mean([row.values["rouge1"] for row in storage.read_scores("ppo") if "rouge1" in row.values])
    assert entry["value"] == pytest.approx(mean, rel=1e-5)
    assert float(rouge["values"][front["systems"].index("ppo")].split()[0]) == pytest.approx(100 * mean, abs=0.5)
    assert not any("&" in value for row in front["rows"] for value in row["values"])


def test_an_aligned_variant_is_read_against_its_start(study: parameters.Params) -> None:
    assert embedded(viewer.build(study))["pair"] == ["ppo", "full"]
    alone = study.model_copy(update={"variants": {"baseline": study.variants["baseline"]}})
    found = contents._pair(inputs.read(alone))
    assert found == ["baseline", "human"]


def test_without_a_report_it_says_what_to_run(study: parameters.Params) -> None:
    METRICS.unlink()
    with pytest.raises(UserError, match=r"^reports/toy/metrics\.json does not exist; run `dvc repro`"):
        viewer.build(study)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({}, r"metrics\.json: variants: Field required; run `dvc repro`"),
        ({"variants": {"ppo": {"rouge1": {"value": "0.5"}}}}, r"variants\.ppo\.rouge1\.value: Input should be a valid"),
        ({"variants": {}}, r"rouge1 of 'baseline' is not the mean of scores/baseline\.jsonl, .* run `dvc repro`"),
    ],
)
def test_a_report_that_is_broken_or_of_other_scores_is_refused(
    study: parameters.Params, broken: dict[str, object], said: str
) -> None:
    known = storage.read_object(METRICS) if broken else {}
    storage.write_json(METRICS, known | broken)
    with pytest.raises(UserError, match=said):
        viewer.build(study)


def test_summaries_that_are_missing_are_named(study: parameters.Params) -> None:
    paths.predictions_path("dpo").unlink()
    with pytest.raises(UserError, match=r"^predictions/dpo\.jsonl does not exist; run `dvc repro`"):
        viewer.build(study)
