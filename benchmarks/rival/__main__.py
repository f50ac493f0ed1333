"""Time the course lab's way and ours side by side, and write reports/rival/<device>.md and .json.

python -m benchmarks.rival                        # all races on 200 dialogues: 46 minutes on two cores
python -m benchmarks.rival --dialogues 40 --races generation,classifier
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.core import paths, runtime, storage
from bench.core.schema import UserError
from bench.report import provenance
from benchmarks.rival import page, race
from benchmarks.rival.race import Race
from benchmarks.rival.task import TRAIN_BATCH, TRL, Task

HERE = Path(__file__).resolve().parent
RACES = ("training", "generation", "classifier", "ppo")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    tool = argparse.ArgumentParser(
        prog="python -m benchmarks.rival", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tool.add_argument("--races", default=",".join(RACES), help=f"some of {','.join(RACES)} (all)")
    tool.add_argument("--dialogues", type=int, default=200, help="dialogues of each race but PPO (200)")
    tool.add_argument("--written", type=int, help="dialogues of the generation race (as --dialogues)")
    tool.add_argument(
        "--rounds", type=int, default=5, help="laps of each side, which share training's dialogues out (5)"
    )
    tool.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    tool.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each side (all cores)")
    tool.add_argument("--batch-size", type=int, default=64, help="dialogues that we decode at once (64)")
    tool.add_argument("--max-new-tokens", type=int, default=128)
    tool.add_argument("--base", default="local/flan-t5-small-titler", help="folder of a T5")
    tool.add_argument(
        "--sizes", choices=("flan-t5-base",), help="random weights of these sizes, with --base's tokenizer"
    )
    tool.add_argument("--classifier", default="local/bert-tiny-toxicity", help="folder of a text classifier")
    tool.add_argument(
        "--compiled", action="store_true", help="race `compute.compile: true` too; its first lap compiles"
    )
    tool.add_argument("--label", default="not-toxic", help="the classifier's label that PPO rewards")
    tool.add_argument("--data", default="local/dialogsum", help="folder of DialogSum's files")
    tool.add_argument("--out", default=str(paths.REPORTS / "rival"), help="folder of the report")
    return tool


def races(task: Task, chosen: list[str], written: int, compiled: bool = False) -> list[Race]:
    """The races. Where a model is trained, it writes and learns in the later ones, as in the lab."""
    tuned = replace(task, base="tuned") if "training" in chosen else task
    both = (("lab", "ours"),)
    sides = {name: {"lab": f"lab.{name}", "ours": f"ours.{name}"} for name in RACES}
    short, half, tf32, fused = "lab with targets of 128", "ours in bfloat16", "ours in TF32", "ours compiled"
    sides["training"] |= {short: "lab.training_to_limits"}
    more = [(short, "ours")]
    if task.device != "cpu":  # most CPUs emulate bfloat16
        sides["training"] |= {half: "ours.training_in_bfloat16", tf32: "ours.training_in_tf32"}
        more += [("lab", half), ("lab", tf32)]
    if compiled:
        sides["training"] |= {fused: "ours.training_compiled"}
        more += [("lab", fused), ("ours", fused)]
    found = {
        "training": [Race("training", sides["training"], (*both, *more), task)],
        "generation": [Race("generation", sides["generation"], both, replace(task, dialogues=written))],
        "classifier": [
            Race(f"classifier on {texts}", sides["classifier"], both, replace(task, texts=texts))
            for texts in ("summaries", "dialogues")
        ],
        "ppo": [Race("PPO step", sides["ppo"], both, tuned)],
    }
    if tuned != task:
        again = replace(tuned, dialogues=written)
        found["generation"].append(Race("generation by the model just trained", sides["generation"], both, again))
    return [one for name in RACES if name in chosen for one in found[name]]


def prepared(given: argparse.Namespace, work: Path) -> Task:
    """Check what is asked for and lay the models out in `work`.

    Raises:
        UserError: an argument or a folder is wrong.
    """
    if given.dialogues < 1 or given.rounds < 1 or given.dialogues % (TRAIN_BATCH * given.rounds):
        raise UserError(
            f"--dialogues {given.dialogues}: must be a multiple of {TRAIN_BATCH} x --rounds {given.rounds}."
        )
    if given.written is not None and given.written < 1:
        raise UserError(f"--written {given.written}: must be 1 or more.")
    (work / "models").mkdir()
    for name, folder in (("base", given.base), ("reward", given.classifier)):
        if not (Path(folder) / "config.json").is_file():
            raise UserError(
                f"{folder} holds no model; name a folder written by save_pretrained with --base or --classifier."
            )
        (work / "models" / name).symlink_to(Path(folder).resolve())
    device = given.device if given.device != "auto" else "cuda" if has_gpu() else "cpu"
    task = Task(
        data=str(Path(given.data).resolve()),
        work=str(work),
        device=device,
        threads=given.threads,
        dialogues=given.dialogues,
        rounds=given.rounds,
        batch_size=given.batch_size,
        max_new_tokens=given.max_new_tokens,
        label=given.label,
    )
    for split in ("train", "test"):
        task.examples(split, task.dialogues)
    return task


def has_gpu() -> bool:
    """Whether torch sees a GPU, asked in another process: this one stays small."""
    asked = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", asked]).returncode == 0


def overlay() -> str:
    """The folder that holds trl 0.11.4 beside, not instead of, what is installed; made on the first call.

    Raises:
        UserError: pip cannot get it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dialogue-summary-bench"
    folder = cache / "trl-0.11.4"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", f"{aside}/site", *TRL]
            done = subprocess.run(pip, capture_output=True, text=True)
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it said nothing"]
                raise UserError(f"pip cannot install {TRL[0]} ({said[-1][:200]}); leave 'ppo' out of --races.")
            Path(aside, "site").rename(folder)
    return str(folder)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; a mistake is one sentence on the error stream and exit code 1."""
    given = parser().parse_args(arguments)
    chosen = given.races.split(",")
    try:
        if unknown := sorted(set(chosen) - set(RACES)):
            raise UserError(f"--races: there is no '{unknown[0]}'; name some of {','.join(RACES)}.")
        with tempfile.TemporaryDirectory() as folder:
            write(given, chosen, Path(folder))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write(given: argparse.Namespace, chosen: list[str], work: Path) -> None:
    """Race after race; the report is written anew after each, so that an interruption loses one race."""
    task = prepared(given, work)
    if given.sizes:
        race.once("sizes.flan_t5_base", task)
        task = replace(task, base="random")
    found, out = [], Path(given.out)
    for one in races(task, chosen, given.written or task.dialogues, given.compiled):
        print(f"{one.title}: {task.rounds} rounds", flush=True)
        outcome = race.run(one, overlay() if "ppo" in one.sides["lab"] else None)
        found.append(page.figures(one, outcome))
        print(page.speed(found[-1:]), flush=True)
        facts = page.facts(
            outcome.machine,
            provenance.versions() | {"trl of the PPO race": "0.11.4"},
            provenance.revision(),
            shlex.join(["python", "-m", "benchmarks.rival", *sys.argv[1:]]),
        )
        storage.write_json(out / f"{task.device}.json", {"races": found, "provenance": dict(facts)})
        storage.write_text(out / f"{task.device}.md", page.report(found, facts))
    print(f"{out / task.device}.md is written")


if __name__ == "__main__":
    runtime.quiet()
    sys.exit(main())
