"""Run a whole study on a GPU machine without a network and without DVC: pack it here, unpack and run it there.

Assumed there: a copy of this repository's tracked files, python3 (3.12, x86-64 Linux) with pip and torch, transformers,
accelerate, numpy, safetensors, tokenizers, scipy and pillow. What else the stages import travels as wheels, locked.

In this project's environment, at the repository's root; `local/` is ignored by git, so the parts are too:

    python tools/offline_run.py pack dialogsum-small local/parts

    python tools/offline_run.py plan local/parts

`plan` prints the calls in their order, each to be run there at the repository's root: the parts, of which only one need
be there at a time; the study; the race against the lab's way in flan-t5-base's sizes; whether the same work comes out
alike. The store stays outside the repository, and the machine must not be given back in between.

`run` stops before a stage that would not fit into the budget and ends one that outruns it; called again, it goes on
where it stopped. OUT gets at most eight files: report.tar.xz and work.tar.xz (data left out), to be unpacked here with
`tar -xf` at the root, and the small files beside them. `params.yaml` there becomes the study's. Options of the race
after `--` are those of benchmarks/rival.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import offline_measures
import offline_parcel
import offline_stages
from offline_stages import OfflineError

# The lab writes one token at a time, some 40 a second with flan-t5-base's sizes: what fits into a call of ten minutes.
RACES = (
    "training,classifier,ppo --dialogues 200 --rounds 5",
    "generation --dialogues 64 --rounds 2 --max-new-tokens 64",
)


def plan(given: argparse.Namespace) -> None:
    """Print the calls of a GPU run, in their order."""
    parts = sorted(Path(given.parts_dir).glob("part-*"))
    try:
        study = json.loads((parts[0] / "manifest.json").read_text(encoding="utf-8"))["study"]
    except (OSError, ValueError, LookupError, TypeError):
        raise OfflineError(f"{given.parts_dir} holds no parts; make them with `pack`.") from None
    tool, where = "python3 tools/offline_run.py", f'--store {given.store} --out "$OUT" --budget {given.budget}'
    run = f"{tool} run {study} {where}"
    race = f"{tool} race {where} -- --device cuda --sizes flan-t5-base --races"
    calls = [(f"{tool} unpack {shlex.quote(part.as_posix())} {given.store}", part.as_posix(), "") for part in parts]
    last, carry, _ = calls.pop()
    page = "cuda.md and .json; give them names of their own in reports/rival/"
    calls += [
        (f"{last} && {run}", carry, "the study; the last call below goes on where its budget ended it"),
        *((f"{race} {words}", "", page) for words in RACES),
        (f"{tool} stability {study} {where}", "", "stability.md"),
        (run, "", "only if the study is not done yet"),
    ]
    for number, (command, carry, note) in enumerate(calls, 1):
        words = f"; carry {carry}" if carry else ""
        note = f" ({note})" if note else ""
        print(f"{number}. at most {given.budget + 60} s{words}{note}\n   {command}")
    print("Fetch what is under $OUT after every call: the next one empties it. Keep the machine warm in between.")


def pack(given: argparse.Namespace) -> None:
    """Collect a study's files and wheels into parts."""
    offline_parcel.pack(given.study, Path(given.out_dir), given.part_mib, given.preset, wheels=not given.no_wheels)


def unpack(given: argparse.Namespace) -> None:
    """Take one part in."""
    offline_parcel.unpack(Path(given.part_dir), Path(given.store).resolve())


def run(given: argparse.Namespace) -> None:
    """Run the study's stages that are out of date."""
    offline_stages.run(given.study, Path(given.store).resolve(), Path(given.out), given.budget)


def race(given: argparse.Namespace) -> None:
    """Race the lab's way against ours."""
    options = given.options[1:] if given.options[:1] == ["--"] else given.options
    offline_measures.race(options, Path(given.store).resolve(), Path(given.out).resolve(), given.budget)


def stability(given: argparse.Namespace) -> None:
    """Do the same work twice and compare."""
    where = Path(given.store).resolve(), Path(given.out).resolve()
    offline_measures.stability(given.study, *where, given.budget, given.steps, given.dialogues)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; a mistake is one sentence on the error stream and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("pack", help="collect a study's files and wheels into parts")
    one.add_argument("study", help="the name of a file in studies/, without .yaml")
    one.add_argument("out_dir")
    one.add_argument("--part-mib", type=float, default=48, help="MiB of one part at most (48)")
    one.add_argument(
        "--preset", type=int, default=6, choices=range(10), help="xz's preset; 1 is seven times as fast (6)"
    )
    one.add_argument("--no-wheels", action="store_true", help="pack no packages")
    one.set_defaults(act=pack)
    one = commands.add_parser("unpack", help="append one part to a store; after the last, put all in place")
    one.add_argument("part_dir")
    one.add_argument("store")
    one.set_defaults(act=unpack)
    one = commands.add_parser("plan", help="print the calls of a GPU run in their order")
    one.add_argument("parts_dir")
    one.add_argument("--store", default="/tmp/study")
    one.add_argument("--budget", type=int, default=540, help="seconds of one call (540)")
    one.set_defaults(act=plan)
    working = argparse.ArgumentParser(add_help=False)
    working.add_argument("--store", required=True, help="where unpack put its wheels; also remembers what was run")
    working.add_argument("--out", required=True, help="folder for at most eight files of results")
    working.add_argument("--budget", type=float, help="seconds after which nothing goes on")
    one = commands.add_parser("run", parents=[working], help="run the stages that are out of date")
    one.add_argument("study")
    one.set_defaults(act=run)
    one = commands.add_parser("race", parents=[working], help="the lab's way against ours: benchmarks/rival")
    one.add_argument("options", nargs=argparse.REMAINDER, help="after --: the rival's own")
    one.set_defaults(act=race)
    one = commands.add_parser("stability", parents=[working], help="the same training and summaries twice")
    one.add_argument("study")
    one.add_argument("--steps", type=int, default=20, help="steps of the training (20)")
    one.add_argument("--dialogues", type=int, default=64, help="test dialogues that are summarised (64)")
    one.set_defaults(act=stability)
    given = parser.parse_args(arguments)
    try:
        given.act(given)
    except OfflineError as error:
        # A name out of an archive or a study may hold what a terminal obeys.
        print(f"error: {''.join(c if c.isprintable() else ' ' for c in str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
