"""Measure how often an honest rerun fails the gate: the same stages again and again, beside busy processes.

    python tools/repeat_gate.py --times 20 --busy 2 train@dpo generate@dpo

runs the stages of the active study anew, writes the report, and gates it against HEAD, which must hold the report of the
same commit. Nothing changed, so every FAIL is false. Writes reports/gate/reruns.md; run it in a clone, whose costs it
replaces.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.core import storage
from bench.report.markdown import code, section, table

OUTPUT = Path("reports/gate/reruns.md")


def busy() -> None:
    """Keep one core busy, and its memory, until killed."""
    block = bytearray(64_000_000)
    while True:
        block[:] = bytes(len(block))


def rerun(stages: list[str]) -> None:
    """Run the stages and the report anew, with whatever else the machine does."""
    for stage in [*stages, "report"]:
        subprocess.run(["dvc", "repro", "--force", "--single-item", "--quiet", stage], check=True)


def gate(folder: Path) -> dict[str, object]:
    """Gate the working tree against HEAD; the outcome as JSON has it."""
    out = folder / "gate.json"
    command = [sys.executable, "-c", "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))"]
    subprocess.run([*command, "gate", "--against", "HEAD", "--json", str(out)], stdout=subprocess.DEVNULL)
    found: dict[str, object] = json.loads(out.read_text())
    return found


def page(stages: list[str], load: int, outcomes: list[dict[str, object]]) -> str:
    """Write the page: how many reruns had which outcome, and what moved."""
    words = Counter(str(each["outcome"]) for each in outcomes)
    ratios: dict[str, list[float]] = {}
    for each in outcomes:
        for verdict in each["verdicts"]:  # type: ignore[attr-defined]
            if "ratio" in verdict:
                ratios.setdefault(verdict["measure"], []).append(float(verdict["ratio"]))
    rows = [[name, f"{min(some):.3f}", f"{max(some):.3f}"] for name, some in sorted(ratios.items())]
    return (
        "\n\n".join(
            [
                "# Honest reruns beside other work",
                f"{words['FAIL']} of {len(outcomes)} reruns FAIL ({', '.join(f'{n} {word}' for word, n in words.items())}). "
                f"Stages {', '.join(map(code, stages))} and the report, each beside {load} busy processes on "
                f"{os.cpu_count()} cores; scores, memory and stored bytes against the commit that the rerun is of.",
                section("Costs that are judged, as a multiple of the commit's", table(["cost", "least", "most"], rows)),
            ]
        )
        + "\n"
    )


def main() -> int:
    """Measure and write the page; 1 where a rerun failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="+", help="as dvc names them, in their order")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--busy", type=int, default=2, help="processes that keep a core busy each")
    given = parser.parse_args()
    load = [multiprocessing.Process(target=busy, daemon=True) for _ in range(given.busy)]
    for process in load:
        process.start()
    outcomes = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(given.times):
                rerun(given.stages)
                outcomes.append(gate(Path(folder)))
                print(f"{number + 1} of {given.times}: {outcomes[-1]['outcome']}", flush=True)
    finally:
        for process in load:
            process.kill()
    storage.write_text(OUTPUT, page(given.stages, given.busy, outcomes))
    return int(any(each["outcome"] == "FAIL" for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
