"""Run a whole study on a GPU machine without a network and without DVC, in one call of a few minutes.

Assumed there: this folder, and Python 3.12 on x86-64 Linux with torch, transformers, peft, accelerate, scikit-learn and
matplotlib. The project and what else its stages import travel.

In this project's environment, at the repository's root; `local/` is ignored by git, so the parcel is too:

    python tools/offline_run.py pack dialogsum-small local/parcel

and there, with that folder and tools/ carried, where both lie:

    python3 tools/offline_run.py call dialogsum-small local/parcel --out "$OUT" --budget 540

The call unpacks, races the lab's way against ours, runs the study's stages as its graph allows, three at a time, trains
and writes twice to see whether the same work comes out alike, and reports. The report's time is set aside first: what is
not scored by then is left out of it. What was done is kept, and the same call goes on with the rest. OUT gets at most
eight files; report.tar.xz and work.tar.xz are to be unpacked at the repository's root here.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import offline_graph
import offline_measures
from offline_graph import Job, OfflineError

# In flan-t5-base's sizes. The lab writes one token after the other: what fits beside the study.
RACE = (
    "--races training,generation,ppo --dialogues 160 --written 32 --max-new-tokens 64 --rounds 2 --sizes flan-t5-base"
)
RACE_SHARE = 0.25  # of the budget, at most
RESERVED = 45.0  # seconds for the report and for what is handed back
AT_ONCE = 3
DIALOGUES = 64  # summaries of the model that is trained twice
HERE = Path("local/offline")  # what was carried and what comes of it
WORK = Path("beside")  # the study: stamps, logs and the runs of `offline_measures`
MOST = 16 << 20  # bytes of one file handed back
VERSIONS = "torch transformers accelerate peft numpy tokenizers safetensors pydantic scikit-learn alt-profanity-check"


def call(given: argparse.Namespace) -> None:
    """Do it all, and hand back what there is."""
    import offline_parcel

    began, out = time.monotonic(), Path(given.out).resolve()
    ends = began + given.budget
    offline_parcel.unpack(Path(given.folder, offline_parcel.PARCEL), HERE)
    os.chdir(HERE)
    sys.path[:0] = [str(Path(offline_parcel.SITE).resolve()), str(Path.cwd())]
    study = offline_graph.parsed_study(given.study)
    offline_graph.check_modules(
        Path("studies", f"{given.study}.yaml").read_text(encoding="utf-8"), Path(offline_parcel.SITE)
    )
    study |= {"study": given.name or f"{given.study}-gpu"}
    study["compute"] = study.get("compute", {}) | {"device": "auto"}
    activate(study)
    out.mkdir(parents=True, exist_ok=True)
    print(f"unpacked: {time.monotonic() - began:.0f} s", flush=True)
    race = lab_against_ours(given.race, out)
    offline_graph.run([race], WORK / "stamps", WORK / "logs", began + RACE_SHARE * given.budget, at_once=1)
    stages = offline_graph.stages(study, Path("dvc.yaml").read_text(encoding="utf-8"))
    twice = offline_measures.jobs(study, WORK / "stability", given.steps, DIALOGUES)
    offline_graph.run([*stages, *twice], WORK / "stamps", WORK / "logs", ends - RESERVED, AT_ONCE)
    left_out = [] if stages[-1].done else report_of_what_is_there(study, stages, ends)
    if found := offline_measures.differences(WORK / "stability", twice):
        (out / "stability.md").write_text(offline_measures.page(found, given.steps), encoding="utf-8")
    collect(str(study["study"]), [race, *stages, *twice], out)
    print(f"{time.monotonic() - began:.0f} s in all")
    undone = [job.name for job in (race, *stages, *twice) if not job.done]
    if undone or left_out:
        raise OfflineError(f"not done: {', '.join(undone)}; the same call goes on with them, log.txt says why.")


def lab_against_ours(options: str, out: Path) -> Job:
    """A run of benchmarks.rival, which reports race after race."""
    command = (sys.executable, "-m", "benchmarks.rival", "--out", str(out), *shlex.split(options))
    return Job("race", command, environment={"XDG_CACHE_HOME": str(Path("cache").resolve()), "PIP_NO_INDEX": "1"})


def activate(study: dict[str, Any]) -> None:
    """Write params.yaml as `bench use` would.

    Raises:
        OfflineError: the study is not right.
    """
    from ruamel.yaml import YAML

    from bench import config
    from bench.config import sources
    from bench.core.schema import UserError

    params = Path("params.yaml")
    with params.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(study, file)
    try:
        text = sources.completed(params.read_text(encoding="utf-8"), config.parse(study, "params.yaml"))
    except UserError as error:
        raise OfflineError(str(error)) from None
    params.write_text(text, encoding="utf-8")


def report_of_what_is_there(study: dict[str, Any], stages: Sequence[Job], ends: float) -> list[str]:
    """Report the variants that are scored, with their starts; returns the names of those left out."""
    done = {job.name for job in stages if job.done}
    variants = {
        name: block
        for name, block in study["variants"].items()
        if all(f"score@{one}" in done for one in lineage(study, name))
    }
    left_out = [name for name in study["variants"] if name not in variants]
    if not variants or "yardsticks" not in done:
        return left_out
    others = {name: block for name, block in study.get("evaluate_on", {}).items() if f"transfer@{name}" in done}
    activate(study | {"variants": variants, "evaluate_on": others})
    jobs = [
        Job(name, (sys.executable, "-m", f"stages.{name}"), environment={"DVC_STAGE": name})
        for name in ("params", "report")
    ]
    jobs[1].after = ("params",)
    shutil.rmtree(WORK / "stamps-report", ignore_errors=True)  # another call, other variants
    offline_graph.run(jobs, WORK / "stamps-report", WORK / "logs", ends - 5, at_once=1)
    activate(study)
    (WORK / "stamps" / "params.json").unlink(missing_ok=True)  # the next call writes the whole study's files again
    return left_out


def lineage(study: dict[str, Any], name: str) -> list[str]:
    """A variant and the variants that it starts from."""
    found = []
    while name in study["variants"] and name not in found:
        found.append(name)
        name = str(study["variants"][name].get("init"))
    return found


def collect(study: str, jobs: Sequence[Job], out: Path) -> None:
    """Put what there is of a study into `out`, no file larger than MOST."""
    rows = ["job,state,seconds,peak_gpu_bytes,peak_resident_bytes", *map(line, jobs)]
    (out / "timings.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (out / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n", encoding="utf-8")
    with (out / "log.txt").open("wb") as log:
        for path in sorted((WORK / "logs").glob("*.log")):
            log.write(f"# {path.stem}\n".encode() + path.read_bytes()[-20000:])
    for name, folders in (("report", ["reports/" + study]), ("work", ["predictions", "scores", "curves", "costs"])):
        with tarfile.open(out / f"{name}.tar.xz", "w:xz") as tar:
            for folder in filter(os.path.exists, folders):
                tar.add(folder)
    for path in sorted(out.iterdir()):
        if path.is_file() and path.stat().st_size > MOST:
            print(f"{path.name} is left out: {path.stat().st_size >> 20} MiB")
            path.unlink()


def line(job: Job) -> str:
    """A line of timings.csv; a stage wrote its peaks of memory beside the graph."""
    costs = sorted(Path("costs", *job.name.split("@")).glob("*.json"), key=lambda path: path.stat().st_mtime)
    facts = json.loads(costs[-1].read_text(encoding="utf-8")) if costs else {}
    peaks = [str(facts.get(key, "")) for key in ("peak_gpu_bytes", "peak_resident_bytes")]
    return ",".join([job.name, job.state, f"{job.seconds:.1f}", *peaks])


def machine() -> dict[str, Any]:
    """The GPU and the versions of what computed."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.strip() or "none"
    except (OSError, subprocess.SubprocessError):
        gpu = "none"
    found = {"gpu": gpu, "python": sys.version.split()[0], "cores": os.cpu_count()}
    for name in VERSIONS.split():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def pack(given: argparse.Namespace) -> None:
    """Collect a study's files and packages, and say how to call it."""
    import offline_parcel

    offline_parcel.pack(given.study, Path(given.folder), wheels=not given.no_wheels)
    print("leave out what does not run there, call, and put it back:")
    print("  git sparse-checkout set --no-cone /tools")
    print(f'  python3 tools/offline_run.py call {given.study} {shlex.quote(given.folder)} --out "$OUT" --budget 540')
    print("  git sparse-checkout disable")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; a mistake is one sentence on the error stream and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("pack", help="collect a study's files and packages in one file")
    one.add_argument("study", help="the name of a file in studies/, without .yaml")
    one.add_argument("folder")
    one.add_argument("--no-wheels", action="store_true", help="pack no packages")
    one.set_defaults(act=pack)
    one = commands.add_parser("call", help="unpack, race, run, compare and report until the budget is used up")
    one.add_argument("study")
    one.add_argument("folder", help="what `pack` wrote")
    one.add_argument("--out", required=True, help="folder for at most eight files of results")
    one.add_argument("--budget", type=float, default=540.0, help="seconds after which nothing goes on (540)")
    one.add_argument("--name", help="the study's name there, of its report too (STUDY-gpu)")
    one.add_argument("--steps", type=int, default=20, help="steps of the training that is done twice (20)")
    one.add_argument("--race", default=RACE, help="options of benchmarks.rival (%(default)s)")
    one.set_defaults(act=call)
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    act: Callable[[argparse.Namespace], None] = given.act
    try:
        act(given)
    except OfflineError as error:
        # A name out of an archive or a study may hold what a terminal obeys.
        print(f"error: {''.join(c if c.isprintable() else ' ' for c in str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
