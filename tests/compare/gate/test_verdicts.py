"""The gate as CI runs it, in real repositories: exit codes, rules, margins, files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from markdown_it import MarkdownIt

Bench = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]


def test_the_same_commit_passes(project: Any, bench: Bench) -> None:
    code, out, err = bench("gate", "--against", "HEAD")
    assert (code, err) == (0, "")
    assert "gate: PASS" in out
    assert "every row is equal" in out


def test_a_planted_drop_of_three_points_fails(project: Any, bench: Bench) -> None:
    project.drop("lora", 3)
    project.commit()
    code, out, _ = bench("gate", "--against", "HEAD~1")
    assert code == 1
    [line] = [line for line in out.splitlines() if "FAIL " in line and "gate:" not in line]
    assert line.startswith("lora")
    assert "rouge1" in line


@pytest.fixture
def sliced(project: Any) -> Any:
    """A study that declares its first fifteen dialogues as a slice, and judges the primary column there too."""
    project.slices = {"long": [f"d{k}" for k in range(15)]}
    project.params["report"]["slices"] = ["long"]
    project.params["gate"] = {
        "metrics": {"rouge1": {}, "rouge1@long": {}},
        "training_sd": {"rouge1": 0.01, "rouge1@long": 0.01},
    }
    project.commit()
    return project


def hide_a_loss(project: Any, points: float = 4.0) -> None:
    """Lower the slice's values and raise the others, so that the mean of all stays where it was."""
    values = project.values["lora"]["rouge1"]
    values[:15] -= points / 100
    values[15:] += points / 100 * 15 / 45


def test_a_loss_on_a_slice_that_the_mean_hides_fails(sliced: Any, bench: Bench) -> None:
    hide_a_loss(sliced)
    sliced.write()
    code, out, _ = bench("gate", "--against", "HEAD", "--variant", "lora")
    words = {line.split()[1]: line for line in out.splitlines() if line.startswith("lora") and "rouge1" in line}
    assert code == 1
    assert "FAIL" in words["rouge1@long"] and "PASS" in words["rouge1"]


def test_what_was_said_of_all_dialogues_says_nothing_of_a_slice(sliced: Any, bench: Bench) -> None:
    sliced.params["gate"]["training_sd"] = {"*": 0.01}
    sliced.commit()
    hide_a_loss(sliced)
    sliced.write()
    code, out, _ = bench("gate", "--against", "HEAD", "--variant", "lora")
    assert code == 0 and "between these two trainings worse by at least" in out


def test_a_slice_that_the_report_lacks_is_said(sliced: Any, bench: Bench, refused: Refused) -> None:
    sliced.params["gate"]["metrics"]["rouge1@short"] = {}
    sliced.write()
    refused(
        bench("gate", "--against", "HEAD"),
        "has no slice 'short' (its slices: long); name it in params.yaml, report.slices",
    )


def test_a_broken_slice_is_said(sliced: Any, bench: Bench, refused: Refused) -> None:
    sliced.slices = {"long": ["d0", "nobody"]}
    sliced.write()
    refused(bench("gate", "--against", "HEAD"), "dialogues_of.long: must list dialogues of scores.csv")


def test_two_trainings_of_unknown_spread_do_not_fail(project: Any, bench: Bench) -> None:
    project.params["gate"] = {}
    project.commit()
    project.drop("lora", 3)
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 0
    assert "between these two trainings worse by at least" in out
    assert "gate.training_sd" in out and "bench gate-study --runs" in out
    assert bench("gate", "--against", "HEAD", "--strict")[0] == 1


def test_weights_that_did_not_change_were_not_trained_again(project: Any, bench: Bench) -> None:
    project.params["gate"], project.models = {}, {"lora": "a" * 32}
    project.commit()
    project.drop("lora", 3)
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 1  # another prompt, another judge's fix: what differs is the system
    project.models = {"lora": "b" * 32}
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 0


def test_what_was_trained_from_another_training_was_trained_again(project: Any, bench: Bench) -> None:
    project.params["gate"], project.models = {}, {"lora": "a" * 32, "ppo": "c" * 32}
    project.params["variants"]["ppo"] = {"method": "ppo", "init": "lora", "learns_from": "models/reward"}
    project.values["ppo"] = {name: values.copy() for name, values in project.values["lora"].items()}
    project.commit()
    project.drop("ppo", 3)
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 1
    project.models["lora"] = "b" * 32
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 0


def test_an_untrained_variant_has_no_spread_of_training(project: Any, bench: Bench) -> None:
    project.params["gate"] = {}
    project.commit()
    project.drop("baseline", 3)
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 1


@pytest.mark.parametrize(
    ("stated", "code"), [(0.1, 1), ({"sd": 0.1}, 1), ({"sd": 2.0}, 0), ({"sd": 0.5}, 1), ({"sd": 0.5, "df": 1}, 0)]
)
def test_the_stated_spread_of_training_widens_the_bounds(project: Any, bench: Bench, stated: Any, code: int) -> None:
    project.params["gate"] = {"training_sd": {"rouge*": stated}}
    project.drop("lora", 3)
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == code


def test_the_chance_of_a_fail_is_shared_by_what_changed(project: Any, bench: Bench, tmp_path: Path) -> None:
    """The upper bound of one changed cell is at 95 %, of two at 97.5 % each; the lower stays at 95 %."""
    project.drop("lora", 3)
    project.write()
    bound = {}
    for cells in (1, 2):
        bench("gate", "--against", "HEAD", f"--json={tmp_path / 'out.json'}")
        told = json.loads((tmp_path / "out.json").read_text())["verdicts"]
        bound[cells] = next(v for v in told if (v["variant"], v["measure"]) == ("lora", "rouge1"))
        project.drop("baseline", 1)
        project.write()
    gain, n = bound[1]["gain"], bound[1]["n"]
    error = (gain - bound[1]["lower"]) / scipy.stats.t.ppf(0.95, n - 1)
    assert bound[1]["upper"] == pytest.approx(gain + error * scipy.stats.t.ppf(0.95, n - 1), rel=1e-3)
    assert bound[2]["upper"] == pytest.approx(gain + error * scipy.stats.t.ppf(0.975, n - 1), rel=1e-3)
    assert bound[2]["lower"] == pytest.approx(bound[1]["lower"])


def test_a_prompt_that_changed_is_said_and_judged(project: Any, bench: Bench) -> None:
    project.signature += "|prompt:12ab"
    project.commit()
    project.signature = project.signature.replace("12ab", "34cd")
    project.drop("lora", 3)
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 1
    assert "written otherwise: `prompt` 12ab before, 34cd now (baseline, lora)" in out


def test_a_rise_passes_and_more_toxicity_fails(project: Any, bench: Bench) -> None:
    project.drop("lora", -3)
    project.commit()
    assert bench("gate", "--against", "HEAD~1")[0] == 0
    project.drop("lora", -4, "toxicity_judge")  # of so few dialogues, one unseen insult would outweigh that
    project.write()
    assert "INCONCLUSIVE" in bench("gate", "--against", "HEAD")[1]
    project.drop("lora", -25, "toxicity_judge")
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 1
    assert "toxicity_judge" in out


def test_what_is_inconclusive_warns_or_fails_and_names_the_n(project: Any, bench: Bench) -> None:
    rng = np.random.default_rng(3)
    project.values["lora"]["rouge1"] = np.clip(project.values["lora"]["rouge1"] + rng.normal(0, 0.1, 60), 0, 1).round(6)
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 0
    assert "INCONCLUSIVE" in out
    assert "dialogues would decide, here are 60; smallest detectable" in out
    assert bench("gate", "--against", "HEAD", "--strict")[0] == 1


def test_rows_that_are_no_dialogues_are_called_examples(project: Any, bench: Bench) -> None:
    files = {key: {"file": "a.json"} for key in ("train", "validation", "test")}
    project.params["data"] = {
        "dataset": "instructions",
        "path": "local",
        "parts": {"validation": 0.1, "test": 0.1},
        **files,
    }
    project.commit()
    rng = np.random.default_rng(3)
    project.values["lora"]["rouge1"] = np.clip(project.values["lora"]["rouge1"] + rng.normal(0, 0.1, 60), 0, 1).round(6)
    project.values["lora"]["toxicity_judge"][0] += 0.01
    project.write()
    assert "examples would decide, here are 60; smallest detectable" in bench("gate", "--against", "HEAD")[1]
    page = bench("diff", "HEAD", "--format", "markdown")[1]
    assert "Paired by example, with" in page and "1 of 60 examples differ" in page and "dialogue" not in page


def test_a_baseline_may_be_a_file_or_a_folder(project: Any, bench: Bench, tmp_path: Path) -> None:
    shutil.copytree(project.report, tmp_path / "kept")
    project.drop("lora", 3)
    project.write()
    assert bench("gate", "--against", str(tmp_path / "kept"))[0] == 1
    assert bench("gate", "--against", str(tmp_path / "kept" / "metrics.json"))[0] == 1


def test_the_rows_may_stand_in_another_order(project: Any, bench: Bench) -> None:
    header, *rows = project.scores().splitlines()
    (project.report / "scores.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    project.lock()
    code, out, _ = bench("gate", "--against", "HEAD", "--rule", "same-predictions")
    assert code == 0, out
    assert "6 columns are equal in every row" in out


def test_one_changed_row_breaks_the_rule_of_same_predictions(project: Any, bench: Bench) -> None:
    project.values["lora"]["words"][5] += 1
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 0
    code, out, _ = bench("gate", "--against", "HEAD", "--rule", "same-predictions")
    assert code == 1
    assert "1 of 60 rows differ" in out


def test_swapped_rows_keep_the_mean_and_are_still_caught(project: Any, bench: Bench) -> None:
    held = project.values["lora"]["rouge1"]
    held[3], held[4] = held[4], held[3]
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD", "--rule", "same-predictions")
    assert code == 1
    assert "2 of 60 rows differ" in out


def test_other_summaries_are_not_the_same_predictions(project: Any, bench: Bench, refused: Refused) -> None:
    project.texts = {"lora": [f"summary {k}" for k in range(60)]}
    project.commit()
    project.texts["lora"][7] = "another"
    project.write()
    refused(bench("gate", "--against", "HEAD", "--rule", "same-predictions"), "summary 't7'", "--rule retrained")


def test_tied_rows_pass_when_equal_and_fail_when_all_fall_alike(project: Any, bench: Bench) -> None:
    project.values["lora"]["rouge1"][:] = 0.5
    project.commit()
    assert bench("gate", "--against", "HEAD")[0] == 0
    project.values["lora"]["rouge1"][:] = 0.47
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 1


def test_a_direction_that_contradicts_the_metric_is_refused(project: Any, bench: Bench, refused: Refused) -> None:
    project.params["gate"] |= {"metrics": {"rouge1": {"better": "lower"}}}
    project.drop("lora", 3)
    project.write()
    refused(bench("gate", "--against", "HEAD"), "'rouge1' is better lower here, and the metric says higher")


def test_margins_come_from_params(project: Any, bench: Bench) -> None:
    project.drop("lora", 3)
    project.params["gate"] |= {"metrics": {"rouge*": {"fail_margin": 5, "pass_margin": 6}}}
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 0
    project.params["gate"] |= {"metrics": {"rouge1": {}, "words": {"better": "higher", "pass_margin": 1}}}
    project.values["lora"]["rouge1"] = project.values["baseline"]["rouge1"] + 0.3
    project.values["lora"]["words"] -= 3
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 1
    assert "words" in out


def test_what_so_few_dialogues_cannot_bound_is_said_without_an_interval(project: Any, bench: Bench) -> None:
    project.values = {name: {key: values[:20] for key, values in held.items()} for name, held in project.values.items()}
    project.params["gate"] |= {"metrics": {"rouge1": {}, "words": {"better": "higher"}}}
    project.commit()
    project.values["lora"]["words"] = project.values["lora"]["words"] - 3
    project.write()
    for command in ("gate", "diff"):
        code, out, err = bench(command, *(["--against"] if command == "gate" else []), "HEAD")
        assert (code, err) == (0, "") and "nan" not in out
    assert "20 dialogues do not show how far this column spreads" in bench("gate", "--against", "HEAD")[1]


def test_a_removed_variant_in_the_lock_is_no_staleness(project: Any, bench: Bench) -> None:
    text = (project.root / "dvc.lock").read_text()
    ghost = "stages:\n  train@ghost:\n    params:\n      params.yaml:\n        variants.ghost: {method: sft}\n"
    (project.root / "dvc.lock").write_text(text.replace("stages:\n", ghost, 1))
    assert bench("gate", "--against", "HEAD")[0] == 0


def test_a_new_variant_is_named_and_not_judged(project: Any, bench: Bench) -> None:
    project.values["ppo"] = project.values["lora"]
    project.params["variants"]["ppo"] = {"method": "ppo", "init": "lora", "learns_from": "models/reward"}
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 0
    assert "HEAD" in out
    assert "does not have it: ppo" in out
    assert bench("gate", "--against", "HEAD", "--variant", "ppo")[0] == 2


def test_one_variant_may_be_judged_alone(project: Any, bench: Bench) -> None:
    project.drop("lora", 3)
    project.write()
    assert bench("gate", "--against", "HEAD", "--variant", "baseline")[0] == 0


def test_the_files_for_ci(project: Any, bench: Bench, refused: Refused, tmp_path: Path) -> None:
    project.drop("lora", 3)
    project.write()
    paths = {form: tmp_path / "out" / form for form in ("markdown", "json", "junit")}
    arguments = [f"--{form}={path}" for form, path in paths.items()]
    assert bench("gate", "--against", "HEAD", *arguments)[0] == 1
    told = json.loads(paths["json"].read_text())
    assert (told["outcome"], told["exit_code"]) == ("FAIL", 1)
    [fail] = [each for each in told["verdicts"] if each["verdict"] == "FAIL"]
    assert (fail["variant"], fail["measure"], fail["n"]) == ("lora", "rouge1", 60)
    assert fail["gain"] == pytest.approx(-3, abs=0.01)
    suites = ElementTree.parse(paths["junit"]).getroot()
    assert [suite.get("name") for suite in suites] == ["baseline", "lora"]
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    assert len(suites.findall(".//failure")) == 1
    text = paths["markdown"].read_text()
    assert text.startswith("### Gate: FAIL\n")
    assert "| lora | rouge1 | **FAIL** |" in text
    assert "-0.00" not in text
    kinds = [token.type for token in MarkdownIt().enable("table").parse(text)]
    assert kinds.count("tr_open") == 5
    refused(bench("gate", "--against", "nowhere", *arguments))
    assert json.loads(paths["json"].read_text())["exit_code"] == 2
    assert ElementTree.parse(paths["junit"]).getroot().find(".//error") is not None
    assert "NOT COMPARABLE" in paths["markdown"].read_text()


def test_the_gate_is_light() -> None:
    code = (
        "import sys, time; start = time.process_time(); from bench import cli; "
        "assert not {'torch', 'transformers', 'dvc', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules); "
        "print(time.process_time() - start)"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert float(done.stdout) < 2  # a second on an idle machine
