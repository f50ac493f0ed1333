"""The graph for real: `dvc repro` on a tiny study in a copy of the project."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.project import Project, tiny


def ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    output = project.dvc("repro")
    assert len(ran(output)) == 17, output
    return project


CHECKS = {"params", "check"}  # run whenever params.yaml changes, and write the same again
METRICS = "reports/miniature/metrics.json"
COSTS = "reports/miniature/costs.json"


def test_a_second_repro_runs_nothing(project: Project) -> None:
    """Nor does Python's own cache beside the code make anything stale."""
    for part in ("training", "miniature", "report"):
        cache = project.folder / "bench" / part / "__pycache__"
        cache.mkdir(exist_ok=True)
        (cache / "x.cpython-399.pyc").write_bytes(b"anything")
    assert ran(project.dvc("repro")) == set()


def test_the_report_has_every_variant_with_intervals_and_signatures(project: Project) -> None:
    metrics = json.loads(project.read(METRICS))
    for variant in ("baseline", "lora", "ppo"):
        cell = metrics["variants"][variant]["rouge1"]
        assert cell["low"] <= cell["value"] <= cell["high"]
        assert "rouge_score" in cell["signature"] and "|n:8" in cell["signature"]
    assert metrics["variants"]["baseline"]["kl_base"]["value"] == 0
    report = project.read("reports/miniature/report.md").decode()
    assert "| lora" in report and "human" in report and "lead-3" in report


def test_dvc_s_own_commands_work(project: Project) -> None:
    project.commit("results")
    assert "rouge1" in project.dvc("metrics", "show")
    assert "index.html" in project.dvc("plots", "show")


def test_a_knob_touches_its_variant_and_what_starts_from_it(project: Project) -> None:
    """What a knob touches is known once the first stage has read it; the experiment below runs the whole chain."""
    project.dvc("repro")
    project.commit("as it was")
    ppo = CHECKS | {"train@ppo", "generate@ppo", "score@ppo", "report"}
    raw = tiny()
    raw["variants"]["ppo"]["learning_rate"] = 3e-4
    project.params(raw)
    assert "variants.ppo.learning_rate" in project.dvc("params", "diff")
    project.dvc("repro", "params")
    assert {"train@ppo"} <= ran(project.dvc("repro", "--dry")) <= ppo
    raw = tiny()
    raw["variants"]["lora"]["adapter"]["r"] = 16
    project.params(raw)
    project.dvc("repro", "params")
    assert {"train@lora"} <= ran(project.dvc("repro", "--dry")) <= ppo | {"train@lora", "generate@lora", "score@lora"}
    project.params(tiny())
    project.dvc("repro", "params")


def test_a_commit_that_turns_one_knob_is_a_diff_of_that_variant_alone(project: Project) -> None:
    project.commit("as it was")
    raw = tiny()
    raw["variants"]["ppo"]["learning_rate"] = 4e-2
    project.params(raw)
    project.dvc("repro")
    project.commit("one knob")
    status, output = project.bench("diff", "HEAD~1", "--format", "json")
    found = json.loads(output)
    assert status == 0 and found["changed"] == ["ppo"] and found["unchanged"] == ["baseline", "lora"]
    assert [param["key"] for param in found["params"]] == ["variants.ppo.learning_rate"]
    assert {score["variant"] for score in found["scores"]} == {"ppo"}
    assert set(found["rows"]) <= {"ppo"}  # rows whose ROUGE-1 moved, which so small a model need not have
    status, output = project.bench("gate", "--against", "HEAD")
    assert status == 0 and "PASS" in output
    assert project.bench("gate", "--against", "no-such-revision")[0] == 2
    project.params(tiny())
    project.dvc("repro")


def test_an_experiment_overrides_a_knob_and_metrics_diff_shows_it(project: Project) -> None:
    project.dvc("repro")
    project.commit("as it was")
    output = project.dvc("exp", "run", "-n", "slower", "-S", "variants.ppo.learning_rate=5e-2")
    assert ran(output) == CHECKS | {"train@ppo", "generate@ppo", "score@ppo", "report"}
    table = project.dvc("metrics", "diff")
    assert "ppo" in table and "variants.lora" not in table
    project.params(tiny())


def test_a_local_checkpoint_that_no_digest_pins_is_watched(project: Project) -> None:
    """An edit of its files is seen; before, everything was up to date."""
    project.dvc("repro")
    shutil.rmtree(project.folder / "local", ignore_errors=True)
    shutil.copytree(project.folder / "models" / "reward", project.folder / "local" / "mine")
    raw = tiny()
    raw["checkpoints"]["reward"] = {"source": "local", "path": "local/mine", "name": "mine"}
    project.params(raw)
    output = project.dvc("repro", "checkpoint@reward", check=False)
    line = 'sources: {"checkpoint-reward": "local/mine"}'
    assert f"write `{line}`" in output
    project.params(raw | {"sources": {"checkpoint-reward": "local/mine"}})
    assert ran(project.dvc("repro", "checkpoint@reward")) == {"params", "source@checkpoint-reward", "checkpoint@reward"}
    assert ran(project.dvc("repro", "checkpoint@reward")) == set()
    config = project.folder / "local" / "mine" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert "checkpoint@reward" in ran(project.dvc("repro", "checkpoint@reward"))
    project.params(tiny())
    project.dvc("repro")


def test_a_removed_variant_leaves_the_report(project: Project) -> None:
    raw = tiny()
    del raw["variants"]["ppo"]
    project.params(raw)
    project.dvc("repro")
    assert list(json.loads(project.read(METRICS))["variants"]) == ["baseline", "lora"]
    project.params(tiny())


def test_on_another_machine_the_numbers_come_out_to_the_byte_and_costs_decide_about_no_stage(project: Project) -> None:
    """All is made anew, as in a fresh clone. With the notes and reports of git, the report alone is then written again."""
    project.dvc("repro")
    project.commit("measured once")
    numbers, costs = project.read(METRICS), json.loads(project.read(COSTS))["measured"]
    for folder in ("checked", "data", "models", "curves", "predictions", "scores", "work", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(project.folder / folder)
    for path in (project.folder / "costs").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    assert len(ran(project.dvc("repro"))) == 17
    assert project.read(METRICS) == numbers
    subprocess.run(["git", "checkout", "-q", "dvc.lock", "reports"], cwd=project.folder, check=True)
    assert ran(project.dvc("repro")) == {"report"}
    here = json.loads(project.read(COSTS))["measured"]
    assert here.keys() == costs.keys()
    assert all(here[place]["measured_at"] > costs[place]["measured_at"] for place in costs)


def test_without_dvc_s_notes_everything_comes_back_from_its_cache(project: Project) -> None:
    """DVC writes dvc.lock in place; one that a crash left empty is refused, and can be removed."""
    project.dvc("repro")
    before, lock = project.read(METRICS), project.folder / "dvc.lock"
    lock.write_bytes(b"")
    assert "dvc.lock' validation failed" in project.dvc("repro", check=False)
    lock.unlink()
    assert ran(project.dvc("repro")) == {"report"}
    assert project.read(METRICS) == before


def test_a_wrong_knob_is_one_sentence(project: Project) -> None:
    raw = tiny()
    raw["variants"]["ppo"]["learning_rat"] = 1
    project.params(raw)
    output = project.dvc("repro", check=False)
    assert "params.yaml: variants.ppo.learning_rat: unknown key; did you mean 'learning_rate'?" in output
    assert "Traceback" not in output
    project.params(tiny())


def test_an_edit_makes_stale_what_it_can_change(project: Project) -> None:
    """PPO's code concerns PPO alone, the rule for dialogues that stand in two splits the data and its check, a comment nothing."""
    project.dvc("repro")
    equations = project.folder / "bench" / "methods" / "ppo" / "equations.py"
    splits = project.folder / "bench" / "data" / "splits.py"
    for path, stale in ((equations, {"train@ppo"}), (splits, {"data", "check"})):
        before = path.read_text()
        for added, wanted in (("\n# a comment\n", set()), ("\nADDED = 1\n", stale)):
            path.write_text(before + added)
            assert ran(project.dvc("repro", "params")) == {"params"}
            status = project.dvc("status").splitlines()
            assert {line.rstrip(":") for line in status if line[:1].isalpha() and line.endswith(":")} == wanted
        path.write_text(before)
    project.dvc("repro")


def test_a_stage_that_was_not_run_here_keeps_the_costs_of_the_committed_report(project: Project) -> None:
    project.dvc("repro")
    before = json.loads(project.read(COSTS))
    shutil.rmtree(project.folder / "costs" / "train" / "lora")
    assert ran(project.dvc("repro")) == {"report"}
    assert json.loads(project.read(COSTS)) == before
    assert "Measured 20" in project.read("reports/miniature/report.md").decode()
