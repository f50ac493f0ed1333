"""The README and the pages of docs/ say what the committed reports say, point to what is there, and their commands work."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import plugins

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STATISTICS = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
ROWS = {
    "baseline (zero-shot)": "baseline",
    "full fine-tune": "full",
    "LoRA": "lora",
    "PPO detox of full": "ppo",
    "DPO detox of full": "dpo",
    "the authors' BART": "bart",
    "one reference against the others": "human",
}


def plain(text: str) -> str:
    return " ".join(text.split())


def front_rows() -> list[tuple[str, str, list[str]]]:
    """(study, system, cells) of the tables that the README opens with."""
    found, study = [], ""
    for line in README.split("## Two commands")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if head := re.match(r"\| `([a-z0-9-]+)`, \d+ test dialogues \|", line):
            study = head[1]
        elif study and cells[0] in ROWS:
            found.append((study, ROWS[cells[0]], cells[1:]))
    return found


def test_every_figure_of_the_front_tables_stands_in_the_row_of_its_report() -> None:
    rows = front_rows()
    assert len(rows) >= 5
    for study, system, cells in rows:
        report = (ROOT / "reports" / study / "report.md").read_text(encoding="utf-8")
        lines = [line for line in report.splitlines() if line.startswith(f"| {system} |")]
        shown = {cell.strip() for line in lines for cell in line.strip("|").split("|")}
        assert set(cells) <= shown, (study, system)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_points_to_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", prose):
        place = path.parent / target if target else path
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], anchor
    for name in re.findall(r"`((?:bench|tools|docs|tests|studies)/[a-z_/.]+\.(?:py|md|yaml|sbatch))`", prose):
        assert (ROOT / name).exists(), name
    assert {"best_of", "sft", "ppo", "dpo", "none"} <= set(plugins.names("method"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the last commit, as a reader of the README has it before anything was run."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def commands(text: str) -> list[str]:
    """The `bench` commands of a page, in its code blocks and in its prose."""
    blocks = [
        line.split("#")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", text, re.S)
        for line in block.splitlines()
    ]
    return [line for line in blocks if line.startswith("bench ")]


# What needs another machine's files, or takes minutes: their own tests run them.
ELSEWHERE = (
    "bench score",
    "bench compare",
    "bench metrics-check",
    "bench claims-study",
    "bench gate-study",
    "bench pin",
)


@pytest.mark.parametrize(
    "command", dict.fromkeys(c for page in PAGES for c in commands(page.read_text(encoding="utf-8")))
)
def test_the_bench_commands_of_the_pages_run(command: str, clone: Path) -> None:
    if command.startswith(ELSEWHERE):
        pytest.skip("run by the tests of the command")
    words = shlex.split(command.replace("origin/main", "HEAD").replace("HEAD~1", "HEAD"))
    code = "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-P", "-c", code, *words[1:]], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_what_a_point_of_rouge_is_worth_is_the_report_s_own_sentence() -> None:
    sentence = json.loads((ROOT / "reports" / "metrics-check.json").read_text())["sentence"]
    assert sentence in plain(STATISTICS)


def page(name: str) -> str:
    return (ROOT / "reports" / name).read_text(encoding="utf-8")


def figures(pattern: str, name: str) -> tuple[str, ...]:
    """The groups of a sentence of a committed page."""
    found = re.search(pattern, page(name), re.I)
    assert found, (pattern, name)
    return found.groups()


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "gate.md"], ids=lambda path: path.name)
def test_what_is_promised_of_the_gate_is_what_its_pages_say(path: Path) -> None:
    text = plain(path.read_text(encoding="utf-8"))
    (false,) = figures(r"in at most ([\d.]+ %) of honest studies", "gate/characteristics.md")
    assert f"{false} of honest studies at most" in text
    failed, of = figures(r"(\d+) of (\d+) reruns FAIL", "gate/reruns.md")
    assert f"{of} honest reruns beside two busy processes, {failed} failed" in text


@pytest.mark.parametrize("text", [README, STATISTICS], ids=["README.md", "statistics.md"])
def test_what_is_promised_of_a_report_is_what_its_page_says(text: str) -> None:
    verdicts, readings, coverage = figures(
        r"false verdict in at most ([\d.]+ %) of reports and a false reading in at most ([\d.]+ %); intervals hold the "
        r"truth in at least ([\d.]+ %)",
        "claims/error-rates.md",
    )
    assert f"at most {verdicts} of reports say" in plain(text) and f"at most {readings} call any change" in plain(text)
    assert f"covers in {coverage} or more of cases" in plain(text)


def test_what_ppo_did_on_real_text_is_what_its_report_says() -> None:
    (followed,) = figures(
        r"\| ppo ← full \| Reward logit \|[^|]*\|[^|]*\| ([^|]+) \|[^|]*\| ▲ better", "dialogsum-small/report.md"
    )
    (judged,) = figures(
        r"\| ppo ← full \| Toxicity \(judge\) \(%\) \|[^|]*\|[^|]*\| ([^|]+) \|", "dialogsum-small/report.md"
    )
    text = plain(README)
    assert f"raised its reward (logit {followed}), and nothing shows of the judge's toxicity ({judged})" in text
    (verdict,) = figures(r"- `ppo` \(from `full`\): \*\*([^*:]+):", "dialogsum-small/report.md")
    assert f"*{verdict}*, says the report" in text


def test_how_many_summaries_are_wholly_right_is_the_report_s() -> None:
    found = json.loads(page("miniature/metrics.json"))["variants"]["full"]
    right, rouge = (f"{100 * found[key]['value']:.1f}" for key in ("wholly_right", "rouge1"))
    assert f"{right} % of the summaries behind {rouge} ROUGE-1 have every fact right" in plain(README)
